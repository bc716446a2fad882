"""Who maps what in a snapshot, mapping by mapping, in the order in which a history lets the address spaces come."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from mapcount.errors import BadSnapshotError
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I64, U8, U32, U64, Bools
    from mapcount.mapping.snapshot import Snapshot

NO_VMA = (1 << 32) - 1
"""`vma_id` where nobody knows the VMA."""
MOST_MAPPINGS = 1 << 22
"""PID_MAX_LIMIT of 64-bit kernels (include/linux/threads.h): no more processes, so no more unseen mms, can map a page."""


@dataclass(frozen=True, eq=False)
class Entries:
    """
    Mappings of pages: runs, and one row for each unseen mapping.

    Sorted by folio, then by address space in the order of the history; of one address space larger levels first, then by
    page.
    """

    folio: I64
    mm: U32
    vma: U32
    address: U64
    first: I64
    nr: I64
    level: U8

    def __len__(self) -> int:
        return len(self.folio)

    def take(self, rows: npt.NDArray[np.integer] | Bools | slice) -> Entries:
        """Return some of the rows."""
        return Entries(*(getattr(self, column.name)[rows] for column in fields(self)))


def is_counted(kinds: U8) -> Bools:
    """Tell which folios rmap counts: not the zero folios, and not what is no folio of ours."""
    counted: Bools = (kinds != Kind.ZERO) & (kinds != Kind.DEVICE)
    return counted


def entries_of(snapshot: Snapshot, *, reverse: bool, unseen_first: bool) -> Entries:
    """
    Return all mappings of counted folios. Address spaces come in order of their start, or with `reverse` the youngest first.

    Unseen mappings are mms of their own, as few as can be, numbered after those of the snapshot; they come first or last.
    An unseen one that spans a folio of PMD size of which a PMD maps is taken for a PMD. Of a hugetlb folio no more than
    kpagecount says are kept: a shared page table is counted once and seen in every mm that uses it.
    """
    seen, unseen = _seen(snapshot), _unseen(snapshot)
    mms = len(snapshot.mms)
    start = np.lexsort((snapshot.mms.mm_id, snapshot.mms.start_time))
    rank = np.empty(mms, np.int64)
    rank[start] = np.arange(mms)[:: -1 if reverse else 1]
    ranks = np.concatenate([rank[seen.mm], unseen.mm.astype(np.int64) - (1 << 32 if unseen_first else 0)])
    both = Entries(
        *(np.concatenate([getattr(seen, column.name), getattr(unseen, column.name)]) for column in fields(Entries))
    )
    order = np.lexsort((both.address, both.first, -both.level.astype(np.int64), ranks, both.folio))
    return _without_shared_tables(snapshot, both.take(order))


def _seen(snapshot: Snapshot) -> Entries:
    runs = snapshot.runs
    kept = is_counted(snapshot.folios.kind)[runs.folio_id]
    runs = runs.take(kept)
    first, nr = runs.first_page.astype(np.int64), runs.nr_pages.astype(np.int64)
    return Entries(runs.folio_id.astype(np.int64), runs.mm_id, runs.vma_id, runs.address, first, nr, runs.level)


def _unseen(snapshot: Snapshot) -> Entries:
    unseen, folios = snapshot.unseen, snapshot.folios
    unseen = unseen.take(is_counted(folios.kind)[unseen.folio_id])
    if (unseen.mappings > MOST_MAPPINGS).any():
        raise BadSnapshotError(
            f"the snapshot tells of {unseen.mappings.max()} unseen mappings of one page; Linux has at most "
            f"{MOST_MAPPINGS} processes"
        )
    rows = np.repeat(np.arange(len(unseen)), unseen.mappings)
    layer = np.arange(len(rows)) - np.repeat(np.cumsum(unseen.mappings) - unseen.mappings, unseen.mappings)
    folio = unseen.folio_id[rows].astype(np.int64)
    first, nr = unseen.first_page[rows].astype(np.int64), unseen.nr_pages[rows].astype(np.int64)
    return Entries(
        folio,
        (len(snapshot.mms) + layer).astype(np.uint32),
        np.full(len(rows), NO_VMA, np.uint32),
        (first * snapshot.meta.page_size).astype(np.uint64),  # as if the folio began at 0: every alignment is possible
        first,
        nr,
        _unseen_level(snapshot, folio, nr),
    )


def _unseen_level(snapshot: Snapshot, folio: I64, nr: I64) -> U8:
    folios, runs, pmd_order = snapshot.folios, snapshot.runs, snapshot.meta.pmd_order
    order = folios.order.astype(np.int64)
    pmd_mapped = np.zeros(len(folios), bool)
    pmd_mapped[runs.folio_id[runs.level == Level.PMD]] = True
    as_pmd = pmd_mapped & (order == pmd_order)
    level = np.where(as_pmd[folio] & (nr == 1 << order[folio]), Level.PMD, Level.PTE)
    hugetlb = np.where(order[folio] > pmd_order, Level.PUD, Level.PMD)
    return np.where(folios.kind[folio] == Kind.HUGETLB, hugetlb, level).astype(np.uint8)


def _without_shared_tables(snapshot: Snapshot, entries: Entries) -> Entries:
    counts = snapshot.observed_counts
    limit = np.full(len(snapshot.folios), np.iinfo(np.int64).max)
    hugetlb = snapshot.folios.kind[counts.folio_id] == Kind.HUGETLB
    # What is seen to be mapped has one mapping at least, whatever was counted a moment later.
    limit[counts.folio_id[hugetlb]] = 1
    np.maximum.at(limit, counts.folio_id[hugetlb], counts.count[hugetlb].astype(np.int64))
    place = np.arange(len(entries)) - np.searchsorted(entries.folio, entries.folio)
    return entries.take(place < limit[entries.folio])
