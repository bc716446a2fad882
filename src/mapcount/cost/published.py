"""What was published about the cost of counting, and what this machine's prices say of the same change.

Percent of run time, negative: faster. All on large folios that PTEs map, one thread, nobody else on the same lines: the
benchmarks of David Hildenbrand, pte-mapped-folio-benchmarks.c, 1 GiB of folios of one size. What they call remap is pmd-split
here, cow-byte is cow, and pte-dontneed (MADV_DONTNEED of each page by itself) is dontneed-pages. Reuse of pages after fork
(-64 %) is not predicted: it is a copy that is not made, not a counter.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

from mapcount.cost.fit import counted_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mapcount.cost.fit import Fit

SMALL = 4.0
"""Percent, or points between two. Owner tracking v1 tells a standard deviation of 1 to 2 % for munmap of 32K to 128K, and calls
the 2 to 4 % that it sees there unexpected: up to twice 2 % neither a sign nor which of two is larger is taken as told."""


class Kernel(NamedTuple):
    """A way of counting, and whether rmap and references are batched."""

    scheme: str
    batched: bool


@dataclass(frozen=True)
class Series:
    """One published table, or a row of it: the change of run time by operation and folio order."""

    title: str
    source: str
    machine: str
    before: Kernel
    after: Kernel
    percents: Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Compared:
    """One published figure beside the prediction, percent of run time."""

    series: str
    operation: str
    order: int
    published: float
    predicted: float
    difference: float
    """by how many points the prediction is off"""
    sign: str
    """`same`, `small` (both are at most SMALL) or `OTHER`"""


class Order(NamedTuple):
    """Of one series: how many pairs of figures differ by more than SMALL, and those that are not predicted in that order."""

    pairs: int
    missed: tuple[tuple[Compared, Compared], ...]
    """the smaller published figure first"""


def compare(fitted: Fit, series: Iterable[Series] = ()) -> list[Compared]:
    """Return every published figure beside what the prices of a machine say of it; of what was not measured nothing is said."""
    rows = []
    for one in series or SERIES:
        for (operation, order), published in one.percents.items():
            before, after = (
                counted_of(kernel.scheme, operation, order, batched=kernel.batched)
                for kernel in (one.before, one.after)
            )
            if not (fitted.knows(operation, before) and fitted.knows(operation, after)):
                continue
            predicted = 100 * (fitted.ns_per_page(operation, after) / fitted.ns_per_page(operation, before) - 1)
            off, sign = predicted - published, _sign(published, predicted)
            rows.append(Compared(one.title, operation, order, published, predicted, off, sign))
    return rows


def order_of(rows: Iterable[Compared]) -> Order:
    """Return which pairs of one series are told apart, across sizes and operations alike; predicted to be equal is missed."""
    told = [
        (a, b)
        for a, b in combinations(sorted(rows, key=lambda row: row.published), 2)
        if b.published - a.published > SMALL
    ]
    return Order(len(told), tuple((a, b) for a, b in told if a.predicted >= b.predicted))


def _sign(published: float, predicted: float) -> str:
    if published * predicted > 0:
        return "same"
    return "small" if max(abs(published), abs(predicted)) <= SMALL else "OTHER"


def _by_size(operation: str, percents: Sequence[float], first: int = 2) -> dict[tuple[str, int], float]:
    return {(operation, first + number): percent for number, percent in enumerate(percents)}


def _sizes_from_4k(operation: str, before: Sequence[int], after: Sequence[int]) -> dict[tuple[str, int], float]:
    """Return percents of times: of 4K, then of 16K to 2M."""
    orders = (0, *range(2, 10))
    return {(operation, order): 100 * (new / old - 1) for order, old, new in zip(orders, before, after, strict=True)}


def _wip(stage: str, machine: str, scheme: str, percents: Sequence[float]) -> Series:
    """Return a row of the WIP series: a stage of it against 6.7-rc1 on one machine, all on folios of 2M."""
    operations = ("pmd-split", "munmap", "fork", "cow", "dontneed-pages")
    return Series(
        f"WIP rmap IDs: {stage}, {machine}",
        "20231124132626.235350-1-david@redhat.com",
        machine,
        _UNBATCHED_6_8,
        Kernel(scheme, batched=False),
        {(operation, 9): percent for operation, percent in zip(operations, percents, strict=True)},
    )


_XEON, _EPYC = "Xeon 4210R", "EPYC 7313"
_UNBATCHED_6_8 = Kernel("nr-pages-mapped", batched=False)
SERIES = (
    Series(
        "fork in batches (6.9)",
        "20240129124649.189745-1-david@redhat.com",
        _XEON,
        _UNBATCHED_6_8,
        Kernel("nr-pages-mapped", batched=True),
        _sizes_from_4k(
            "fork",
            (14328, 14263, 14334, 14046, 14011, 13993, 13983, 13986, 14305),
            (14035, 11960, 10940, 10444, 10063, 9938, 9850, 9820, 10076),
        ),
    ),
    Series(
        "munmap in batches (6.9)",
        "20240214204435.167852-1-david@redhat.com",
        _XEON,
        _UNBATCHED_6_8,
        Kernel("nr-pages-mapped", batched=True),
        _sizes_from_4k(
            "munmap",
            (58110, 44198, 34216, 29207, 26579, 25130, 24292, 23812, 23785),
            (57715, 35469, 23522, 18434, 14026, 11756, 10703, 10294, 9910),
        ),
    ),
    Series(
        "_nr_pages_mapped in batches (6.12)",
        "20240807115515.1640951-1-david@redhat.com; it says how much faster, taken as so much less time",
        "the machine is not told",
        Kernel("large-mapcount:unbatched", batched=True),
        Kernel("large-mapcount", batched=True),
        _by_size("munmap", (-10, -15, -17, -21, -22, -22, -23, -27)),
    ),
    Series(
        "MM owner tracking v1, with counts per page",
        "20240829165627.2256514-1-david@redhat.com",
        _XEON,
        Kernel("large-mapcount", batched=True),
        Kernel("mm-id", batched=True),
        _by_size("munmap", (2, 3, 4, 3, 1, 1, 0, 0))
        | _by_size("fork", (4, 1, 0, 0, 0, 0, 0, -1))
        | _by_size("cow", (0,) * 8),
    ),
    Series(
        "MM owner tracking v1, without counts per page",
        "20240829165627.2256514-1-david@redhat.com",
        _XEON,
        Kernel("large-mapcount", batched=True),
        Kernel("no-page-mapcount", batched=True),
        _by_size("munmap", (-8, -9, -16, -17, -23, -26, -29, -31))
        | _by_size("fork", (-9, -12, -15, -15, -16, -16, -17, -21))
        | _by_size("cow", (0,) * 8),
    ),
    _wip("total mapcount only", _XEON, "total-mapcount", (13.4, 0.3, 14.2, 0.2, 2.8)),
    _wip("total mapcount only", _EPYC, "total-mapcount", (24.3, 1.8, 25.9, 2.6, 4.5)),
    _wip("3 values for 2M", _XEON, "rmap-id", (108.7, 42.1, 93.3, 2.7, 12.9)),
    _wip("3 values for 2M", _EPYC, "rmap-id", (45.6, 6.3, 30.4, 4.1, 6.7)),
)
"""Whole tables: no figure that was published there for these operations is left out, but for the stages of the WIP series that
are no scheme here. `rmap-id` is what there is after patch 11, three values for 2M, the row 123; its row rmap-id has more."""
CONTENTION = (
    "Contention: nothing is claimed. The one published figure: anon-cow-seq with 256 threads on two sockets lost 7.8 % of its "
    "throughput to owner tracking (6.15), which does as many LOCKed operations as 6.12. Disputed: 16.5 % fewer THPs were "
    "allocated in that run, so that part of it is another benchmark."
)
