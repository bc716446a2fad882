"""What if no anon folio were larger than order k: the same mappings with folios cut, for each k.

A piece that nobody maps would be free. What a cut costs (faults, TLB misses, LRU and allocator work) is not in here,
nor is underuse: pages that are mapped and hold only zeros cannot be told from /proc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.survey.small import join_small
from mapcount.survey.types import CutRow

if TYPE_CHECKING:
    from mapcount.survey.facts import Facts


def cut_rows(facts: Facts) -> list[CutRow]:
    """
    Return one row per order from 0 to that of the largest anon folio; the last is how things are.

    Folios in the swap cache are not cut. Of a folio whose unmapped pages are not known (see facts.py) only the pieces
    with a captured mapping count, and no waste.
    """
    snapshot, page = facts.snapshot, facts.snapshot.meta.page_size
    mapped = facts.anon & (facts.mapped_pages > 0)
    order = snapshot.folios.order.astype(np.int64)
    small = join_small(snapshot)
    small_folios = int(small.pages[small.kind == Kind.ANON].sum())
    if not mapped.any() and not small_folios:
        return []
    # A folio that is mapped whole has all its pieces; only the others need to be looked at stretch by stretch.
    whole = mapped & (facts.mapped_pages == facts.pages) & ~snapshot.folios.swapcache
    torn = facts.anon & (facts.mapped_pages < facts.pages) & ~snapshot.folios.swapcache
    folio, first, end = facts.coverage.covered(torn)
    today = int(facts.wasted_pages.sum())
    rows = []
    for k in range(int(order[mapped].max(initial=0)) + 1):
        large = order[folio] > k
        pieces = _pieces(folio[large], first[large] >> k, (end[large] - 1) >> k, len(order))
        cut = torn & (order > k)
        wasted = np.where(cut & facts.known, (pieces << k) - facts.mapped_pages, facts.wasted_pages)
        folios = (
            small_folios
            + int((1 << np.maximum(order[whole] - k, 0)).sum())
            + int(pieces.sum())
            + int((mapped & ~whole & ~cut).sum())
        )
        wasted_pages = int(wasted.sum())
        rows.append(CutRow(k, page << k, folios, wasted_pages * page, (today - wasted_pages) * page))
    return rows


def _pieces(
    folio: np.ndarray[tuple[int], np.dtype[np.int64]],
    first: np.ndarray[tuple[int], np.dtype[np.int64]],
    last: np.ndarray[tuple[int], np.dtype[np.int64]],
    folios: int,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Count, for each folio, the pieces that its mapped stretches touch; `first` and `last` are pieces, in order."""
    touched = last - first + 1
    # Two stretches of one folio may end and begin in the same piece.
    touched[1:] -= (folio[1:] == folio[:-1]) & (first[1:] == last[:-1])
    return np.bincount(folio, weights=touched, minlength=folios).astype(np.int64)
