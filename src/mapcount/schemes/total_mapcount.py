"""total-mapcount: nr-pages-mapped and one counter of all mappings, in the place of the other. The thread's patch, August 2023.

What it counts: the words of nr_pages_mapped.py, and `_total_mapcount` (biased by -1) every page-table entry that maps the
folio, a PMD entry as one, hugetlb included. It takes the place of `_nr_pages_mapped`, which moves to the second tail page.

Why: folio_mapcount(), total_mapcount() and folio_mapped() become one load, which is never torn; the loop is gone. David
Hildenbrand proposed it as the first step to counts without pages.

What it cannot answer: who maps the folio. And folios of two pages: they have no second tail page. At its time there were
none, neither anon nor file; `unsupported_orders` says so, and no history or log with one is this scheme's.

What it costs: one LOCKed operation more for every page (one for a whole batch where rmap takes ranges, which was file folios
alone), and a third struct page in every change. Peter Xu objected to the latter in the thread.

What became of it: not merged in this form. 6.8 and 6.9 batched rmap first; 6.10 has the counter (large_mapcount.py), in
the first tail page beside the others, since fields had become free there.

Sources: "[PATCH mm-unstable v1] mm: add a total mapcount for large folios", David Hildenbrand, 9 August 2023, and the
thread (20230809083256.699513-1-david@redhat.com).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import PAGES_MAPPED, STATISTICS_BY_PAGE, TOTAL_IS_SUM
from mapcount.schemes.nr_pages_mapped import mapped_shared, page_mapcount
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
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _mapcount, _nr_pages_mapped, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

__all__ = ["SCHEME", "mapped_shared", "page_mapcount"]

_total_mapcount = folio_word("_total_mapcount", bias=-1)


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        set_bit(m, PG_anon_exclusive, i)
    atomic_set(m, _nr_pages_mapped, folio, nr)
    atomic_set(m, _total_mapcount, folio, nr - 1)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    atomic_set(m, _total_mapcount, folio, 0)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs, the total last: of an anon folio page by page, of a file's once for all."""
    if order == 0:
        map_small(m, folio, page)
        return
    mapped = 0
    if folio_test_anon(m, folio):
        for i in range(page, page + nr):
            mapped += map_pages_one_by_one(m, folio, i, 1)
            atomic_inc(m, _total_mapcount, folio)
    else:
        mapped = map_pages_one_by_one(m, folio, page, nr)
        atomic_add(m, _total_mapcount, folio, nr)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mapped = -1
    if atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    atomic_inc(m, _total_mapcount, folio)
    if mapped >= 0:
        mod_pmdmapped(m, folio, 1 << order)
        mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map, one after the other: the total first."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    unmapped = 0
    for i in range(page, page + nr):
        atomic_dec(m, _total_mapcount, folio)
        unmapped += unmap_pages_one_by_one(m, folio, i, 1)
    if unmapped:
        mod_mapped(m, folio, -unmapped)
        if folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = -1
    atomic_dec(m, _total_mapcount, folio)
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped >= 0:
        mod_pmdmapped(m, folio, -(1 << order))
        mod_mapped(m, folio, -unmapped)
        if unmapped and unmapped < 1 << order and folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork, page by page."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
        atomic_inc(m, _mapcount, i)
        atomic_inc(m, _total_mapcount, folio)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, _entire_mapcount, folio)
    atomic_inc(m, _total_mapcount, folio)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    for i in range(page, page + (1 << order)):
        hand_down(m, i, 1, exclusive)
        map_ptes(m, folio, order, i, 1, mm)
    unmap_pmd(m, folio, order, page, mm)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _total_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics, and `_nr_pages_mapped` is not its own."""
    atomic_inc(m, _entire_mapcount, folio)
    atomic_inc(m, _total_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, _total_mapcount, folio)
    atomic_dec(m, _entire_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the folio's mappings: one atomic word."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    return atomic_read(m, _total_mapcount, folio) + 1


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio."""
    if order == 0:
        return atomic_read(m, _mapcount, page) >= 0
    return atomic_read(m, _total_mapcount, folio) >= 0


SCHEME = Scheme(
    id="total-mapcount",
    title="nr-pages-mapped and one counter of all mappings",
    module=__name__,
    places=(
        _mapcount.at(48),
        PG_anon_exclusive.at(0, bit=17),
        _entire_mapcount.at(20, page=1),
        _total_mapcount.at(24, page=1),
        _nr_pages_mapped.at(32, page=2),
    ),
    readers=(
        Reader("folio_mapcount", Quantity.ENTRIES, Promise.EXACT, "one word: what it returns was true at some moment"),
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "one word"),
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
    when="proposed in August 2023, not merged in this form",
    based_on=(6, 5),
    referee="none: no kernel has it",
    sources=('"[PATCH mm-unstable v1] mm: add a total mapcount for large folios", David Hildenbrand, 9 August 2023',),
    cannot={
        "partially_mapped": "no flag says so; that it was found is only seen by the folio being in the deferred split queue"
    },
    invariants=(TOTAL_IS_SUM, PAGES_MAPPED, STATISTICS_BY_PAGE),
    scalable=("ENTIRELY_MAPPED",),
    refuses_pinned=True,
    unsupported_orders=(1,),
)
