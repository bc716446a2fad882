"""Record the example that ships with the package: known workloads, captured together and redacted, and their truth.

As root, on a machine with 64 KiB and 2 MiB folios for anonymous memory and 64 KiB ones for shmem (Linux 6.14 and later):

    python tests/record_example.py

It starts some of tests/workloads with these sizes allowed (what was set is put back), captures exactly their processes,
checks every page of their large folios against what the workloads wrote down, and then replaces
src/mapcount/data/example.mapsnap and tests/data/example_truth.json. The truth is counted from what the workloads wrote
down alone. Of the kernel's release its numbers stay; who built it and where is not told.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mapcount
from live.captured import large_view
from live.conftest import undisturbed, why_not_live
from live.scenes import SCENES
from live.settings import Settings
from live.view import PAGE, View, differences, sizes
from mapcount.mapping.schema import Consistency

if TYPE_CHECKING:
    from live.conftest import Running
    from mapcount.mapping.snapshot import Snapshot

TESTS = Path(__file__).parent
EXAMPLE = TESTS.parent / "src" / "mapcount" / "data" / "example.mapsnap"
TRUTH = TESTS / "data" / "example_truth.json"
WANTED = ("anon-4", "anon-9", "pmd", "fork", "moved", "shmem-4")
MAX_BYTES = 300 << 10


def main() -> None:
    reason = why_not_live()
    if reason:
        sys.exit(reason.replace("live tests need", "recording needs"))
    scenes = [scene for scene in SCENES if str(scene) in WANTED]
    settings = Settings()
    with contextlib.ExitStack() as stack:
        stack.callback(settings.close)
        settings.thp(
            anon=tuple({size for scene in scenes for size in scene.anon_kb}),
            shmem=tuple({size for scene in scenes for size in scene.shmem_kb}),
        )
        workloads = {str(s): stack.enter_context(undisturbed(settings, s.script, *s.arguments)) for s in scenes}
        pids = [pid for workload in workloads.values() for pid in workload.pids.values()]
        snapshot = mapcount.capture(pids=pids, redact=True)
    release = re.match(r"[\d.]+", snapshot.meta.kernel_release)
    meta = replace(snapshot.meta, kernel_release=release.group() if release else "", kernel_version="")
    snapshot = replace(snapshot, meta=meta)
    for name, workload in workloads.items():
        check(name, workload, snapshot)
    write(snapshot, truth_of(workloads))


def check(name: str, workload: Running, snapshot: Snapshot) -> None:
    """Leave unless the snapshot says of every page what the workload wrote down, and nothing moved meanwhile."""
    found = differences(workload.view().select(large=True), large_view(snapshot, workload.pids, workload.areas))
    if found or snapshot.meta.partial or set(snapshot.folios.consistency.tolist()) != {Consistency.CHECKED}:
        sys.exit("\n".join([f"{name}: the snapshot is not what the workload did; nothing is written", *found]))


def truth_of(workloads: dict[str, Running]) -> dict[str, Any]:
    """Count what a survey of these processes must say of large anon and shmem folios."""
    views = {name: workload.view().select(large=True) for name, workload in workloads.items()}
    rows: dict[str, Counter[str]] = {}
    for view in views.values():
        for (kind, order), row in sizes(view).items():
            rows.setdefault(f"{kind} {order}", Counter()).update(row)
    processes = {
        str(pid): process_row(views[name], process)
        for name, workload in workloads.items()
        for process, pid in workload.pids.items()
    }
    return {"workloads": list(workloads), "sizes": rows, "processes": processes}


def process_row(view: View, process: str) -> dict[str, int]:
    """Count what one process maps of large anon folios; the waste of a folio is divided by those who map it."""
    row = Counter[str](anon_large_bytes=0, partially_mapped=0, partial_view=0, pmd_mapped_bytes=0, wasted_bytes=0)
    mapped = view.mapped()
    mine: dict[str, set[int]] = {}
    for entry in view.pages[process].values():
        if view.folios[entry.folio][0] == "anon":
            mine.setdefault(entry.folio, set()).add(entry.page)
            row["anon_large_bytes"] += PAGE
            row["pmd_mapped_bytes"] += PAGE * (entry.level == "pmd")
    for folio, pages in mine.items():
        nr_pages = 1 << view.folios[folio][1]
        owners = {name for names in mapped[folio].values() for name in names}
        wasted = nr_pages - len(mapped[folio])
        row["partially_mapped"] += wasted > 0
        row["partial_view"] += wasted == 0 and len(pages) < nr_pages
        row["wasted_bytes"] += wasted * PAGE // len(owners)
    return dict(row)


def write(snapshot: Snapshot, truth: dict[str, Any]) -> None:
    """Replace the example and its truth, readable by all: git and wheels keep no other modes."""
    size = snapshot.save(EXAMPLE, force=True)
    for path in (EXAMPLE, *EXAMPLE.iterdir()):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    TRUTH.parent.mkdir(exist_ok=True)
    TRUTH.write_text(json.dumps(truth, indent=1) + "\n")
    sys.stdout.write(f"{EXAMPLE.relative_to(TESTS.parent)}: {size} bytes, {len(snapshot.folios)} large folios\n")
    if size > MAX_BYTES:
        sys.exit(f"that is more than {MAX_BYTES} bytes: too much to ship")


if __name__ == "__main__":
    main()
