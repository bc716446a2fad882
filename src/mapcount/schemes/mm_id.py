"""mm-id: large-mapcount, and two slots that say which address spaces map a folio. Linux 6.15 and later, the default.

What it counts: the words of large_mapcount.py, and for two address spaces how many of the mappings are theirs
(`_mm_id_mapcount`, biased by -1) beside their ids (`_mm_id`, 0 for a free slot). The flag SHARED says that more than one
may map it. A bit lock in `_mm_ids` serialises the total and the slots, not the counts per page.

Why: copy-on-write reuse of a large folio needs to know for certain that nobody else maps it, and everyone else who asks
wants better than a guess from the first page. SHARED is never clear while several address spaces map the folio. It may
stay set too long once a third one came that found no slot: until the folio is unmapped, or one slot owns all mappings.

What it costs: no more LOCKed operations than 6.12, since the total is now a plain store under the lock (one LOCKed
operation). On 256 threads that fork and unmap the same folios a test robot found 7.8 % less throughput; the cause is
disputed (202504152235.188dcce9-lkp@intel.com).

Sources: commit 6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios (!hugetlb)"), David Hildenbrand, 6.15;
include/linux/rmap.h of 6.19 and 7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import LARGE_IS_SUM, PAGES_MAPPED, STATISTICS_BY_PAGE
from mapcount.schemes.large_mapcount import (
    dup_hugetlb,
    folio_mapcount,
    folio_mapped,
    map_hugetlb,
    new_hugetlb,
    page_mapcount,
    partially_mapped,
    queue_partially_mapped,
    unmap_hugetlb,
)
from mapcount.schemes.mm_slots import (
    FOLIO_MM_IDS_LOCK,
    FOLIO_MM_IDS_SHARED,
    SLOTS,
    _mm_id_0,
    _mm_id_1,
    _mm_id_mapcount_0,
    _mm_id_mapcount_1,
    add_large_mapcount,
    maybe_mapped_shared,
    set_large_mapcount,
    sub_large_mapcount,
)
from mapcount.schemes.ops import (
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    folio_test_hugetlb,
    set_bit,
    test_bit,
)
from mapcount.schemes.pages_mapped import (
    ENTIRELY_MAPPED,
    map_pages_batched,
    pages_from_first_pmd,
    pages_from_last_pmd,
    unmap_pages_batched,
)
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _large_mapcount, _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

__all__ = [
    "SCHEME",
    "dup_hugetlb",
    "folio_mapcount",
    "folio_mapped",
    "map_hugetlb",
    "new_hugetlb",
    "page_mapcount",
    "partially_mapped",
    "unmap_hugetlb",
]


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs: its mm takes the first slot, without the lock."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        set_bit(m, PG_anon_exclusive, i)
    set_large_mapcount(m, folio, nr, mm)
    atomic_set(m, _nr_pages_mapped, folio, nr)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    set_large_mapcount(m, folio, 1, mm)
    atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: per-page counts first, then the total and the slots under the lock."""
    if order == 0:
        map_small(m, folio, page)
        return
    mapped = map_pages_batched(m, folio, page, nr)
    add_large_mapcount(m, folio, nr, mm)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mapped = -1
    if atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    add_large_mapcount(m, folio, 1, mm)
    if mapped >= 0:
        mod_pmdmapped(m, folio, 1 << order)
        mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: total and slots first."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    sub_large_mapcount(m, folio, nr, mm)
    unmapped = unmap_pages_batched(m, folio, page, nr)
    if unmapped and atomic_read(m, _nr_pages_mapped, folio):
        queue_partially_mapped(m, folio, order)
    mod_mapped(m, folio, -unmapped)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = -1
    sub_large_mapcount(m, folio, 1, mm)
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped >= 0:
        if unmapped and unmapped < 1 << order:
            queue_partially_mapped(m, folio, order)
        mod_pmdmapped(m, folio, -(1 << order))
        mod_mapped(m, folio, -unmapped)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child (`mm`) at fork."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
        atomic_inc(m, _mapcount, i)
    add_large_mapcount(m, folio, nr, mm)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child (`mm`) at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, _entire_mapcount, folio)
    add_large_mapcount(m, folio, 1, mm)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    map_ptes(m, folio, order, page, 1 << order, mm)
    hand_down(m, page, 1 << order, exclusive)
    unmap_pmd(m, folio, order, page, mm)


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether several address spaces may map the folio (folio_maybe_mapped_shared)."""
    mapcount = folio_mapcount(m, folio, order, page)
    if order == 0 or folio_test_hugetlb(m, folio):
        return mapcount > 1
    return maybe_mapped_shared(m, folio, mapcount)


SCHEME = Scheme(
    id="mm-id",
    title="large-mapcount and two slots for the address spaces that map the folio",
    module=__name__,
    places=(
        _mapcount.at(48),
        PG_anon_exclusive.at(0, bit=11),
        _large_mapcount.at(16, page=1),
        _nr_pages_mapped.at(20, page=1),
        _entire_mapcount.at(24, page=1),
        _mm_id_mapcount_0.at(32, page=1),
        _mm_id_mapcount_1.at(36, page=1),
        _mm_id_0.at(40, page=1),
        _mm_id_1.at(44, page=1),
        FOLIO_MM_IDS_LOCK.at(40, page=1, bit=31),
        FOLIO_MM_IDS_SHARED.at(40, page=1, bit=63),
    ),
    readers=(
        Reader("folio_mapcount", Quantity.ENTRIES, Promise.EXACT, "one word: what it returns was true at some moment"),
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "folio_mapcount, compared with 1"),
        Reader(
            "page_mapcount", Quantity.PAGE_ENTRIES, Promise.EXACT, "two words, read one after the other", per_page=True
        ),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.NEVER_LESS,
            "never no while several map it; may say yes of one, after three or more did at one time",
        ),
        Reader(
            "partially_mapped",
            Quantity.PARTIAL,
            Promise.ESTIMATE,
            "set when an unmapping leaves it partially mapped, never taken back by a mapping; anon alone",
        ),
    ),
    when="6.15 and later (CONFIG_MM_ID, without CONFIG_NO_PAGE_MAPCOUNT)",
    referee="6.16, 6.18 and 7.3 (words after every step)",
    sources=(
        '6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios (!hugetlb)")',
        "include/linux/rmap.h, 7.1",
    ),
    invariants=(LARGE_IS_SUM, PAGES_MAPPED, STATISTICS_BY_PAGE, SLOTS),
    scalable=("ENTIRELY_MAPPED",),
    refuses_pinned=True,
)
