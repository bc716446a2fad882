"""The sweep: how many mappings each page of each large folio has, as segments instead of pages.

All folios lie one after the other on one axis of pages. Where a run or an `unseen` row begins the number of mappings
rises, where it ends it falls, so between two neighbouring cuts it is constant. Whole folios mapped at once, by far the
most common case, need no sort: their cuts are the bounds of the folio. Sums over segments, accumulated once, answer for
any run or folio by two look-ups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mapcount.record import record
from mapcount.survey.sorting import starts_of

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64
    from mapcount.mapping.snapshot import Snapshot

F64: TypeAlias = npt.NDArray[np.float64]


@record(frozen=True)
class Coverage:
    """
    Segments `[cuts[i], cuts[i + 1])` of the page axis with `mappings[i]` mappings of each page, `unseen` included.

    A PMD entry counts once for each of its pages. Segments never cross the bounds of a folio.
    """

    base: I64
    """First page of each folio on the axis; one entry more, the end of the axis."""
    cuts: I64
    mappings: I64
    folio_cut: I64
    """Index into `cuts` of each entry of `base`."""
    run_first: I64
    """Index into `cuts` of the begin of each run."""
    run_last: I64
    """Index into `cuts` of the end of each run."""

    @property
    def pages(self) -> I64:
        """Pages of each folio."""
        return np.diff(self.base)

    def mapped_pages(self) -> I64:
        """Pages of each folio with at least one mapping."""
        return self._by_folio(self._total(self.mappings > 0))

    def mappings_of_folios(self) -> I64:
        """Page mappings of each folio: the sum over its pages."""
        return self._by_folio(self._total(self.mappings))

    def once_pages(self) -> I64:
        """Pages of each run whose only mapping is that run (Uss)."""
        return self._by_run(self._total(self.mappings == 1))

    def share_pages(self, fewer: int = 0) -> F64:
        """Pages of each run, each divided by its mappings (Pss), or as if there were `fewer` of them, but at least 1."""
        # Rounding grows along the axis, 1e-16 of a page at a time: a 4 TiB machine errs by less than a byte.
        shares = np.diff(self.cuts) / np.maximum(self.mappings - fewer, 1) * (self.mappings > 0)
        total = np.concatenate(([0.0], np.cumsum(shares)))
        return total[self.run_last] - total[self.run_first]

    def covered(self, chosen: npt.NDArray[np.bool_]) -> tuple[I64, I64, I64]:
        """Return folio, first and end page (within the folio) of each maximal mapped stretch of chosen folios."""
        folio = np.repeat(np.arange(len(chosen)), np.diff(self.folio_cut))
        mapped = (self.mappings > 0) & chosen[folio]
        before = np.concatenate(([False], mapped[:-1])) & np.concatenate(([False], folio[1:] == folio[:-1]))
        after = np.concatenate((before[1:] & mapped[1:], [False]))
        begins, ends = np.flatnonzero(mapped & ~before), np.flatnonzero(mapped & ~after)
        of = folio[begins]
        return of, self.cuts[begins] - self.base[of], self.cuts[ends + 1] - self.base[of]

    def _total(self, values: npt.NDArray[np.bool_] | I64) -> I64:
        total = np.zeros(len(self.cuts), np.int64)
        np.cumsum(values * np.diff(self.cuts), out=total[1:])
        return total

    def _by_folio(self, total: I64) -> I64:
        return np.diff(total[self.folio_cut])

    def _by_run(self, total: I64) -> I64:
        return total[self.run_last] - total[self.run_first]


def cover(snapshot: Snapshot) -> Coverage:
    """Sweep over the runs and the `unseen` rows of a snapshot."""
    runs, unseen = snapshot.runs, snapshot.unseen
    pages = np.left_shift(1, snapshot.folios.order.astype(np.int64))
    base = np.concatenate(([0], np.cumsum(pages)))
    begin = base[runs.folio_id] + runs.first_page
    end = begin + runs.nr_pages
    whole = runs.nr_pages == pages[runs.folio_id]
    parts = np.flatnonzero(~whole)
    hidden = base[unseen.folio_id] + unseen.first_page
    hidden_end = hidden + unseen.nr_pages
    torn = np.flatnonzero(unseen.nr_pages != pages[unseen.folio_id])

    cuts, folio_cut = _insert(base, np.concatenate((begin[parts], end[parts], hidden[torn], hidden_end[torn])))
    first, last = folio_cut[runs.folio_id], folio_cut[1:][runs.folio_id]
    first[parts], last[parts] = np.searchsorted(cuts, begin[parts]), np.searchsorted(cuts, end[parts])
    hidden_first, hidden_last = folio_cut[unseen.folio_id], folio_cut[1:][unseen.folio_id]
    hidden_first[torn], hidden_last[torn] = np.searchsorted(cuts, hidden[torn]), np.searchsorted(cuts, hidden_end[torn])

    change = np.bincount(first, minlength=len(cuts)) - np.bincount(last, minlength=len(cuts))
    if len(unseen):
        change += total_by(hidden_first, unseen.mappings, len(cuts)) - total_by(hidden_last, unseen.mappings, len(cuts))
    return Coverage(base, cuts, np.cumsum(change)[:-1], folio_cut, first, last)


def _insert(base: I64, more: I64) -> tuple[I64, I64]:
    """Return all distinct values in order, and where those of `base` (ascending) are among them."""
    more = np.sort(more)
    at = np.searchsorted(base, more)
    new = starts_of(more) & (base[at] != more)  # nothing lies beyond the last of `base`
    place = np.arange(len(base)) + np.cumsum(np.bincount(at[new], minlength=len(base)))
    return np.insert(base, at[new], more[new]), place


def total_by(owner: npt.NDArray[np.integer[Any]], values: npt.NDArray[Any], owners: int) -> I64:
    """Sum integers by owner; exact below 2^53."""
    if owners == 1:  # one process, or one cgroup: nothing to tell apart
        return np.array([values.sum()], np.int64)
    return np.bincount(owner, weights=values, minlength=owners).astype(np.int64)
