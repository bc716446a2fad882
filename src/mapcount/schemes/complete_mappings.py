"""complete-mappings: `_entire_mapcount` for whoever maps all pages, by a PMD or by PTEs. The thread's own idea, August 2023.

What it counts: `_entire_mapcount` the VMAs that map all pages of the folio, biased by -1; `_mapcount` of each page the PTEs of
those that map only some, biased by -1; `_nr_pages_mapped` as in nr_pages_mapped.py, with complete mappings in place of PMDs.

Why: a fault that maps the whole folio and an exit that unmaps it, by PTEs as by a PMD, would touch one struct page instead of
all. "The problem is that entire_mapcount isn't really entire_mapcount. It's pmd_mapcount. I have had thoughts about using it as
entire_mapcount, but it gets gnarly when people do partial unmaps" (Matthew Wilcox); "Personally I still am unclear yet on why
entire_mapcount cannot be used as full-folio mapcounts" (Peter Xu). This file is the answer in numbers.

What it must look up: the count does not say whose the complete mappings are. Whoever unmaps some pages (munmap, MADV_DONTNEED,
mremap, a copy on write) has to look into the page tables whether this VMA had them all; if so, it takes one complete mapping
away and adds one to each of the P - k pages that stay. Whoever maps some pages has to look whether that makes them all, or
else a later unmapping takes away what was never added: then it is the reverse, for the P - k others. So a folio that is
mapped page by page pays a look for every page and 2 P - 1 changes at the end; one that is unmapped page by page, the same. A
folio across the end of a page table needs a look into a table that is not locked. "Exactly what must be avoided" (David
Hildenbrand on walks of page tables in rmap).

What it cannot answer: how many entries there are (a complete mapping is one PMD or P PTEs), and how many PMDs. So PMD-mapped
statistics count every PMD, which needs no count, instead of every folio that any PMD maps.

What became of it: "entire" stayed with PMDs until the April 2026 RFC dropped it for total_mapped_pages.py, where entries are
weighted by their size and nobody has to know which are whole.

What the text leaves open, and what was chosen here: a complete mapping is one VMA's. Two VMAs with a half each are two partial
ones; halves of one VMA that was split are one (looked.py), since no log tells of the split, at which P counts would change
without any mapping.

Source: the thread of "[PATCH mm-unstable v1] mm: add a total mapcount for large folios", 9 and 10 August 2023.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.nr_pages_mapped import mapped_shared, page_mapcount
from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    deferred_split_folio,
    folio_first_page,
    folio_test_anon,
    lookup_vma,
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
from mapcount.schemes.scheme import REFUSED, Invariant, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

__all__ = ["SCHEME", "mapped_shared", "page_mapcount"]


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs: completely, as it is new."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        set_bit(m, PG_anon_exclusive, i)
    new_complete(m, folio, order)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    set_bit(m, PG_anon_exclusive, page)
    new_complete(m, folio, order)
    mod_pmdmapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: all there are, the rest of them, or some."""
    if order == 0:
        map_small(m, folio, page)
        return
    if nr == 1 << order:
        mapped = add_complete(m, folio, order)
    elif lookup_vma(m, folio) + nr == 1 << order:
        mapped = add_complete(m, folio, order)
        mapped -= unmap_others(m, folio, order, page, nr)
    else:
        mapped = map_pages_batched(m, folio, page, nr)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mod_mapped(m, folio, add_complete(m, folio, order))
    mod_pmdmapped(m, folio, 1 << order)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: all there are, some of all, or some of some."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    if nr == 1 << order:
        unmapped = remove_complete(m, folio, order)
    elif lookup_vma(m, folio) + nr == 1 << order:
        # The pages that stay first: none may look unmapped in between.
        unmapped = -map_others(m, folio, order, page, nr)
        unmapped += remove_complete(m, folio, order)
    else:
        unmapped = unmap_pages_batched(m, folio, page, nr)
    queue_if_partial(m, folio, order, unmapped)
    mod_mapped(m, folio, -unmapped)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = remove_complete(m, folio, order)
    queue_if_partial(m, folio, order, unmapped)
    mod_pmdmapped(m, folio, -(1 << order))
    mod_mapped(m, folio, -unmapped)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child (`mm`) at fork: counted as a mapping is, for the parent's may be counted otherwise."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
    map_ptes(m, folio, order, page, nr, mm)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child (`mm`) at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, _entire_mapcount, folio)
    mod_pmdmapped(m, folio, 1 << order)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: it is as complete as before."""
    hand_down(m, page, 1 << order, test_bit(m, PG_anon_exclusive, page))
    mod_pmdmapped(m, folio, -(1 << order))


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, _entire_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics."""
    atomic_inc(m, _entire_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, _entire_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def new_complete(m: Memory, folio: int, order: int) -> None:
    """Set the counts of a folio that nobody else knows yet."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    mod_mapped(m, folio, 1 << order)


def add_complete(m: Memory, folio: int, order: int) -> int:
    """Count one complete mapping more; return the pages that nothing mapped before."""
    mapped = 0
    if atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    if mapped < 0:
        return 0
    return mapped


def remove_complete(m: Memory, folio: int, order: int) -> int:
    """Count one complete mapping less; return the pages that nothing maps any more."""
    unmapped = 0
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped < 0:
        return 0
    return unmapped


def map_others(m: Memory, folio: int, order: int, page: int, nr: int) -> int:
    """Count one PTE on each page but [page, page + nr); return the pages that nothing mapped before."""
    first = folio_first_page(m, folio)
    mapped = map_pages_batched(m, folio, first, page - first)
    return mapped + map_pages_batched(m, folio, page + nr, first + (1 << order) - page - nr)


def unmap_others(m: Memory, folio: int, order: int, page: int, nr: int) -> int:
    """Count one PTE less on each page but [page, page + nr); return the pages that nothing maps any more."""
    first = folio_first_page(m, folio)
    unmapped = unmap_pages_batched(m, folio, first, page - first)
    return unmapped + unmap_pages_batched(m, folio, page + nr, first + (1 << order) - page - nr)


def queue_if_partial(m: Memory, folio: int, order: int, unmapped: int) -> None:
    """Queue an anon folio of which pages were unmapped and others are not."""
    if unmapped and folio_test_anon(m, folio) and atomic_read(m, _nr_pages_mapped, folio):
        deferred_split_folio(m, folio, order)


def complete_mappings(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the VMAs that map all pages of the folio."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    return atomic_read(m, _entire_mapcount, folio) + 1


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio."""
    if order == 0:
        return atomic_read(m, _mapcount, page) >= 0
    return atomic_read(m, _entire_mapcount, folio) >= 0 or atomic_read(m, _nr_pages_mapped, folio) > 0


def _counts(words: Words, truth: FolioTruth) -> str | None:
    if not words.order or truth.hugetlb:
        return None
    complete = truth.complete_vmas()
    some = [0] * truth.nr_pages
    for (mm, vma, _, i), count in truth.ptes.items():
        some[i] += count if (mm, vma) not in complete else 0
    stored = [value + 1 for value in words.pages("_mapcount")]
    expected = sum(count > 0 for count in some) + ENTIRELY_MAPPED * bool(complete)
    if stored != some or words["_entire_mapcount"] + 1 != len(complete):
        found = f"_mapcount + 1 is {stored}, _entire_mapcount + 1 is {words['_entire_mapcount'] + 1}"
        return f"{found}; not {some}, {len(complete)}"
    return None if words["_nr_pages_mapped"] == expected else f"_nr_pages_mapped is {words['_nr_pages_mapped']:#x}"


def _statistics(words: Words, truth: FolioTruth) -> str | None:
    counted = (
        words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED),
        words.stat(NR_ANON_THPS, NR_SHMEM_PMDMAPPED, NR_FILE_PMDMAPPED),
    )
    expected = (0, 0) if truth.hugetlb else (truth.pages_mapped(), truth.nr_pages * truth.huge_entries())
    return None if counted == expected else f"mapped pages and those by PMDs are counted {counted}, not {expected}"


COMPLETE_AND_SOME = Invariant(
    "_entire_mapcount + 1 = VMAs that map all pages; _mapcount + 1 = PTEs of the others; _nr_pages_mapped pages with such",
    _counts,
)
PAGES_AND_EVERY_PMD = Invariant(
    "NR_*_MAPPED counts the pages that are mapped, NR_*_PMDMAPPED the folio for every PMD", _statistics
)

SCHEME = Scheme(
    id="complete-mappings",
    title="a count of those who map all pages, and one per page for the others",
    module=__name__,
    places=(
        _mapcount.at(48),
        PG_anon_exclusive.at(0, bit=17),
        _entire_mapcount.at(20, page=1),
        _nr_pages_mapped.at(24, page=1),
    ),
    readers=(
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "two words, read one after the other"),
        Reader(
            "page_mapcount", Quantity.PAGE_ENTRIES, Promise.EXACT, "two words, read one after the other", per_page=True
        ),
        Reader("complete_mappings", Quantity.COMPLETE_MAPPINGS, Promise.EXACT, "one word"),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.ESTIMATE,
            "whether the first page is mapped more than once: a page mapped twice by one says yes, and the reverse",
        ),
    ),
    when="the thread's idea, August 2023, not pursued",
    based_on=(6, 5),
    referee="proposal: there is no code",
    sources=('the thread of "[PATCH mm-unstable v1] mm: add a total mapcount for large folios", 9 and 10 August 2023',),
    cannot={
        "folio_mapcount": "a complete mapping is one PMD or as many PTEs as there are pages: nothing tells which",
        "partially_mapped": "no flag says so; that it was found is only seen by the folio being in the deferred split queue",
    },
    invariants=(COMPLETE_AND_SOME, PAGES_AND_EVERY_PMD),
    scalable=("ENTIRELY_MAPPED",),
    refuses_pinned=True,
)
