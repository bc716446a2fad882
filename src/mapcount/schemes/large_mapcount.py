"""large-mapcount: one counter of all mappings of a large folio, beside a count per page. Linux 6.10 to 6.14.

What it counts: `_large_mapcount` every page-table entry that maps the folio, a PMD entry as one; `_entire_mapcount` PMD
entries; `_mapcount` of each page its PTEs; `_nr_pages_mapped` the pages that PTEs map (pages_mapped.py).

Why: until 6.9 folio_mapcount() added up all pages of a folio without a lock, so that it could return numbers that were
never true. One counter is never torn. It is the merged form of the total mapcount that the thread of August 2023 discusses
(total_mapcount.py), without its third cache line.

What it cannot answer: whether one address space maps the folio or several. folio_likely_mapped_shared() guesses from the
first page.

What became of it: 6.15 put owner tracking beside the same words (mm_id.py). 6.12 counts `_nr_pages_mapped` once per batch;
the variant `unbatched` is 6.10 and 6.11, which count each page.

Sources: commit 05c5323b2a34 ("mm: track mapcount of large folios in single value"), David Hildenbrand, 6.10; mm/rmap.c and
include/linux/rmap.h of 6.12.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import LARGE_IS_SUM, PAGES_MAPPED, STATISTICS_BY_PAGE
from mapcount.schemes.ops import (
    atomic_add,
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    atomic_sub,
    deferred_split_folio,
    folio_test_anon,
    folio_test_hugetlb,
    folio_test_partially_mapped,
    set_bit,
    test_bit,
)
from mapcount.schemes.pages_mapped import (
    ENTIRELY_MAPPED,
    map_pages_batched,
    map_pages_one_by_one,
    pages_from_first_pmd,
    pages_from_last_pmd,
    unmap_pages_batched,
    unmap_pages_one_by_one,
)
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme, Variant
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _large_mapcount, _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

UNBATCHED = 0
"""1: each page that becomes mapped changes `_nr_pages_mapped` (6.10, 6.11); 0: a batch changes it once."""


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        set_bit(m, PG_anon_exclusive, i)
    atomic_set(m, _large_mapcount, folio, nr - 1)
    atomic_set(m, _nr_pages_mapped, folio, nr)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _large_mapcount, folio, 0)
    atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: per-page counts first, the total last."""
    if order == 0:
        map_small(m, folio, page)
        return
    if UNBATCHED:
        mapped = map_pages_one_by_one(m, folio, page, nr)
    else:
        mapped = map_pages_batched(m, folio, page, nr)
    atomic_add(m, _large_mapcount, folio, nr)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mapped = -1
    if atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    atomic_inc(m, _large_mapcount, folio)
    if mapped >= 0:
        mod_pmdmapped(m, folio, 1 << order)
        mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: the total first."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    atomic_sub(m, _large_mapcount, folio, nr)
    if UNBATCHED:
        unmapped = unmap_pages_one_by_one(m, folio, page, nr)
    else:
        unmapped = unmap_pages_batched(m, folio, page, nr)
    if unmapped and atomic_read(m, _nr_pages_mapped, folio):
        queue_partially_mapped(m, folio, order)
    mod_mapped(m, folio, -unmapped)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = -1
    atomic_dec(m, _large_mapcount, folio)
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped >= 0:
        if unmapped and unmapped < 1 << order:
            queue_partially_mapped(m, folio, order)
        mod_pmdmapped(m, folio, -(1 << order))
        mod_mapped(m, folio, -unmapped)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork. Whether pages are mapped does not change, so `_nr_pages_mapped` stays."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
        atomic_inc(m, _mapcount, i)
    atomic_add(m, _large_mapcount, folio, nr)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, _entire_mapcount, folio)
    atomic_inc(m, _large_mapcount, folio)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    map_ptes(m, folio, order, page, 1 << order, mm)
    hand_down(m, page, 1 << order, exclusive)
    unmap_pmd(m, folio, order, page, mm)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _large_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics, no count per page."""
    atomic_inc(m, _entire_mapcount, folio)
    atomic_inc(m, _large_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, _entire_mapcount, folio)
    atomic_dec(m, _large_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def queue_partially_mapped(m: Memory, folio: int, order: int) -> None:
    """Queue an anon folio to be split, once: PG_partially_mapped tells that it was found before."""
    if folio_test_anon(m, folio) and not folio_test_partially_mapped(m, folio):
        deferred_split_folio(m, folio, order)


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the folio's mappings: one atomic word."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    return atomic_read(m, _large_mapcount, folio) + 1


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio."""
    return folio_mapcount(m, folio, order, page) >= 1


def page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the mappings of one page: two words, read one after the other (folio_precise_page_mapcount)."""
    mapcount = atomic_read(m, _mapcount, page) + 1
    if order:
        mapcount += atomic_read(m, _entire_mapcount, folio) + 1
    return mapcount


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Guess whether several address spaces map the folio, from its first page (folio_likely_mapped_shared)."""
    mapcount = folio_mapcount(m, folio, order, page)
    if order == 0 or folio_test_hugetlb(m, folio):
        return mapcount > 1
    if mapcount <= 1:
        return 0
    if atomic_read(m, _entire_mapcount, folio) >= 0 or mapcount > 1 << order:
        return 1
    return atomic_read(m, _mapcount, page) > 0


def partially_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether rmap found the folio partially mapped since it was born or split (PG_partially_mapped)."""
    return folio_test_partially_mapped(m, folio)


SCHEME = Scheme(
    id="large-mapcount",
    title="one counter of all mappings beside a count per page",
    module=__name__,
    places=(
        _mapcount.at(48),
        PG_anon_exclusive.at(0, bit=11),
        _large_mapcount.at(16, page=1),
        _entire_mapcount.at(20, page=1),
        _nr_pages_mapped.at(24, page=1),
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
            Promise.ESTIMATE,
            "the first page stands for all: a folio whose first page is mapped once may be shared, and the reverse",
        ),
        Reader(
            "partially_mapped",
            Quantity.PARTIAL,
            Promise.ESTIMATE,
            "set when an unmapping leaves it partially mapped, never taken back by a mapping; anon alone",
        ),
    ),
    when="6.10 to 6.14",
    referee="6.12 (words after every step)",
    sources=('05c5323b2a34 ("mm: track mapcount of large folios in single value")', "mm/rmap.c, 6.12"),
    variants={"unbatched": Variant({"UNBATCHED": 1}, "6.10 and 6.11: `_nr_pages_mapped` changes page by page")},
    invariants=(LARGE_IS_SUM, PAGES_MAPPED, STATISTICS_BY_PAGE),
    scalable=("ENTIRELY_MAPPED",),
    refuses_pinned=True,
)
