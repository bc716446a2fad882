"""Record docs/examples/shop.mapsnap, which the handbook's tutorial reads: as root, with 3 GiB of free memory.

    python tests/record_shop.py

It runs docs/examples/shop_cache.py in a memory cgroup, captures that cgroup as `mapcount capture --cgroup` does, and removes
it again. Host, boot id, command line and the names of other cgroups do not stay in the snapshot; of the
kernel's release its numbers do.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mapcount
from waiting import wait_for

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
SHOP = EXAMPLES / "shop.mapsnap"
CGROUP = "/shop/cache"
ROOTS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")


def main() -> None:
    command = ["/usr/bin/python3", str(EXAMPLES / "shop_cache.py"), "--cgroup", CGROUP]
    shop = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if not shop.stdout.readline().startswith("ready"):
            sys.exit("the cache did not start")
        snapshot = mapcount.capture(cgroup=CGROUP)
    finally:
        shop.communicate("\n", timeout=60)
        remove_cgroup()
    release = re.match(r"[\d.]+", snapshot.meta.kernel_release)
    meta = replace(
        snapshot.meta,
        host="shop",
        boot_id="",
        kernel_release=release.group() if release else "",
        kernel_version="",
        command_line=f"mapcount capture --cgroup {CGROUP} -o shop.mapsnap",
    )
    known = ("", "/", CGROUP)
    others = tuple(name if name in known else f"/other-{i}" for i, name in enumerate(snapshot.cgroups))
    size = replace(snapshot, meta=meta, cgroups=others).save(SHOP, force=True)
    for path in (SHOP, *SHOP.iterdir()):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    sys.stdout.write(f"{SHOP.name}: {size} bytes\n")


def remove_cgroup() -> None:
    """Remove the cgroup and its parent as soon as nothing is in them."""
    root = next(Path(root) for root in ROOTS if Path(root, "cgroup.procs").exists())
    for group in (root / CGROUP.strip("/"), (root / CGROUP.strip("/")).parent):
        wait_for(lambda group=group: _gone(group))


def _gone(group: Path) -> bool:
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


if __name__ == "__main__":
    main()
