"""Whether the tables of a snapshot fit together, so that what reads one need not fear a damaged or hostile file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import Bools
    from mapcount.mapping.snapshot import Snapshot

_MAX_ORDER = 30
"""2^30 pages of 4 KiB are 4 TiB; the largest folio of any architecture is far below (hugetlb's 16 GiB)."""


def find_fault(snapshot: Snapshot) -> str:
    """
    Return the first thing that cannot be, with its table and row; empty if there is none.

    Ids are row numbers and refer to rows that exist, pages lie within their folio, a run's VMA belongs to its mm,
    ranges are not empty and do not wrap, and `cgroups` starts with the empty name.
    """
    meta = snapshot.meta
    if not 512 <= meta.page_size <= 1 << 20 or meta.page_size & (meta.page_size - 1):
        return f"page_size is {meta.page_size}"
    if not 0 <= meta.pmd_order <= _MAX_ORDER:
        return f"pmd_order is {meta.pmd_order}"
    if snapshot.cgroups[:1] != ("",) or len(set(snapshot.cgroups)) != len(snapshot.cgroups):
        return "the list of cgroups must start with the empty name and name each once"
    for table, what, wrong in _findings(snapshot):
        rows = np.flatnonzero(wrong)
        if rows.size:
            return f"{table}, row {rows[0]}: {what}"
    return ""


def _findings(snapshot: Snapshot) -> Iterator[tuple[str, str, Bools]]:
    # Lazily, in this order: a check may rely on those before it.
    for table, column in (("mms", "mm_id"), ("vmas", "vma_id"), ("folios", "folio_id")):
        ids = getattr(getattr(snapshot, table), column)
        yield table, f"{column} is not the row number", ids != np.arange(len(ids))
    yield from _dangling(snapshot)
    yield "folios", f"order is above {_MAX_ORDER}", snapshot.folios.order > _MAX_ORDER
    yield "vmas", "it ends before it starts", snapshot.vmas.start >= snapshot.vmas.end
    runs = snapshot.runs
    yield "runs", "vma_id belongs to another mm", snapshot.vmas.mm_id[runs.vma_id] != runs.mm_id
    for name in ("runs", "unseen", "observed_counts", "observed_words"):
        yield name, "its pages are not within the folio", _outside_folio(snapshot, getattr(snapshot, name))
    page_size = np.uint64(snapshot.meta.page_size)
    for name, ranges in (("runs", runs), ("observed_bits", snapshot.observed_bits)):
        yield name, "it has no pages", ranges.nr_pages == 0
        end = ranges.address + ranges.nr_pages * page_size
        yield name, "it wraps past the last address", end < ranges.address


def _dangling(snapshot: Snapshot) -> Iterator[tuple[str, str, Bools]]:
    rows = {"mm_id": len(snapshot.mms), "vma_id": len(snapshot.vmas), "folio_id": len(snapshot.folios)}
    for table, columns in (
        ("vmas", ("mm_id",)),
        ("runs", ("mm_id", "vma_id", "folio_id")),
        ("small", ("vma_id",)),
        ("swap", ("vma_id",)),
        ("unseen", ("folio_id",)),
        ("observed_counts", ("folio_id",)),
        ("observed_bits", ("mm_id",)),
        ("observed_vmas", ("vma_id",)),
        ("observed_words", ("folio_id",)),
    ):
        for column in columns:
            ids = getattr(getattr(snapshot, table), column)
            yield table, f"{column} names a row that does not exist", ids >= rows[column]


def _outside_folio(snapshot: Snapshot, ranges: Any) -> Bools:
    pages = np.uint64(1) << snapshot.folios.order[ranges.folio_id].astype(np.uint64)
    end = ranges.first_page.astype(np.uint64) + ranges.nr_pages
    outside: Bools = (end > pages) | (ranges.nr_pages == 0)
    return outside
