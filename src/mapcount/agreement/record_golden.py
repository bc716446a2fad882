"""Records golden traces: `python -m mapcount.agreement.record_golden OUT [--missing] [IMAGE...]`, or `make record`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from mapcount.agreement.golden import completed, missing, record
from mapcount.agreement.golden_file import load, save
from mapcount.errors import KernelImageError, MapcountError
from mapcount.kernels.guest_backend import GuestBackend
from mapcount.kernels.images import cached_directories, find_image, read_image_record
from mapcount.scenarios.library import load_all
from mapcount.scenarios.walks import PROFILES, walk_scenario

if TYPE_CHECKING:
    from mapcount.agreement.golden import Trace
    from mapcount.kernels.images import Image
    from mapcount.scenarios.scenario import Scenario

SEEDS = (7, 11)
WALK_STEPS = 120
LONGER = {"file": 330, "pieces": 520}
"""By profile, steps of walks that are longer: so many that each operation has an effect often enough (coverage.py)."""
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

    Recorded are all scenarios of the library, and walks of every profile; with `--missing` only what the file has not, the rest
    stays as it is; with `--only 'migrate*'` of that what the name matches. Returns 1 if an image could not be recorded; its
    file is left as it was.
    """
    parser = argparse.ArgumentParser(prog="record_golden")
    parser.add_argument("out", type=Path)
    parser.add_argument("images", nargs="*")
    parser.add_argument("--missing", action="store_true", help="only what a file has not, or not as it is now")
    parser.add_argument(
        "--only", metavar="GLOB", action="append", help="with --missing: what has such a name; repeatable"
    )
    asked, code = parser.parse_intermixed_args(arguments), 0
    for name in asked.images or [read_image_record(directory).name for directory in cached_directories()]:
        path = asked.out / f"{name}.json"
        try:
            before = load(path) if asked.missing and path.exists() else None
            _record(find_image(name), path, before, asked.only or ["*"])
        except MapcountError as error:
            sys.stderr.write(f"{name}: {error}\n")
            code = 1
    return code


def wanted() -> list[Scenario]:
    """Return what a golden trace holds: the scenarios of the library, then walks."""
    return [
        *load_all(),
        *(walk_scenario(profile, seed, LONGER.get(profile, WALK_STEPS)) for profile in PROFILES for seed in SEEDS),
    ]


def _record(image: Image, path: Path, before: Trace | None, only: list[str]) -> None:
    scenarios, began = wanted(), time.monotonic()
    if before:
        if before.image_sha256 != image.sha256:
            raise KernelImageError(f"{path} was recorded with another image: record it whole, without --missing")
        scenarios = [one for one in missing(before, scenarios, proc=with_proc) if _matches(one.name, only)]
    with GuestBackend(image, keeps_state=True) as backend:
        trace = record(
            backend,
            scenarios,
            proc=with_proc,
            image_sha256=image.sha256,
            config=image.config.read_text(errors="replace") if image.config else "",
        )
    said = f"{len(trace.recorded)} scenarios, {trace.steps} steps in {time.monotonic() - began:.0f} s"
    if before:
        trace = completed(
            before, trace, _to_keep(before, only), proc=lambda one: with_proc(one) and _matches(one.name, only)
        )
        skipped = {name: why for name, why in before.skipped.items() if not _matches(name, only)}
        trace = replace(trace, skipped=skipped | dict(trace.skipped))
        said += f"; {len(trace.recorded)} scenarios, {trace.steps} steps in all"
    new = path.with_suffix(".new")
    save(trace, new)
    os.replace(new, path)
    sys.stderr.write(f"{image.name}: {trace.kernel}, {said}\n")


def _to_keep(before: Trace, only: list[str]) -> list[Scenario]:
    """Return what the file is to hold: what was not asked for as it was recorded, whatever is wanted today."""
    asked = [one for one in wanted() if _matches(one.name, only)]
    others = [one.scenario for one in before.recorded if not _matches(one.scenario.name, only)]
    order = {one.name: number for number, one in enumerate(wanted())}
    return sorted([*others, *asked], key=lambda one: order.get(one.name, len(order)))


def _matches(name: str, only: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in only)


def with_proc(scenario: Scenario) -> bool:
    """Tell whether /proc is read in a scenario."""
    return scenario.name in WITH_PROC


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
