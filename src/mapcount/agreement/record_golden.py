"""Records the golden traces of kernel images: `python -m mapcount.agreement.record_golden OUT [IMAGE...]`, or `make record`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from mapcount.agreement.golden import record
from mapcount.agreement.golden_file import save
from mapcount.errors import MapcountError
from mapcount.kernels.guest_backend import GuestBackend
from mapcount.kernels.images import cached_directories, find_image, read_image_record
from mapcount.scenarios.library import load_all
from mapcount.scenarios.walks import PROFILES, walk_scenario

SEEDS = (7, 11)
WALK_STEPS = 120
WITH_PROC = (
    "child-only-partial-64k",
    "cow-64k",
    "fork-partial-unmap-2M",
    "hugetlb-private",
    "lazy-free-2M",
    "mremap-part-2M",
    "no-access-2M",
    "pmd-split-by-mprotect-2M",
    "shmem-pmd-and-pte-2M",
    "shmem-private-2M",
    "small-pages",
    "split-owner-2M",
    "three-mms-2M",
    "three-mms-64k",
)
"""Of the library: those in which /proc is read, which takes most of the time."""


def main(arguments: list[str]) -> int:
    """
    Record each image into OUT/NAME.json, by default every one that is cached; say on stderr what came of it.

    Recorded are all scenarios of the library, and walks of every profile. Returns 1 if an image could not be recorded; its
    file is left as it was.
    """
    out, code = Path(arguments[0]), 0
    for name in arguments[1:] or [read_image_record(directory).name for directory in cached_directories()]:
        try:
            _record(name, out / f"{name}.json")
        except MapcountError as error:
            sys.stderr.write(f"{name}: {error}\n")
            code = 1
    return code


def _record(name: str, path: Path) -> None:
    image, began = find_image(name), time.monotonic()
    walks = [walk_scenario(profile, seed, WALK_STEPS) for profile in PROFILES for seed in SEEDS]
    with GuestBackend(image) as backend:
        trace = record(
            backend,
            [*load_all(), *walks],
            proc=lambda scenario: scenario.name in WITH_PROC,
            image_sha256=image.sha256,
            config=image.config.read_text(errors="replace") if image.config else "",
        )
    new = path.with_suffix(".new")
    save(trace, new)
    os.replace(new, path)
    took = f"{time.monotonic() - began:.0f} s"
    sys.stderr.write(f"{name}: {trace.kernel}, {len(trace.recorded)} scenarios, {trace.steps} steps in {took}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
