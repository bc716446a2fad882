"""total-mapped-pages: no count per page and none of PMDs, but the pages that all mappings map. The RFC of April 2026.

What it counts: `_large_mapcount` every page-table entry that maps the folio, `_total_mapped_pages` the pages that each of
them maps, so that a folio of 512 pages that two PMDs and one PTE map has 3 and 1025; and the two owner slots
(mm_slots.py). All change under one lock. `_mapcount` of pages of large folios, `_nr_pages_mapped` and `_entire_mapcount`
are gone.

Why: any entry may map any part of a folio, a PMD a quarter of a 1 GiB folio for example; counts of "entire" mappings say
nothing then. The mean per page becomes a division, a folio is certainly partially mapped if there are mapped pages but
fewer than it has, and the PMD statistics follow from the difference of the two counts: pages less mappings is (P - 1) times
the number of PMDs, on a folio that a PMD maps whole.

What it cannot answer: what no-page-mapcount cannot, and how many of the mappings are PMDs if the folio is larger than one.

What became of it: no sign of a merge up to 7.3. The series is against a kernel in which CONFIG_PAGE_MAPCOUNT is removed.

hugetlb folios count `_large_mapcount` alone, and their pages are not counted: the mean of a hugetlb folio that is mapped
more than once is 1 in the series as posted, where kernels up to 7.3 say how often it is mapped.

Sources: "[PATCH RFC 13/13] mm/rmap: support arbitrary folio mappings", David Hildenbrand, April 2026.
The places are those of the series: `_large_mapcount` takes the `_mapcount` of the first tail page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import LARGE_IS_SUM, NO_COUNTS_BY_PAGE, STATISTICS_BY_FOLIO
from mapcount.schemes.large_mapcount import folio_mapcount, folio_mapped, partially_mapped
from mapcount.schemes.mm_id import mapped_shared
from mapcount.schemes.mm_slots import (
    FOLIO_MM_IDS_LOCK,
    FOLIO_MM_IDS_SHARED,
    SLOTS,
    _mm_id_0,
    _mm_id_1,
    _mm_id_mapcount_0,
    _mm_id_mapcount_1,
    add_to_slot,
    set_large_mapcount,
    sub_from_slot,
)
from mapcount.schemes.no_page_mapcount import mean_rounded_either_way
from mapcount.schemes.ops import (
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    deferred_split_folio,
    folio_test_anon,
    folio_test_hugetlb,
    folio_test_partially_mapped,
    read,
    set_bit,
    store,
    test_bit,
)
from mapcount.schemes.scheme import REFUSED, Invariant, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _large_mapcount, _mapcount, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

__all__ = ["SCHEME", "folio_mapcount", "folio_mapped", "mapped_shared", "partially_mapped"]

_total_mapped_pages = folio_word("_total_mapped_pages", width_bits=64)


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        set_bit(m, PG_anon_exclusive, i)
    set_large_mapcount(m, folio, nr, mm)
    store(m, _total_mapped_pages, folio, nr)
    mod_mapped(m, folio, 1 << order)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    set_bit(m, PG_anon_exclusive, page)
    set_large_mapcount(m, folio, 1, mm)
    store(m, _total_mapped_pages, folio, 1 << order)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: if these are the only mappings, the whole folio becomes mapped."""
    if order == 0:
        map_small(m, folio, page)
        return
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = add_to_large(m, folio, nr)
    add_to_total(m, folio, nr)
    add_to_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    if large + 1 == nr:
        mod_mapped(m, folio, 1 << order)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD: it is the first if pages exceed mappings by what one PMD makes them."""
    nr_pages = 1 << order
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = add_to_large(m, folio, 1)
    total = add_to_total(m, folio, nr_pages)
    add_to_slot(m, folio, large, 1, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    if total - (large + 1) == nr_pages - 1:
        mod_pmdmapped(m, folio, nr_pages)
    if large + 1 == 1:
        mod_mapped(m, folio, nr_pages)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = add_to_large(m, folio, -nr)
    add_to_total(m, folio, -nr)
    sub_from_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    queue_certainly_partially_mapped(m, folio, order)
    if large + 1 == 0:
        mod_mapped(m, folio, -(1 << order))


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD: it was the last if pages and mappings are as many."""
    nr_pages = 1 << order
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = add_to_large(m, folio, -1)
    total = add_to_total(m, folio, -nr_pages)
    sub_from_slot(m, folio, large, 1, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    queue_certainly_partially_mapped(m, folio, order)
    if total == large + 1:
        mod_pmdmapped(m, folio, -nr_pages)
    if large + 1 == 0:
        mod_mapped(m, folio, -nr_pages)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child (`mm`) at fork."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
    add_mappings(m, folio, nr, nr, mm)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child (`mm`) at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    add_mappings(m, folio, 1, 1 << order, mm)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    map_ptes(m, folio, order, page, 1 << order, mm)
    hand_down(m, page, 1 << order, exclusive)
    unmap_pmd(m, folio, order, page, mm)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, _large_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics, no slot, no lock."""
    atomic_inc(m, _large_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, _large_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def add_mappings(m: Memory, folio: int, nr: int, nr_pages: int, mm: int) -> None:
    """Add `nr` mappings of `nr_pages` pages in all, when nobody wants to know what there are then."""
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    large = add_to_large(m, folio, nr)
    add_to_total(m, folio, nr_pages)
    add_to_slot(m, folio, large, nr, mm)
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)


def add_to_large(m: Memory, folio: int, nr: int) -> int:
    """Under the lock: change the mappings by `nr`; return them as stored, one less than there are."""
    large = read(m, _large_mapcount, folio) + nr
    store(m, _large_mapcount, folio, large)
    return large


def add_to_total(m: Memory, folio: int, nr_pages: int) -> int:
    """Under the lock: change the mapped pages by `nr_pages`; return them."""
    total = read(m, _total_mapped_pages, folio) + nr_pages
    store(m, _total_mapped_pages, folio, total)
    return total


def queue_certainly_partially_mapped(m: Memory, folio: int, order: int) -> None:
    """Queue an anon folio with fewer mapped pages than it has, once; read anew, after the lock."""
    if folio_test_anon(m, folio):
        total = read(m, _total_mapped_pages, folio)
        if total and total < 1 << order and not folio_test_partially_mapped(m, folio):
            deferred_split_folio(m, folio, order)


def folio_average_page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Return the mean number of mappings of a page, rounded to the nearest, halves up; at least 1 if anything maps it."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    if folio_test_hugetlb(m, folio):
        # As the series has it: folio_total_mapped_pages() gives the mappings of a hugetlb folio, which are divided all the
        # same, so that two mappings of 512 pages come to 1. Kernels up to 7.3 return the mappings.
        total = atomic_read(m, _large_mapcount, folio) + 1
    else:
        total = read(m, _total_mapped_pages, folio)
    if total == 0:
        return 0
    average = (total + (1 << (order - 1))) >> order
    if average < 1:
        return 1
    return average


def mean_but_for_hugetlb(truth: FolioTruth) -> tuple[int, int]:
    """Return the bounds of no_page_mapcount.py; of a hugetlb folio 1, if anything maps it, and its mappings."""
    if truth.hugetlb:
        return int(truth.entries() > 0), truth.entries()
    return mean_rounded_either_way(truth)


def _total_is_pages(words: Words, truth: FolioTruth) -> str | None:
    if not words.order:
        return None
    pages = 0 if truth.hugetlb else sum(truth.page_entries(i) for i in range(truth.nr_pages))
    if words["_total_mapped_pages"] != pages:
        return f"_total_mapped_pages is {words['_total_mapped_pages']}, all entries map {pages} pages"
    return None


TOTAL_IS_PAGES = Invariant("_total_mapped_pages = the pages that each entry maps, summed", _total_is_pages)

SCHEME = Scheme(
    id="total-mapped-pages",
    title="all mappings, and the pages that they map",
    module=__name__,
    places=(
        _mapcount.at(48, small_only=True),
        PG_anon_exclusive.at(0, bit=11),
        _large_mapcount.at(48, page=1),
        _total_mapped_pages.at(24, page=1),
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
            "each page: one word; hugetlb: the mappings are divided by the pages, which is 1 as a rule",
            bounds=mean_but_for_hugetlb,
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
            "set when an unmapping leaves fewer mapped pages, each as often as it is mapped, than the folio has: missed "
            "while several address spaces make up for those that are not mapped; never taken back; anon alone",
        ),
    ),
    when="proposed in April 2026, not merged",
    referee="none: no kernel has it",
    sources=('"[PATCH RFC 13/13] mm/rmap: support arbitrary folio mappings", David Hildenbrand, April 2026',),
    cannot={"page_mapcount": "nothing counts the mappings of a page of a large folio; there is their mean"},
    invariants=(LARGE_IS_SUM, TOTAL_IS_PAGES, NO_COUNTS_BY_PAGE, STATISTICS_BY_FOLIO, SLOTS),
    refuses_pinned=True,
)
