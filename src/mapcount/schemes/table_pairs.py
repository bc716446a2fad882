"""table-pairs: one count per folio, of pairs of a VMA and a page table that map any part of it. January 2023.

What it counts: `_mapcount` of the folio, from 0, the pairs (VMA, page table) that have at least one reference to any of its
pages. A PMD is the reference of one page table, so splitting it into PTEs changes nothing. A folio that lies across the end of
a page table has two pairs in one VMA.

Why: once struct page is one pointer, no page can have a count of its own, and whatever a folio keeps must not grow with it. A
fault maps, and an unmapping unmaps, all pages that fit into VMA and page table at once, so one LOCKed operation counts them.

What it cannot answer: how often a page is mapped, how many entries there are, how many pages are mapped; so neither exact
statistics nor what is partially mapped. And, as its author noted four weeks later: "I have it mapped, does anybody else?" One
pair is certainly only me; two may be both mine, across the end of a table; above that somebody else.

What it must look up: whoever maps or unmaps less than the whole folio has to know whether this page table has another page of
it, in this VMA. That is one look at up to as many entries as the folio has pages, under a lock that is held already. Batched,
a whole folio needs none; page by page (faults around, copies on write) every page needs one.

What became of it: its author replaced the pairs by VMAs ("How many VMAs have one-or-more pages of this folio mapped") in
February 2023; neither was merged. 6.8 and 6.9 got the batches.

What the text leaves open, and what was chosen here: Mapped and AnonPages count the whole folio while there is a pair (what a
count of pairs can keep in balance); every PMD counts for AnonHugePages and its like, which needs no count (the author's
sketch of February adds to NR_*_PMDMAPPED wherever a PMD is mapped). A VMA that is split inside of a page table would have to
add a pair without any mapping; the text does not say who does that, and no log tells of it, so halves of one VMA are one here
(looked.py).

Sources: "Folio mapcount", Matthew Wilcox, linux-mm, 24 January 2023 (spinics msg325665), and his answer to it
(msg327447).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import NO_COUNTS_BY_PAGE
from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
    atomic_add_return,
    atomic_dec,
    atomic_inc,
    atomic_read,
    atomic_set,
    atomic_sub_return,
    lookup_page_table,
    set_bit,
    test_bit,
)
from mapcount.schemes.scheme import REFUSED, Invariant, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _mapcount, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

folio_mapcount_word = folio_word("folio->_mapcount")


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs: it is one pair."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        set_bit(m, PG_anon_exclusive, i)
    atomic_set(m, folio_mapcount_word, folio, 1)
    mod_mapped(m, folio, 1 << order)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    set_bit(m, PG_anon_exclusive, page)
    atomic_set(m, folio_mapcount_word, folio, 1)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: a pair more, unless the page table has others of the folio."""
    if order == 0:
        map_small(m, folio, page)
    elif nr == 1 << order or not lookup_page_table(m, folio):
        add_pair(m, folio, order)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD: nothing else of the folio can be there."""
    add_pair(m, folio, order)
    mod_pmdmapped(m, folio, 1 << order)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: a pair less, unless the page table keeps others of the folio."""
    if order == 0:
        unmap_small(m, folio, page)
    elif nr == 1 << order or not lookup_page_table(m, folio):
        remove_pair(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    remove_pair(m, folio, order)
    mod_pmdmapped(m, folio, -(1 << order))


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child (`mm`) at fork: a pair more, unless the child's table has others of the folio already."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
    if nr == 1 << order or not lookup_page_table(m, folio):
        atomic_inc(m, folio_mapcount_word, folio)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child (`mm`) at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, folio_mapcount_word, folio)
    mod_pmdmapped(m, folio, 1 << order)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: another page table, still one."""
    hand_down(m, page, 1 << order, test_bit(m, PG_anon_exclusive, page))
    mod_pmdmapped(m, folio, -(1 << order))


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, folio_mapcount_word, folio, 1)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics."""
    atomic_inc(m, folio_mapcount_word, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, folio_mapcount_word, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def add_pair(m: Memory, folio: int, order: int) -> None:
    """Count one pair more; with the first the folio becomes mapped."""
    if atomic_add_return(m, folio_mapcount_word, folio, 1) == 1:
        mod_mapped(m, folio, 1 << order)


def remove_pair(m: Memory, folio: int, order: int) -> None:
    """Count one pair less."""
    if atomic_sub_return(m, folio_mapcount_word, folio, 1) == 0:
        mod_mapped(m, folio, -(1 << order))


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the pairs of a VMA and a page table that map any of the folio."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    return atomic_read(m, folio_mapcount_word, folio)


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio."""
    return folio_mapcount(m, folio, order, page) > 0


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether several address spaces may map the folio: more than one pair does."""
    return folio_mapcount(m, folio, order, page) > 1


def _pairs(words: Words, truth: FolioTruth) -> str | None:
    pairs = sum(truth.huge.values()) if truth.hugetlb else len(truth.mappers())
    if words.order and words["folio->_mapcount"] != pairs:
        return f"folio->_mapcount is {words['folio->_mapcount']}, pairs are {pairs}"
    return None


def _statistics(words: Words, truth: FolioTruth) -> str | None:
    counted = (
        words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED),
        words.stat(NR_ANON_THPS, NR_SHMEM_PMDMAPPED, NR_FILE_PMDMAPPED),
    )
    expected = truth.nr_pages * (truth.entries() > 0), truth.nr_pages * truth.huge_entries()
    if counted != ((0, 0) if truth.hugetlb else expected):
        return f"mapped pages are counted {counted[0]}, by PMDs {counted[1]}; not {expected}"
    return None


PAIRS = Invariant("folio->_mapcount = (VMA, page table) pairs that map any of the folio", _pairs)
FOLIO_AND_EVERY_PMD = Invariant(
    "NR_*_MAPPED counts the whole folio while any page is mapped, NR_*_PMDMAPPED all of it for every PMD", _statistics
)

SCHEME = Scheme(
    id="table-pairs",
    title="one count, of pairs of a VMA and a page table",
    module=__name__,
    places=(
        _mapcount.at(48, small_only=True),
        PG_anon_exclusive.at(0, bit=17),
        folio_mapcount_word.at(48),
    ),
    readers=(
        Reader(
            "folio_mapcount", Quantity.TABLE_PAIRS, Promise.EXACT, "one word: what it returns was true at some moment"
        ),
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "one word"),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.NEVER_LESS,
            "more than one pair: yes also of one mm that maps it across the end of a page table, or twice",
        ),
    ),
    when="proposed in January 2023, withdrawn by its author in February",
    based_on=(6, 2),
    referee="proposal: there is no code",
    sources=('"Folio mapcount", Matthew Wilcox, 24 January 2023 (linux-mm, spinics msg325665, msg327447)',),
    cannot={
        "page_mapcount": "nothing counts the mappings of a page",
        "folio_average_page_mapcount": "a pair maps one page or all of them, so there is no mean either",
        "partially_mapped": "nothing counts pages or entries, so there is nothing to compare with the folio's size",
    },
    invariants=(PAIRS, NO_COUNTS_BY_PAGE, FOLIO_AND_EVERY_PMD),
    refuses_pinned=True,
)
