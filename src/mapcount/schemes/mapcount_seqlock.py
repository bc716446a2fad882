"""The sequence lock around the counts of an anon THP, as proposed in 2021 and never merged. Without it nothing is done.

A writer that moves counts between the PMD's word and the pages' takes a bit lock (PG_locked of the first tail page, which
nobody else uses) and makes the sequence count odd meanwhile. A reader waits for an even one, and reads again if it has
changed since. Source: "[PATCH v1 05/11] mm: thp: allow for reading the THP mapcount atomically via a raw_seqlock_t", David
Hildenbrand and Andrea Arcangeli, December 2021; Andrea's tree, 4ae013f06fd6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import bit_spin_lock, bit_spin_unlock, read, smp_rmb, smp_wmb, store
from mapcount.schemes.words import folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

SEQLOCK = 0
"""1: it is there."""

mapcount_seqcount = folio_word("mapcount_seqcount")
MAPCOUNT_LOCK = folio_flag("PG_locked", "flags")


def mapcount_lock(m: Memory, folio: int) -> None:
    """Begin to move counts: the sequence count becomes odd."""
    if SEQLOCK:
        bit_spin_lock(m, MAPCOUNT_LOCK, folio)
        store(m, mapcount_seqcount, folio, read(m, mapcount_seqcount, folio) + 1)
        smp_wmb(m)


def mapcount_unlock(m: Memory, folio: int) -> None:
    """End it: the sequence count becomes even again."""
    if SEQLOCK:
        smp_wmb(m)
        store(m, mapcount_seqcount, folio, read(m, mapcount_seqcount, folio) + 1)
        bit_spin_unlock(m, MAPCOUNT_LOCK, folio)


def mapcount_read_begin(m: Memory, folio: int) -> int:
    """Wait until no writer moves counts; return the sequence count."""
    if not SEQLOCK:
        return 0
    seq = read(m, mapcount_seqcount, folio)
    while seq & 1:
        seq = read(m, mapcount_seqcount, folio)
    smp_rmb(m)
    return seq


def mapcount_read_retry(m: Memory, folio: int, seq: int) -> int:
    """Tell whether a writer moved counts since, so that what was read may not belong together."""
    if not SEQLOCK:
        return 0
    smp_rmb(m)
    return read(m, mapcount_seqcount, folio) != seq
