"""nr-pages-mapped: a count per page and the number of pages that PTEs map, in one word with a bit for PMDs. Linux 6.2 to 6.9.

What it counts: `_mapcount` of each page its PTEs, of anon and file folios alike; `_entire_mapcount` PMD entries;
`_nr_pages_mapped` (subpages_mapcount in 6.2) the pages that PTEs map, plus ENTIRELY_MAPPED while a PMD maps the folio
(pages_mapped.py).

Why: until 6.1 a PMD of a file THP cost 513 LOCKed operations and PG_double_map was hard to reason about (double_map.py).
Hugh Dickins needed the number of mapped pages to keep NR_*_MAPPED exact without looking at all of them: a second PMD of
2 GiB of tmpfs, a hundred times, went from 0.86 s to 0.09 s, a first PMD after PTEs from 0.87 s to 0.1 s.

What it cannot answer: how many mappings a folio has, without a loop over all its pages if PTEs map any. Nothing is locked,
so that the sum may be one that was never true; it may even be 0 of a folio that is mapped all the time (its only PTEs are
replaced by a PMD between the two loads that come first). This is what the thread of August 2023 is about.

What became of it: 6.10 added one counter of all mappings (large_mapcount.py).

Variants: `sum` and `bit-lock` are steps on the way to 6.2, of November 2022 (subpages_mapcount.py). `short-loop` is
the reader that a comment of mm/rmap.c asks about and that the thread calls a bad idea: it stops after as many mapped pages
as `_nr_pages_mapped` told, so that a page that becomes mapped meanwhile hides one that always was.

A PMD split hands PageAnonExclusive down page by page, as until 6.7; 6.8 and 6.9 do so after all counts.

Deferred split: when a PTE goes and pages of an anon folio become unmapped, even if nothing maps it any more; when the last
PMD goes and PTEs map some but not all pages. Large anon folios smaller than a PMD came with 6.8.

Sources: commits be5ef2d9b006 ("mm,thp,rmap: subpages_mapcount of PTE-mapped subpages"), 6287b7dae809 ("mm,thp,rmap: fix
races between updates of subpages_mapcount"), Hugh Dickins, 6.2; mm/rmap.c of 6.5 and 6.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import PAGES_MAPPED, STATISTICS_BY_PAGE, SUM_OF_PAGES
from mapcount.schemes.ops import (
    atomic_add,
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    deferred_split_folio,
    folio_test_anon,
    set_bit,
    test_bit,
)
from mapcount.schemes.pages_mapped import (
    ENTIRELY_MAPPED,
    map_pages_one_by_one,
    pages_from_first_pmd,
    pages_from_last_pmd,
    unmap_pages_one_by_one,
)
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme, Variant
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.subpages_mapcount import (
    MAPCOUNTS_LOCK,
    locked_dup_entire,
    locked_map_entire,
    locked_map_pages,
    locked_unmap_entire,
    locked_unmap_pages,
    subpages_mapcount,
    sum_dup_page,
    sum_map_entire,
    sum_map_pages,
    sum_unmap_entire,
    sum_unmap_pages,
)
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

SUM = 0
"""1: subpages_mapcount is a true sum."""
BIT_LOCK = 0
"""1: it is one, and a bit lock is around all counts."""
SHORT_LOOP = 0
"""1: folio_mapcount stops after the pages that `_nr_pages_mapped` told."""


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs (large ones from 6.8)."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        set_bit(m, PG_anon_exclusive, i)
    if SUM or BIT_LOCK:
        atomic_set(m, subpages_mapcount, folio, nr)
    else:
        atomic_set(m, _nr_pages_mapped, folio, nr)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    if not SUM and not BIT_LOCK:
        atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs."""
    if order == 0:
        map_small(m, folio, page)
        return
    if SUM:
        mapped = sum_map_pages(m, folio, page, nr)
    elif BIT_LOCK:
        mapped = locked_map_pages(m, folio, page, nr)
    else:
        mapped = map_pages_one_by_one(m, folio, page, nr)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mapped = -1
    if SUM:
        mapped = sum_map_entire(m, folio, order, page)
    elif BIT_LOCK:
        mapped = locked_map_entire(m, folio, order, page)
    elif atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    if mapped >= 0:
        mod_pmdmapped(m, folio, 1 << order)
        mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    if SUM:
        unmapped = sum_unmap_pages(m, folio, page, nr)
    elif BIT_LOCK:
        unmapped = locked_unmap_pages(m, folio, page, nr)
    else:
        unmapped = unmap_pages_one_by_one(m, folio, page, nr)
    if unmapped:
        mod_mapped(m, folio, -unmapped)
        if folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = -1
    if SUM:
        unmapped = sum_unmap_entire(m, folio, order, page)
    elif BIT_LOCK:
        unmapped = locked_unmap_entire(m, folio, order, page)
    elif atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped >= 0:
        mod_pmdmapped(m, folio, -(1 << order))
        mod_mapped(m, folio, -unmapped)
        if unmapped and unmapped < 1 << order and folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork. Whether pages are mapped does not change, so `_nr_pages_mapped` stays."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
        if SUM:
            sum_dup_page(m, folio, i)
        elif BIT_LOCK:
            locked_map_pages(m, folio, i, 1)
        else:
            atomic_inc(m, _mapcount, i)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    if BIT_LOCK:
        locked_dup_entire(m, folio)
    else:
        atomic_inc(m, _entire_mapcount, folio)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    if SUM:
        atomic_add(m, subpages_mapcount, folio, 1 << order)
    for i in range(page, page + (1 << order)):
        hand_down(m, i, 1, exclusive)
        if SUM:
            atomic_inc(m, _mapcount, i)
        else:
            map_ptes(m, folio, order, i, 1, mm)
    unmap_pmd(m, folio, order, page, mm)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, _entire_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics, and `_nr_pages_mapped` stays 0."""
    atomic_inc(m, _entire_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, _entire_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the folio's mappings: PMDs, and if PTEs map any page a loop over all pages (folio_total_mapcount)."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    mapcount = atomic_read(m, _entire_mapcount, folio) + 1
    if SUM or BIT_LOCK:
        return mapcount + atomic_read(m, subpages_mapcount, folio)
    pages = atomic_read(m, _nr_pages_mapped, folio) & (ENTIRELY_MAPPED - 1)
    if pages == 0:
        return mapcount
    if SHORT_LOOP:
        return mapcount + sum_of_pages_mapped(m, order, page, pages)
    for i in range(page, page + (1 << order)):
        mapcount += atomic_read(m, _mapcount, i)
    return mapcount + (1 << order)


def sum_of_pages_mapped(m: Memory, order: int, page: int, pages: int) -> int:
    """Add up the counts of the first so many pages that are mapped."""
    mapcount = 0
    i = page
    while pages > 0 and i < page + (1 << order):
        one = atomic_read(m, _mapcount, i) + 1
        mapcount += one
        if one > 0:
            pages -= 1
        i += 1
    return mapcount


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio: two words, no loop (folio_large_is_mapped)."""
    if order == 0:
        return atomic_read(m, _mapcount, page) >= 0
    if SUM or BIT_LOCK:
        return folio_mapcount(m, folio, order, page) > 0
    if atomic_read(m, _nr_pages_mapped, folio) > 0:
        return 1
    return atomic_read(m, _entire_mapcount, folio) >= 0


def page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the mappings of one page: two words, read one after the other."""
    mapcount = atomic_read(m, _mapcount, page) + 1
    if order:
        mapcount += atomic_read(m, _entire_mapcount, folio) + 1
    return mapcount


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Guess whether several address spaces map the folio: its first page stands for all (folio_estimated_sharers)."""
    return page_mapcount(m, folio, order, page) > 1


_PLACES = (_mapcount.at(48), PG_anon_exclusive.at(0, bit=17), _entire_mapcount.at(20, page=1))
_SUM_PLACES = (*_PLACES, subpages_mapcount.at(24, page=1))

SCHEME = Scheme(
    id="nr-pages-mapped",
    title="a count per page and the number of pages that PTEs map",
    module=__name__,
    places=(*_PLACES, _nr_pages_mapped.at(24, page=1)),
    readers=(
        Reader(
            "folio_mapcount",
            Quantity.ENTRIES,
            Promise.EXACT,
            "two words, and one per page if PTEs map any, read one after the other: it may add up what never was at one "
            "time, 0 included",
        ),
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "two words, read one after the other"),
        Reader(
            "page_mapcount", Quantity.PAGE_ENTRIES, Promise.EXACT, "two words, read one after the other", per_page=True
        ),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.ESTIMATE,
            "whether the first page is mapped more than once: a page mapped twice by one says yes, and the reverse",
        ),
    ),
    when="6.2 to 6.9",
    referee="none: no kernel of these comes as a package",
    sources=(
        'be5ef2d9b006 ("mm,thp,rmap: subpages_mapcount of PTE-mapped subpages")',
        '6287b7dae809 ("mm,thp,rmap: fix races between updates of subpages_mapcount")',
        "mm/rmap.c, 6.5 and 6.8",
    ),
    cannot={
        "partially_mapped": "no flag says so; that it was found is only seen by the folio being in the deferred split queue"
    },
    variants={
        "sum": Variant(
            {"SUM": 1},
            "a step to 6.2: subpages_mapcount is the sum of all pages' counts",
            _SUM_PLACES,
            (SUM_OF_PAGES, STATISTICS_BY_PAGE),
        ),
        "bit-lock": Variant(
            {"BIT_LOCK": 1},
            "a step to 6.2: the sum, and a bit lock around all counts",
            (*_SUM_PLACES, MAPCOUNTS_LOCK.at(0, page=1, bit=0)),
            (SUM_OF_PAGES, STATISTICS_BY_PAGE),
        ),
        "short-loop": Variant(
            {"SHORT_LOOP": 1}, "the loop stops after as many pages as _nr_pages_mapped told: never merged"
        ),
    },
    invariants=(PAGES_MAPPED, STATISTICS_BY_PAGE),
    scalable=("ENTIRELY_MAPPED",),
    refuses_pinned=True,
)
