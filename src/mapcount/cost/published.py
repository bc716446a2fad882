"""What was published about the cost of counting, and what this machine's prices say of the same change.

Percent of run time, negative: faster. All on large folios that PTEs map, one thread, nobody else on the same lines: the
benchmarks of David Hildenbrand, pte-mapped-folio-benchmarks.c, 1 GiB of folios of one size. `remap` there is the split of a
PMD. Reuse of pages after fork (-64 %) is not predicted: it is a copy that is not made, not a counter.
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
"""Percent. The sources call 1 to 3 % noise; below this neither sign nor order is judged."""


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
    """Of one series: pairs of figures that differ by more than SMALL, and how many of them are predicted in that order."""

    pairs: int
    same: int


def compare(fitted: Fit, series: Iterable[Series] = ()) -> list[Compared]:
    """Return every published figure beside what the prices of a machine say of it."""
    rows = []
    for one in series or SERIES:
        for (operation, order), published in one.percents.items():
            before, after = (_ns(fitted, operation, order, kernel) for kernel in (one.before, one.after))
            predicted = 100 * (after / before - 1)
            off, sign = predicted - published, _sign(published, predicted)
            rows.append(Compared(one.title, operation, order, published, predicted, off, sign))
    return rows


def order_of(rows: Sequence[Compared]) -> Order:
    """Count over the figures of one series which are told apart, and which of these in the same order."""
    told = [(a, b) for a, b in combinations(rows, 2) if abs(a.published - b.published) > SMALL]
    same = sum((a.published < b.published) == (a.predicted < b.predicted) for a, b in told)
    return Order(len(told), same)


def _ns(fitted: Fit, operation: str, order: int, kernel: Kernel) -> float:
    counted = counted_of(kernel.scheme, operation, order, batched=kernel.batched)
    return fitted.ns_per_page(operation, counted)


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


def _at_2m(operations: Sequence[str], percents: Sequence[float]) -> dict[tuple[str, int], float]:
    return {(operation, 9): percent for operation, percent in zip(operations, percents, strict=True)}


_XEON = "Xeon 4210R"
_WIP = "20231124132626.235350-1-david@redhat.com"
_WIP_OPERATIONS = ("pmd-split", "munmap", "fork", "cow", "dontneed")
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
        _by_size("munmap", (2, 3, 4, 3, 1, 1, 0, 0)) | _by_size("fork", (4, 1, 0, 0, 0, 0, 0, -1)),
    ),
    Series(
        "MM owner tracking v1, without counts per page",
        "20240829165627.2256514-1-david@redhat.com",
        _XEON,
        Kernel("large-mapcount", batched=True),
        Kernel("no-page-mapcount", batched=True),
        _by_size("munmap", (-8, -9, -16, -17, -23, -26, -29, -31))
        | _by_size("fork", (-9, -12, -15, -15, -16, -16, -17, -21)),
    ),
    Series(
        "WIP rmap IDs: total mapcount only",
        _WIP,
        f"{_XEON}; EPYC 7313: 24.3, 1.8, 25.9, 1.5, 4.5",
        _UNBATCHED_6_8,
        Kernel("total-mapcount", batched=False),
        _at_2m(_WIP_OPERATIONS, (13.4, 0.3, 14.2, 0.5, 2.8)),
    ),
    Series(
        "WIP rmap IDs: rmap-id",
        _WIP,
        f"{_XEON}; EPYC 7313: 55.4, 12.5, 27.9, 2.6, 6.3",
        _UNBATCHED_6_8,
        Kernel("rmap-id", batched=False),
        _at_2m(_WIP_OPERATIONS, (123.7, 48.8, 105.9, 3.0, 14.8)),
    ),
)
"""Whole tables: no figure that was published there for these operations is left out, but for the stages of the WIP series
between its first and its last that are no scheme here."""
CONTENTION = (
    "Contention: nothing is claimed. The one published figure: anon-cow-seq with 256 threads on two sockets lost 7.8 % of its "
    "throughput to owner tracking (6.15), which does as many LOCKed operations as 6.12. Disputed: 16.5 % fewer THPs were "
    "allocated in that run, so that part of it is another benchmark."
)
