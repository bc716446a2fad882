"""A number for each page of all folios, as stretches of equal value: what is constant over many pages takes one entry.

Folios lie one after the other on one axis of pages, folio `f` from `base[f]` to `base[f + 1]` (survey/coverage.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64

Values = npt.NDArray[Any]


class Pieces(NamedTuple):
    """Ranges of pages, cut where the value changes."""

    range: I64
    """Number of the range that it is a piece of."""
    first: I64
    """Pages from the begin of that range."""
    pages: I64
    value: Values


@dataclass(frozen=True, eq=False)
class Steps:
    """Pages `[cuts[i], cuts[i + 1])` have `values[i]`, integers or floats; the last cut is the end of the axis."""

    cuts: I64
    values: Values

    @staticmethod
    def of_pages(values: Values) -> Steps:
        """Take a value per page."""
        changes = np.ones(len(values), np.bool_)
        np.not_equal(values[1:], values[:-1], out=changes[1:])
        at = np.flatnonzero(changes)
        return Steps(np.append(at, len(values)), values[at])

    def with_values(self, values: Values) -> Steps:
        """Return the same stretches with other values."""
        return Steps(self.cuts, values)

    def at(self, pages: I64) -> Values:
        """Return the value of each page."""
        return self.values[self._stretch(pages)]

    def sums(self, begin: I64, end: I64) -> Values:
        """Add up the values of the pages of each range `[begin, end)`."""
        return self._below(end) - self._below(begin)

    def largest(self, begin: I64, end: I64) -> Values:
        """Return the greatest value in each range, none of which may be empty."""
        if not len(begin):
            return self.values[:0]
        first, last = self._stretch(begin), self._stretch(end - 1) + 1
        # reduceat goes from each index to the next: of the pairs only the even ones are wanted. In the order of their
        # begin, what lies between two pairs adds up to no more than the axis.
        order = np.argsort(first, kind="stable")
        bounds = np.stack((first[order], last[order]), axis=1).ravel()
        found = np.empty(len(begin), self.values.dtype)
        padded = np.append(self.values, self.values[:1])  # the end of the axis may be an index too
        found[order] = np.maximum.reduceat(padded, bounds)[::2]
        return found

    def pieces(self, begin: I64, end: I64) -> Pieces:
        """Cut each range `[begin, end)`, none of them empty, where the value changes."""
        first = self._stretch(begin)
        counts = self._stretch(end - 1) - first + 1
        row = np.repeat(np.arange(len(begin)), counts)
        stretch = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        values = self.values[stretch]
        changes = np.ones(len(row), np.bool_)
        changes[1:] = (row[1:] != row[:-1]) | (values[1:] != values[:-1])
        row, stretch, values = row[changes], stretch[changes], values[changes]
        at = np.maximum(self.cuts[stretch], begin[row])
        stop = np.append(at[1:], 0)
        lasts = np.ones(len(row), np.bool_)
        lasts[:-1] = row[1:] != row[:-1]
        stop[lasts] = end[row[lasts]]
        return Pieces(row, at - begin[row], stop - at, values)

    @cached_property
    def _totals(self) -> Values:
        totals = np.zeros(len(self.cuts), self.values.dtype)
        np.cumsum(self.values * np.diff(self.cuts), out=totals[1:])
        return totals

    def _stretch(self, pages: I64) -> I64:
        found: I64 = np.searchsorted(self.cuts, pages, side="right") - 1
        return found

    def _below(self, pages: I64) -> Values:
        """Add up the values of all pages before each."""
        if not len(self.values):
            return np.zeros(len(pages), self.values.dtype)
        stretch = np.minimum(self._stretch(pages), len(self.values) - 1)
        below: Values = self._totals[stretch] + self.values[stretch] * (pages - self.cuts[stretch])
        return below


def count_ranges(base: I64, begin: I64, end: I64) -> Steps:
    """Count, for each page, the ranges `[begin, end)` that hold it; `base` are the folios' begins and the end of the axis."""
    cuts, which = np.unique(np.concatenate((base, begin, end)), return_inverse=True)
    starts, stops = np.split(which[len(base) :], 2)
    change = np.bincount(starts, minlength=len(cuts)) - np.bincount(stops, minlength=len(cuts))
    return Steps(cuts, np.cumsum(change)[:-1])
