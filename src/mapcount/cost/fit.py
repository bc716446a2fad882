"""What measured times say an atomic, a cache line and a page-table entry cost: least squares, judged on sizes held out.

The time of an operation, a page, is taken to be a sum of counted things, each times its price: LOCKed operations and plain
stores, distinct cache lines of struct pages, a page-table entry, which each kind of operation treats in its own way, a call of
rmap with all around it, a folio that is come to (cold, as a rule), and a folio that is freed. What is counted comes from replay
under the scheme of the kernel that was measured.

What tells these apart (benchmark.py): hot-locked, hot-stores and line-locked are an instruction each; fork-again does without
one LOCKed operation a page of fork-read; pieces need a call for each page. Two facts are in it (mm/page_alloc.c, 7.3): freeing
a folio writes to the flags of each of its pages (__free_pages_prepare()), so that a scheme which leaves these alone saves no
line there; folios of up to 32K or of PMD size are freed to a list of this CPU, others to the zone, under its lock
(pcp_allowed_order()). Folios of one page are not fitted: the kernel has paths of their own for them.

Residuals are relative, so that a large and a small folio weigh the same; no price is below 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mapcount.cost.benchmark import FREES, PAGES, READ_ONLY, base_of, operation_of, way_of
from mapcount.cost.measured import Measurement
from mapcount.cost.operations import PMD_ORDER
from mapcount.cost.price import price
from mapcount.schemes.catalogue import find_scheme

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from mapcount.cost.measured import Measured
    from mapcount.cost.price import Price
    from mapcount.mapping.schema import Bools
    from mapcount.schemes.eras import Policies

    F64 = npt.NDArray[np.float64]

ATOMIC, STORE, LINE = "LOCKed operation", "plain store", "cache line"
READ_ONLY_MADE = "entry made read-only"
LAST = "call, last mapping"
FREED_TO_CPU, FREED_TO_ZONE = "folio freed, to CPU", "folio freed, to zone"
_LARGEST_OF_CPU = 3
"""PAGE_ALLOC_COSTLY_ORDER"""
ALONE: Mapping[str, Mapping[str, float]] = {
    "hot-locked": {ATOMIC: 1.0},
    "hot-stores": {STORE: 1.0},
    "line-locked": {ATOMIC: 1.0, LINE: 1.0},
}
"""Measurements that are an instruction each: no operation on folios."""
_MOST_ROUNDS = 3
"""A column, of not_negative; more only happen where columns are so alike that it does not matter which is chosen."""
_NO_GAIN = 1e-10


@dataclass(frozen=True)
class FittedPrice:
    """The price of one thing on this machine."""

    thing: str
    ns: float


@dataclass(frozen=True)
class Predicted:
    """One operation and size: measured, and as the prices have it; nanoseconds a page."""

    operation: str
    order: int
    measured_ns: float
    first_quartile_ns: float
    third_quartile_ns: float
    predicted_ns: float
    error: float
    """how far the prediction is off, as a part of what was measured"""
    held_out: bool
    """this size was not fitted"""


@dataclass(frozen=True)
class Fit:
    """Prices in nanoseconds by name, and how well they explain what was measured."""

    prices: Mapping[str, float]
    rows: tuple[Predicted, ...]

    def mean_error(self, *, held_out: bool) -> float:
        """Return the mean of |error| over the sizes fitted, or over those held out; 0 if there are none."""
        errors = self._errors(held_out=held_out)
        return sum(errors) / len(errors) if errors else 0.0

    def worst_error(self, *, held_out: bool) -> float:
        """Return the largest |error| of the sizes fitted, or of those held out; 0 if there are none."""
        return max(self._errors(held_out=held_out), default=0.0)

    def _errors(self, *, held_out: bool) -> list[float]:
        return [abs(row.error) for row in self.rows if row.held_out == held_out]

    def knows(self, operation: str, counted: Price) -> bool:
        """Tell whether all that an operation has got a price: not so of a PMD split, say, if 2M was not measured."""
        return features(operation, counted).keys() <= self.prices.keys()

    def ns_per_page(self, operation: str, counted: Price) -> float:
        """Return the predicted time of an operation, a page, on this machine under any scheme and way to batch."""
        return sum(self.prices.get(name, 0.0) * number for name, number in features(operation, counted).items())


def features(operation: str, counted: Price) -> dict[str, float]:
    """Return what an operation has of each thing that has a price, a page."""
    pages, way, frees = counted.pages, way_of(operation), base_of(operation) in FREES
    found = {ATOMIC: counted.all_locked / pages, STORE: counted.stores / pages}
    if not frees:
        found[LINE] = counted.struct_pages / pages
    if way == "fork" and operation not in READ_ONLY:
        found[READ_ONLY_MADE] = 1.0
    if operation.endswith(PAGES):
        found[f"entry, {operation}"] = 1.0
    else:
        found[f"entry, {'free' if frees else way}"] = 1.0
        if way in {"fork", "unmap"}:
            found[f"call, {way}"] = counted.calls / pages
            found[f"folio, {way}"] = 1 / pages
        if frees:
            found[LAST] = counted.calls / pages
    if frees:
        of_cpu = counted.order <= _LARGEST_OF_CPU or counted.order == PMD_ORDER
        found[FREED_TO_CPU if of_cpu else FREED_TO_ZONE] = 1 / pages
    return found


def fit(measured: Measured, scheme_id: str, policies: Policies, fitted: Collection[int]) -> Fit:
    """
    Return prices from the orders `fitted`; the other orders are predicted and tell the error.

    `scheme_id` and `policies` are of the kernel that was measured (schemes/eras.py). Operations of one size alone (pmd-split)
    are fitted.
    """
    told = [
        (one, _things(one, scheme_id, policies), one.name in ALONE or one.name == "pmd-split" or one.order in fitted)
        for one in measured.measurements
        if one.order or one.name in ALONE
    ]
    names = list(dict.fromkeys(name for _, things, is_fitted in told if is_fitted for name in things))
    relative = np.array(
        [[things.get(name, 0.0) / one.median for name in names] for one, things, is_fitted in told if is_fitted]
    )
    prices = dict(zip(names, not_negative(relative, np.ones(len(relative))).tolist(), strict=True))
    rows = [
        _predicted(one, sum(prices.get(name, 0.0) * number for name, number in things.items()), held_out=not is_fitted)
        for one, things, is_fitted in told
        if one.name not in ALONE
    ]
    return Fit(prices, tuple(rows))


def _things(one: Measurement, scheme_id: str, policies: Policies) -> Mapping[str, float]:
    if one.name in ALONE:
        return ALONE[one.name]
    batched = policies.batches_fork if way_of(one.name) == "fork" else policies.batches_unmap
    return features(one.name, counted_of(scheme_id, one.name, one.order, batched=batched))


def _predicted(one: Measurement, ns: float, *, held_out: bool) -> Predicted:
    return Predicted(one.name, one.order, one.median, *one.spread, ns, ns / one.median - 1, held_out)


def locked_in_place(measured: Measured) -> Measurement:
    """Return what a LOCKed operation takes within fork(): fork-read less fork-again, which does without one a page."""
    times = {(one.name, one.order): one.ns for one in measured.measurements}
    read, again = (
        [ns for (name, order), rounds in times.items() if name == wanted and order for ns in rounds]
        for wanted in ("fork-read", "fork-again")
    )
    return Measurement("locked-in-place", 0, tuple(a - b for a, b in zip(read, again, strict=True)))


@cache
def counted_of(scheme_id: str, operation: str, order: int, *, batched: bool) -> Price:
    """Return the counts of an operation of the benchmark: rmap and references batched, or neither."""
    return price(
        find_scheme(scheme_id), operation_of(operation), order, rmap_batched=batched, references_batched=batched
    )


def not_negative(matrix: F64, target: F64) -> F64:
    """Solve least squares with no solution below 0 (Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23)."""
    solution: F64 = np.zeros(matrix.shape[1])
    free = np.zeros(matrix.shape[1], bool)
    for _ in range(_MOST_ROUNDS * matrix.shape[1]):
        gain = np.where(free, 0.0, matrix.T @ (target - matrix @ solution))
        if gain.max() <= _NO_GAIN:
            break
        free[int(gain.argmax())] = True
        solution = _with_free(matrix, target, solution, free)
    return solution


def _with_free(matrix: F64, target: F64, solution: F64, free: Bools) -> F64:
    """Return the best solution with the `free` columns alone; those that would fall below 0 are free no more."""
    while True:
        wanted = np.zeros(matrix.shape[1])
        wanted[free], *_ = np.linalg.lstsq(matrix[:, free], target, rcond=None)
        below = free & (wanted <= 0)
        if not below.any():
            return wanted
        step = (solution[below] / (solution[below] - wanted[below])).min()
        solution = solution + step * (wanted - solution)
        free &= solution > _NO_GAIN
        solution[~free] = 0.0


def held_in(orders: Sequence[int]) -> list[int]:
    """Return every other order of those of large folios, the least and the largest among them: the rest is held out."""
    chosen = sorted(order for order in orders if order)
    return sorted({*chosen[::2], chosen[-1]})
