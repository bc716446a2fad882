"""Entry by entry: bit 56 of pagemap for each mapped page, and kpagecount for each page of a folio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind, ObservedBits, ObservedCounts
from mapcount.views.reading import axis_of, batches_of_runs, in_smaps, is_huge

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.reading import Reading


def bits(snapshot: Snapshot, reading: Reading) -> ObservedBits:
    """
    Return bit 56 of every page that a run maps, run-length, in the order of the runs; PMDs and hugetlb included.

    An entry whose page vm_normal_page() does not return has none: the zero page, device memory. Nor has what a shared
    hugetlb table maps. A PMD of the huge zero folio is looked at as any other (pmd_page, pagemap_pmd_range_thp): it has the
    bit where folios that nobody maps do.
    """
    base = axis_of(snapshot)
    parts = [_bits_of(snapshot, reading, base, rows) for rows in batches_of_runs(snapshot)]
    if not parts:
        empty: ObservedBits = ObservedBits.empty()
        return empty
    names = ObservedBits.__dataclass_fields__
    return ObservedBits(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _bits_of(snapshot: Snapshot, reading: Reading, base: I64, rows: slice) -> ObservedBits:
    runs = snapshot.runs.take(rows)
    kind, huge = snapshot.folios.kind[runs.folio_id], is_huge(runs.level)
    begin = base[runs.folio_id] + runs.first_page
    pages = runs.nr_pages.astype(np.int64)
    by_first = huge & (kind != Kind.HUGETLB) if reading.pmd_bit_of_first_page else np.zeros(len(runs), np.bool_)
    normal = in_smaps(snapshot, kind, runs.vma_id) | (kind == Kind.HUGETLB) | (huge & (kind == Kind.ZERO))
    normal &= ~reading.in_shared_table[runs.folio_id]
    of, first, nr, value = reading.bit.pieces(begin, begin + np.where(by_first, 1, pages))
    return ObservedBits(
        mm_id=runs.mm_id[of],
        address=runs.address[of] + (first * snapshot.meta.page_size).astype(np.uint64),
        nr_pages=np.where(by_first[of], pages[of], nr).astype(np.uint32),
        mapped_once=(value != 0) & normal[of],
    )


def counts(snapshot: Snapshot, reading: Reading) -> ObservedCounts:
    """Return kpagecount of every page of every folio, run-length, by folio and page."""
    base = axis_of(snapshot)
    of, first, nr, value = reading.mapcount.pieces(base[:-1], base[1:])
    return ObservedCounts(of.astype(np.uint32), first.astype(np.uint32), nr.astype(np.uint32), value.astype(np.uint32))
