"""Who maps which folio: each pair of an owner (process, program, VMA) and a large folio once, with its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Level
from mapcount.record import record
from mapcount.survey.sorting import order_of, starts_of

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools, Runs


@record(frozen=True)
class Pairs:
    """One row per owner and folio that it maps, sorted by owner, then folio."""

    owner: I64
    folio: I64
    pages: I64
    """Distinct pages of the folio that the owner maps."""
    pmd: Bools
    """It maps some of it by a PMD or PUD."""


def pair_up(owner_of_run: I64, runs: Runs, base: I64) -> Pairs:
    """
    Join the runs of each owner and folio; pages that an owner maps twice count once.

    `owner_of_run` numbers the owners from 0; `base` is the first page of each folio on the page axis (coverage.py).
    """
    if len(runs) == 0:
        none = np.empty(0, np.int64)
        return Pairs(none, none, none, none.astype(np.bool_))
    # One axis per owner, one after the other: sorted by begin, a page is new if no earlier run reached it.
    offset = owner_of_run.astype(np.int64) * base[-1]
    begin = offset + base[runs.folio_id] + runs.first_page
    order = order_of(begin)
    begin, end = begin[order], (begin + runs.nr_pages)[order]
    reached = np.maximum.accumulate(end)
    begin[1:] = np.maximum(begin[1:], reached[:-1])
    fresh = np.maximum(end - begin, 0)

    owner, folio = owner_of_run[order].astype(np.int64), runs.folio_id[order].astype(np.int64)
    starts = np.flatnonzero(starts_of(owner) | starts_of(folio))
    pmd = np.logical_or.reduceat(runs.level[order] != Level.PTE, starts)
    return Pairs(owner[starts], folio[starts], np.add.reduceat(fresh, starts), pmd)
