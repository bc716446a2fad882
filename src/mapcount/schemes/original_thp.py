"""original-thp: a huge page is one page while it is whole, and its tail pages hold pins. 2.6.38 to 4.4.

What it counts: while the folio is whole (PG_head), `_mapcount` of the first page counts the PMDs that map it, biased by -1,
and `_mapcount` of each tail page the pins on that very page (get_user_pages), biased by -1 too; before 3.2 these were in the
tail's `_count`. `_count` of the first page sums all references. No PTE can map a part of a whole one.

What it cannot answer, because it cannot be: a folio in part. Whoever unmaps, remaps or protects a piece, and whoever copies a
page on write, splits the folio for everybody: split_huge_page() replaces every PMD by PTEs, and makes P pages of one, each with
a `_mapcount` of its own. Hence nothing is ever mapped partially, nothing is lost, and there is no queue of what is to be
split; but one process that gives back a page takes the huge page from all others. File memory is in small pages.

What it costs: one LOCKed operation for a PMD. A split is one per tail page, under the zone's LRU lock and PG_compound_lock,
with the PMDs of all processes frozen. A pin of a tail page takes two: one for the page, one for the first.

What became of it: 4.5 let PTEs map parts of a whole folio (double_map.py), so that the split of one process's PMD is its own
affair; pins then have to be on the first page, since a tail's `_mapcount` counts mappings: commit ddc58f27f9ee ("mm: drop tail
page refcounting"), Kirill A. Shutemov.

How it counts the mappings of later kernels: a log with PTEs of a large folio is one in which this design split the folio, or
never had it: then a PMD of the log stands for P PTEs here, since that is what this design would have left of it. That the
entries are other ones makes folio_mapcount meaningless; how often a page is mapped is the same.

`_count` here holds what pins and splits change, so that their sums can be seen. The references of mappings are the
surroundings' here as in every design.

Sources: mm/huge_memory.c, mm/swap.c, mm/rmap.c and include/linux/mm.h of 3.13 (get_huge_page_tail,
__split_huge_page_refcount, page_add_new_anon_rmap); commit ddc58f27f9ee.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    atomic_add,
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    atomic_sub,
    bit_spin_lock,
    bit_spin_unlock,
    clear_bit,
    folio_first_page,
    folio_test_hugetlb,
    store_bit,
    test_bit,
)
from mapcount.schemes.scheme import Invariant, Promise, Quantity, Reader, Scheme
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import _mapcount, folio_flag, page_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

_count = page_word("_count")
PG_head = folio_flag("PG_head", "flags")
PG_compound_lock = folio_flag("PG_compound_lock", "flags")


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map new anon pages for the first time: small ones, whatever else they are to a later kernel."""
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon huge page for the first time."""
    store_bit(m, PG_head, folio, 1)
    atomic_set(m, _mapcount, page, 0)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs; a whole huge page is split before."""
    if test_bit(m, PG_head, folio):
        split_huge_page(m, folio, order, folio_first_page(m, folio))
    map_pages(m, folio, page, nr)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a whole huge page by a PMD, or each of the pages that it was split into."""
    if test_bit(m, PG_head, folio):
        if atomic_inc_and_test(m, _mapcount, page):
            mod_pmdmapped(m, folio, 1 << order)
            mod_mapped(m, folio, 1 << order)
    else:
        map_pages(m, folio, page, 1 << order)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: that they do tells that nothing is whole any more."""
    unmap_pages(m, folio, page, nr)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a whole huge page from a PMD, or each of the pages that it was split into."""
    if test_bit(m, PG_head, folio):
        if atomic_dec_and_negative(m, _mapcount, page):
            mod_pmdmapped(m, folio, -(1 << order))
            mod_mapped(m, folio, -(1 << order))
    else:
        unmap_pages(m, folio, page, 1 << order)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork, pinned or not."""
    for i in range(page, page + nr):
        atomic_inc(m, _mapcount, i)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a whole huge page with a child at fork, or each of the pages that it was split into."""
    if test_bit(m, PG_head, folio):
        atomic_inc(m, _mapcount, page)
    else:
        dup_ptes(m, folio, order, page, 1 << order, mm)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace a PMD by PTEs: of all processes, together with the page. Nothing is left to do if that was done."""
    if test_bit(m, PG_head, folio):
        split_huge_page(m, folio, order, page)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb page for the first time: its first page counts, and nothing splits it."""
    atomic_set(m, _mapcount, page, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb page: no statistics."""
    atomic_inc(m, _mapcount, page)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb page."""
    atomic_dec(m, _mapcount, page)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb page with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def map_pages(m: Memory, folio: int, page: int, nr: int) -> None:
    """Count one PTE more on each of `nr` small pages."""
    mapped = 0
    for i in range(page, page + nr):
        mapped += atomic_inc_and_test(m, _mapcount, i)
    mod_mapped(m, folio, mapped)


def unmap_pages(m: Memory, folio: int, page: int, nr: int) -> None:
    """Count one PTE less on each of `nr` small pages."""
    unmapped = 0
    for i in range(page, page + nr):
        unmapped += atomic_dec_and_negative(m, _mapcount, i)
    mod_mapped(m, folio, -unmapped)


def split_huge_page(m: Memory, folio: int, order: int, page: int) -> None:
    """
    Make `1 << order` pages of a whole one, whose PMDs all processes have marked as splitting: its count stands still.

    Every tail page gets the references of its mappings and of its pins, and one for the caller, who drops it; the first page
    gives up those of the pins. The PTEs that replace the PMDs are counted by what is copied here.
    """
    mapcount = atomic_read(m, _mapcount, page) + 1
    pins = 0
    bit_spin_lock(m, PG_compound_lock, folio)
    for i in range(page + (1 << order) - 1, page, -1):
        own = atomic_read(m, _mapcount, i) + 1
        atomic_add(m, _count, i, mapcount + own + 1)
        atomic_set(m, _mapcount, i, mapcount - 1)
        pins += own
    atomic_sub(m, _count, page, pins)
    if mapcount:
        mod_pmdmapped(m, folio, -(1 << order))
    clear_bit(m, PG_head, folio)
    bit_spin_unlock(m, PG_compound_lock, folio)


def get_page_tail(m: Memory, folio: int, page: int) -> None:
    """Pin tail page `page` of a whole huge page (get_huge_page_tail): a reference to the first page, noted on the tail."""
    atomic_inc(m, _count, folio_first_page(m, folio))
    atomic_inc(m, _mapcount, page)


def put_page_tail(m: Memory, folio: int, page: int) -> None:
    """Unpin a tail page. Only PG_compound_lock keeps a split away: whether the page is a tail still is asked under it."""
    bit_spin_lock(m, PG_compound_lock, folio)
    if test_bit(m, PG_head, folio):
        atomic_dec(m, _mapcount, page)
        atomic_dec(m, _count, folio_first_page(m, folio))
    else:
        atomic_dec(m, _count, page)
    bit_spin_unlock(m, PG_compound_lock, folio)


def page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the mappings of a page: a whole huge page is asked at its first (compound_head)."""
    if test_bit(m, PG_head, folio) or folio_test_hugetlb(m, folio):
        return atomic_read(m, _mapcount, folio_first_page(m, folio)) + 1
    return atomic_read(m, _mapcount, page) + 1


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the huge page, or any of the pages that it was split into."""
    if test_bit(m, PG_head, folio) or folio_test_hugetlb(m, folio):
        return atomic_read(m, _mapcount, page) >= 0
    for i in range(page, page + (1 << order)):
        if atomic_read(m, _mapcount, i) >= 0:
            return 1
    return 0


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether the first page is mapped more than once: what decides over copy-on-write of a whole one."""
    return page_mapcount(m, folio, order, page) > 1


def _whole_or_pages(words: Words, truth: FolioTruth) -> str | None:
    stored = [value + 1 for value in words.pages("_mapcount")]
    whole = words["PG_head"] or truth.hugetlb
    expected = [truth.page_entries(i) if i == 0 or not whole else 0 for i in range(truth.nr_pages)]
    if stored != expected:
        return f"_mapcount + 1 is {stored}, not {expected}"
    if words["PG_head"] and truth.pte_counts() != [0] * truth.nr_pages:
        return "PTEs map a whole huge page"
    return "PG_compound_lock is held" if words["PG_compound_lock"] else None


def _statistics(words: Words, truth: FolioTruth) -> str | None:
    mapped, pmd = words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED), words.stat(NR_ANON_THPS)
    pages = 0 if truth.hugetlb else truth.pages_mapped()
    if mapped != pages or pmd != (pages if words["PG_head"] else 0):
        return f"mapped pages are counted {mapped} and {pmd} by PMDs, mapped are {pages}"
    return None


WHOLE_OR_PAGES = Invariant(
    "while PG_head: _mapcount + 1 of the first page = PMDs, of the others = pins; after a split of each page its entries",
    _whole_or_pages,
)
STATISTICS = Invariant("NR_*_MAPPED counts the pages that are mapped, NR_ANON_THPS those of a whole one", _statistics)

SCHEME = Scheme(
    id="original-thp",
    title="a huge page is one page while it is whole; tail pages hold pins",
    module=__name__,
    places=(
        _mapcount.at(24),
        _count.at(28, anyhow=True),
        PG_head.at(0, bit=14),
        PG_compound_lock.at(0, bit=24),
    ),
    readers=(
        Reader(
            "folio_mapped", Quantity.MAPPED, Promise.EXACT, "one word while it is whole, else a loop over all pages"
        ),
        Reader("page_mapcount", Quantity.PAGE_ENTRIES, Promise.EXACT, "one word, of the right page", per_page=True),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.ESTIMATE,
            "whether the first page is mapped more than once: right of anon memory while it is whole, and nobody asks else",
        ),
    ),
    when="2.6.38 to 4.4",
    based_on=(4, 5),
    splits_at_once=True,
    referee="none: no kernel of these could be booted",
    sources=(
        "mm/huge_memory.c, mm/swap.c and mm/rmap.c, 3.13",
        'ddc58f27f9ee ("mm: drop tail page refcounting")',
    ),
    cannot={
        "folio_mapcount": "after a split there is no folio: each of its pages counts for itself",
        "partially_mapped": "a huge page that is to be mapped in part is split, there is nothing to find later",
    },
    invariants=(WHOLE_OR_PAGES, STATISTICS),
    stays=("PG_head", "_count"),
)
