"""The usual case: how many pages of a folio one call of rmap covers, for programs in a guest with large folios for everything.

A counter for a whole folio pays where a call maps or unmaps it whole. rmap_calls.py tells how calls are seen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.rmap_calls import Change, histogram
from mapcount.machine.folios import PMD_ORDER
from mapcount.scenarios.scenario import Settings
from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mapcount.kernels.rmap_calls import RmapCall
    from mapcount.kernels.workloads import Workload

TIME_LIMIT_S = 300.0
"""For one program, under TCG with a plugin."""
FIRST = (6, 10)
"""The first release whose folios count all their mappings in one word."""
_MTHP_ORDER = 4
SIZES = {"2M": Settings(thp="always"), "64K, 2M": Settings(thp="always", anon={_MTHP_ORDER: "always"})}
"""Which folios anon memory gets, wherever they fit."""


@dataclass(frozen=True)
class UsualCase:
    """Calls of one sort that a program's kernel made on folios of one size. `pages` are those that all calls covered."""

    release: str
    sizes: str
    """a name of SIZES"""
    program: str
    change: Change
    order: int
    by_pmd: bool
    calls: int
    pages: int
    of_one_page: int
    of_the_whole_folio: int
    median_pages: int
    """Half of the calls covered so many pages or fewer."""


@dataclass(frozen=True)
class Measured:
    """What programs did on one kernel."""

    release: str
    runs: tuple[tuple[str, str], ...]
    """sizes and program of each run, also of those without any call"""
    rows: tuple[UsualCase, ...]


def check_release(release: str) -> None:
    """Raise KernelFeatureError for a kernel that does not show its calls."""
    if parse_release(release) < FIRST:
        raise KernelFeatureError(
            f"{release} does not count all mappings of a folio in one word, by which calls of rmap are told: that came with "
            f"Linux {FIRST[0]}.{FIRST[1]}"
        )


def measure(
    release: str,
    run: Callable[[Sequence[str], Settings], tuple[int, list[RmapCall]]],
    workloads: Mapping[str, Workload],
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """
    Run each program with each of SIZES; return what was counted.

    `run` gives wait status and calls of a command (PluginGuest.rmap_calls). Raises GuestError if a program fails.
    """
    runs, rows = [], list[UsualCase]()
    for sizes, settings in SIZES.items():
        for name, workload in workloads.items():
            progress(f"{name}, {sizes}")
            status, found = run(workload.command, settings)
            if status:
                raise GuestError(
                    f"{name} failed on {release} with wait status {status:#x}: {' '.join(workload.command)}"
                )
            runs.append((sizes, name))
            rows += summarise(release, sizes, name, found)
    return Measured(release, tuple(runs), tuple(rows))


def summarise(release: str, sizes: str, program: str, found: Iterable[RmapCall]) -> Iterator[UsualCase]:
    """Yield the rows of one run: by change in the order of Change, folio size, PMDs before PTEs."""
    alike: dict[tuple[Change, int, bool], Counter[int]] = {}
    for (change, order, by_pmd, nr_pages), calls in histogram(found).items():
        alike.setdefault((change, order, by_pmd), Counter())[nr_pages] += calls
    places = {change: place for place, change in enumerate(Change)}
    for (change, order, by_pmd), sizes_of in sorted(
        alike.items(), key=lambda item: (places[item[0][0]], item[0][1], not item[0][2])
    ):
        yield UsualCase(
            release,
            sizes,
            program,
            change,
            order,
            by_pmd,
            calls=sizes_of.total(),
            pages=sum(nr_pages * calls for nr_pages, calls in sizes_of.items()),
            of_one_page=sizes_of[1],
            of_the_whole_folio=sizes_of[1 << order],
            median_pages=_median(sizes_of),
        )


def _median(sizes: Counter[int]) -> int:
    half, seen = (sizes.total() + 1) // 2, 0
    for nr_pages in sorted(sizes):
        seen += sizes[nr_pages]
        if seen >= half:
            return nr_pages
    raise AssertionError(f"no calls, and up to {1 << PMD_ORDER} pages")
