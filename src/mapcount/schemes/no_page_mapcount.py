"""no-page-mapcount: mm-id without a count per page. Linux 6.15 and later with CONFIG_NO_PAGE_MAPCOUNT (experimental, off).

What it counts: `_large_mapcount` every page-table entry that maps the folio, `_entire_mapcount` the PMD entries among them,
and the two owner slots (mm_slots.py). `_mapcount` and `_nr_pages_mapped` are gone for large folios; a folio of one page
keeps its `_mapcount`.

Why: to map or unmap a batch of PTEs takes one LOCKed operation instead of one per page and two more, and a struct page
that is to become a pointer has no room for a count. Measured by its author on 2 MiB folios that PTEs map: munmap 31 %
faster, fork 21 % (20240829165627.2256514-1-david@redhat.com).

What it cannot answer: how often a page is mapped; folio_average_page_mapcount() gives the mean, rounded, at least 1 if
anything maps the folio. So NR_*_MAPPED counts the whole folio from its first mapping to its last, and a partial mapping is
found only if there are fewer mappings than pages and no PMD maps the folio: with one address space at once, with several
late or never.

What became of it: in every kernel from 6.15 to 7.3 it can be chosen, marked experimental. In May 2026 it was announced to
become the default; the RFC of April 2026 (total_mapped_pages.py) makes it the only way.

Sources: commit 749492229e3b ("mm: stop maintaining the per-page mapcount of large folios (CONFIG_NO_PAGE_MAPCOUNT)"), David
Hildenbrand, 6.15; mm/rmap.c and fs/proc/internal.h of 7.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import ENTIRE_IS_PMD, LARGE_IS_SUM, NO_COUNTS_BY_PAGE, STATISTICS_BY_FOLIO
from mapcount.schemes.large_mapcount import (
    dup_hugetlb,
    folio_mapcount,
    folio_mapped,
    map_hugetlb,
    new_hugetlb,
    partially_mapped,
    queue_partially_mapped,
    unmap_hugetlb,
)
from mapcount.schemes.mm_id import mapped_shared
from mapcount.schemes.mm_slots import (
    FOLIO_MM_IDS_LOCK,
    FOLIO_MM_IDS_SHARED,
    SLOTS,
    _mm_id_0,
    _mm_id_1,
    _mm_id_mapcount_0,
    _mm_id_mapcount_1,
    add_large_mapcount,
    set_large_mapcount,
    sub_large_mapcount,
)
from mapcount.schemes.ops import (
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    set_bit,
    test_bit,
)
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _large_mapcount, _mapcount

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.truth import FolioTruth

__all__ = [
    "SCHEME",
    "dup_hugetlb",
    "folio_mapcount",
    "folio_mapped",
    "map_hugetlb",
    "mapped_shared",
    "new_hugetlb",
    "partially_mapped",
    "unmap_hugetlb",
]


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        set_bit(m, PG_anon_exclusive, i)
    set_large_mapcount(m, folio, nr, mm)
    mod_mapped(m, folio, 1 << order)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    set_large_mapcount(m, folio, 1, mm)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: if these are the only mappings, the whole folio becomes mapped."""
    if order == 0:
        map_small(m, folio, page)
        return
    if add_large_mapcount(m, folio, nr, mm) == nr:
        mod_mapped(m, folio, 1 << order)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    first = atomic_inc_and_test(m, _entire_mapcount, folio)
    mapcount = add_large_mapcount(m, folio, 1, mm)
    if first:
        mod_pmdmapped(m, folio, 1 << order)
    if mapcount == 1:
        mod_mapped(m, folio, 1 << order)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map. Fewer mappings than pages, and no PMD: some page is surely not mapped."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    mapcount = sub_large_mapcount(m, folio, nr, mm)
    if mapcount == 0:
        mod_mapped(m, folio, -(1 << order))
    elif mapcount < 1 << order and atomic_read(m, _entire_mapcount, folio) < 0:
        queue_partially_mapped(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD: here `_entire_mapcount` is first."""
    last = atomic_dec_and_negative(m, _entire_mapcount, folio)
    mapcount = sub_large_mapcount(m, folio, 1, mm)
    if mapcount and last and mapcount < 1 << order:
        queue_partially_mapped(m, folio, order)
    if last:
        mod_pmdmapped(m, folio, -(1 << order))
    if mapcount == 0:
        mod_mapped(m, folio, -(1 << order))


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child (`mm`) at fork."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
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


def folio_average_page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Return the mean number of mappings of a page, rounded to the nearest, halves up; at least 1 if anything maps it."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    mapcount = atomic_read(m, _large_mapcount, folio) + 1
    if mapcount <= 0:
        return 0
    entire = atomic_read(m, _entire_mapcount, folio) + 1
    if mapcount <= entire:
        return entire
    average = ((mapcount - entire + (1 << order) // 2) >> order) + entire
    if average < 1:
        return 1
    return average


def mean_rounded_either_way(truth: FolioTruth) -> tuple[int, int]:
    """Return the mean number of mappings of a page, rounded down and rounded up, both at least 1 if anything maps it."""
    mappings = sum(truth.pte_counts()) + truth.nr_pages * truth.huge_entries()
    least = int(mappings > 0)
    return max(mappings // truth.nr_pages, least), max(-(-mappings // truth.nr_pages), least)


SCHEME = Scheme(
    id="no-page-mapcount",
    title="mm-id without a count per page",
    module=__name__,
    places=(
        _mapcount.at(48, small_only=True),
        PG_anon_exclusive.at(0, bit=11),
        _large_mapcount.at(16, page=1),
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
            "folio_average_page_mapcount",
            Quantity.PAGE_ENTRIES,
            Promise.BOUNDED,
            "the mean of all pages of the folio, rounded to the nearest and at least 1 if anything maps it, stands for "
            "each page: two words, read one after the other",
            bounds=mean_rounded_either_way,
            per_page=True,
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
            "set when an unmapping leaves fewer mappings than pages and no PMD: missed while several address spaces make "
            "up for the pages that are not mapped; never taken back by a mapping; anon alone",
        ),
    ),
    when="6.15 and later (CONFIG_NO_PAGE_MAPCOUNT)",
    referee="7.3, built for this (words after every step)",
    sources=(
        '749492229e3b ("mm: stop maintaining the per-page mapcount of large folios (CONFIG_NO_PAGE_MAPCOUNT)")',
        "mm/rmap.c and fs/proc/internal.h, 7.3",
    ),
    cannot={"page_mapcount": "nothing counts the mappings of a page of a large folio; there is their mean"},
    invariants=(LARGE_IS_SUM, ENTIRE_IS_PMD, NO_COUNTS_BY_PAGE, STATISTICS_BY_FOLIO, SLOTS),
    refuses_pinned=True,
)
