"""The two owner slots of a large folio, and the lock under which they and the total change. 6.15 and later.

An mm's id is a number from 1 (`mm` of the operations). A slot holds an id and, biased by -1, how many mappings that mm added
while it had the slot. An mm that finds no free slot stays untracked: then SHARED is set already and stays, since nobody
knows when it leaves. So a slot's count may be less than its mm's mappings, never more.

Source: include/linux/rmap.h folio_add_return_large_mapcount(), folio_sub_return_large_mapcount(), 6.15; commit 6af8cb80d3a9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import bit_spin_lock, bit_spin_unlock, read, store, store_bit, test_bit
from mapcount.schemes.scheme import Invariant
from mapcount.schemes.words import _large_mapcount, folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

_mm_id_mapcount_0 = folio_word("_mm_id_mapcount[0]", bias=-1)
_mm_id_mapcount_1 = folio_word("_mm_id_mapcount[1]", bias=-1)
_mm_id_0 = folio_word("_mm_id[0]")
_mm_id_1 = folio_word("_mm_id[1]")
FOLIO_MM_IDS_LOCK = folio_flag("FOLIO_MM_IDS_LOCK", "_mm_ids")
FOLIO_MM_IDS_SHARED = folio_flag("FOLIO_MM_IDS_SHARED", "_mm_ids")


def set_large_mapcount(m: Memory, folio: int, nr: int, mm: int) -> None:
    """Set total and first slot of a folio that nobody else knows yet."""
    store(m, _large_mapcount, folio, nr - 1)
    store(m, _mm_id_mapcount_0, folio, nr - 1)
    store(m, _mm_id_0, folio, mm)


def add_large_mapcount(m: Memory, folio: int, nr: int, mm: int) -> int:
    """Add `nr` mappings by `mm`; return the mappings that there are then."""
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = read(m, _large_mapcount, folio) + nr
    store(m, _large_mapcount, folio, large)
    add_to_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    return large + 1


def sub_large_mapcount(m: Memory, folio: int, nr: int, mm: int) -> int:
    """Take away `nr` mappings by `mm`; return the mappings that are left."""
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = read(m, _large_mapcount, folio) - nr
    store(m, _large_mapcount, folio, large)
    sub_from_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    return large + 1


def add_to_slot(m: Memory, folio: int, large: int, nr: int, mm: int) -> None:
    """Under the lock: book `nr` mappings on the slot of `mm`, or a free one; `large` is the new stored total."""
    if read(m, _mm_id_0, folio) == mm:
        store(m, _mm_id_mapcount_0, folio, read(m, _mm_id_mapcount_0, folio) + nr)
    elif read(m, _mm_id_1, folio) == mm:
        store(m, _mm_id_mapcount_1, folio, read(m, _mm_id_mapcount_1, folio) + nr)
    elif read(m, _mm_id_0, folio) == 0:
        store(m, _mm_id_0, folio, mm)
        store(m, _mm_id_mapcount_0, folio, nr - 1)
        if large != nr - 1:
            store_bit(m, FOLIO_MM_IDS_SHARED, folio, 1)
    elif read(m, _mm_id_1, folio) == 0:
        store(m, _mm_id_1, folio, mm)
        store(m, _mm_id_mapcount_1, folio, nr - 1)
        store_bit(m, FOLIO_MM_IDS_SHARED, folio, 1)


def sub_from_slot(m: Memory, folio: int, large: int, nr: int, mm: int) -> None:
    """Under the lock: take `nr` mappings from the slot of `mm`; clear SHARED if one slot now owns all that are left."""
    tracked = 0
    if read(m, _mm_id_0, folio) == mm:
        tracked = read(m, _mm_id_mapcount_0, folio) - nr >= 0
        if tracked:
            store(m, _mm_id_mapcount_0, folio, read(m, _mm_id_mapcount_0, folio) - nr)
        else:
            store(m, _mm_id_mapcount_0, folio, -1)
            store(m, _mm_id_0, folio, 0)
    elif read(m, _mm_id_1, folio) == mm:
        tracked = read(m, _mm_id_mapcount_1, folio) - nr >= 0
        if tracked:
            store(m, _mm_id_mapcount_1, folio, read(m, _mm_id_mapcount_1, folio) - nr)
        else:
            store(m, _mm_id_mapcount_1, folio, -1)
            store(m, _mm_id_1, folio, 0)
    if not tracked:
        if read(m, _mm_id_mapcount_0, folio) == large or read(m, _mm_id_mapcount_1, folio) == large:
            store_bit(m, FOLIO_MM_IDS_SHARED, folio, 0)


def maybe_mapped_shared(m: Memory, folio: int, mapcount: int) -> int:
    """Tell whether several address spaces may map a large folio with so many mappings."""
    if mapcount <= 1:
        return 0
    return test_bit(m, FOLIO_MM_IDS_SHARED, folio)


def _slots(words: Words, truth: FolioTruth) -> str | None:
    if not words.order or truth.hugetlb:
        return None
    for slot in (0, 1):
        mm, count = words[f"_mm_id[{slot}]"], words[f"_mm_id_mapcount[{slot}]"] + 1
        if (mm == 0) != (count == 0) or not 0 <= count <= truth.entries_of(mm):
            return f"slot {slot} counts {count} mappings of mm {mm}, which has {truth.entries_of(mm)}"
    return _shared_flag(words, truth)


def _shared_flag(words: Words, truth: FolioTruth) -> str | None:
    if words["FOLIO_MM_IDS_LOCK"]:
        return "the lock is held"
    shared = words["FOLIO_MM_IDS_SHARED"]
    if not shared and len(truth.mms()) > 1:
        return f"SHARED is clear, and {len(truth.mms())} address spaces map the folio"
    if shared and not truth.entries():
        return "SHARED is set, and nothing maps the folio"
    return None


SLOTS = Invariant(
    "a slot is free or counts at most its mm's mappings; SHARED is set while several mms map, clear while none does",
    _slots,
)
