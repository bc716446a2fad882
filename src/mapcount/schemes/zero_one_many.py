"""zero-one-many: a count that knows 0, 1, 2 and many, of VMAs that map any part of the folio. December 2021.

What it counts: `_mapcount` of the folio, from 0, VMAs that have at least one reference to any page of it, up to 2. The third
makes it MANY, and there it stays, whoever unmaps: nobody knows then how many there are. "You can decrement from Two to One and
One to Zero, but you can't decrement from Many to Two." Only a walk of the rmap that finds fewer can set it back.

Why: folio_mapcount of a folio of 2 MiB had to read 512 struct pages. Two bits would do, so that some thirty of struct page
become free; and as only the first three mappers take a reference, no attacker can make the count of references overflow.

What it cannot answer: more than two; and whether a folio that was MANY is mapped at all. Until somebody walks, such a folio
has references of mappings that are gone: it is not freed when the last process unmaps it, and stays in AnonPages or Mapped. A
walk needs the locks of the tree of VMAs, which no unmapping can take. Nor can it answer anything about pages or PMDs.

What it must look up: whoever maps or unmaps less than the whole folio, whether this VMA has another page of it; where a folio
lies across the end of a page table, in both tables, of which only one is locked. Whoever wants a number above two, all VMAs.

What became of it: "half-baked", by its author's word, and left so. Counting VMAs came back in 2023 (table_pairs.py).

What the text leaves open, and what was chosen here: the statistics, which are those of table_pairs.py; and when the rmap is
walked. Readers walk, and do not write. The variant `walk` walks at every unmapping from MANY as well, which no kernel could,
and counts what exactness would have cost.

Source: "folio mapcount", Matthew Wilcox, linux-mm, 15 December 2021 (spinics msg282633).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_FILE_MAPPED,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
    folio_maybe_dma_pinned,
    folio_test_anon,
    folio_test_hugetlb,
    lookup_vma,
    lookup_vmas,
    read,
    store,
)
from mapcount.schemes.scheme import REFUSED, Invariant, Promise, Quantity, Reader, Scheme, Variant
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

MANY = 3
WALK = 0
"""1: every unmapping from MANY walks the rmap."""

few_or_many = folio_word("folio->_mapcount", width_bits=8)
"""Two bits would do; a byte is what can be stored."""
MAPCOUNT_LOCK = folio_flag("folio->_mapcount lock", "folio->_mapcount")
"""One LOCKed operation, as the compare-and-exchange would be that a count with a limit needs."""


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    atomic_set(m, few_or_many, folio, 1)
    mod_mapped(m, folio, 1 << order)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, few_or_many, folio, 1)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs: a VMA more, unless it maps others of the folio."""
    if nr == 1 << order or not lookup_vma(m, folio):
        add_vma(m, folio, order)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    add_vma(m, folio, order)
    mod_pmdmapped(m, folio, 1 << order)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map: a VMA less, unless it keeps others of the folio."""
    if nr == 1 << order or not lookup_vma(m, folio):
        remove_vma(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    remove_vma(m, folio, order)
    mod_pmdmapped(m, folio, -(1 << order))


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork; an anon folio that may be pinned is copied."""
    if folio_test_anon(m, folio) and folio_maybe_dma_pinned(m, folio):
        return REFUSED
    map_ptes(m, folio, order, page, nr, mm)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork."""
    if folio_test_anon(m, folio) and folio_maybe_dma_pinned(m, folio):
        return REFUSED
    map_pmd(m, folio, order, page, mm)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: the VMA is the same."""
    mod_pmdmapped(m, folio, -(1 << order))


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, few_or_many, folio, 1)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics."""
    add_vma(m, folio, order)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    remove_vma(m, folio, order)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    add_vma(m, folio, order)
    return 0


def add_vma(m: Memory, folio: int, order: int) -> None:
    """Count one VMA more, as far as it goes."""
    bit_spin_lock(m, MAPCOUNT_LOCK, folio)
    count = read(m, few_or_many, folio)
    if count < MANY:
        store(m, few_or_many, folio, count + 1)
    bit_spin_unlock(m, MAPCOUNT_LOCK, folio)
    if count == 0 and not folio_test_hugetlb(m, folio):
        mod_mapped(m, folio, 1 << order)


def remove_vma(m: Memory, folio: int, order: int) -> None:
    """Count one VMA less; MANY stays, unless this walks."""
    bit_spin_lock(m, MAPCOUNT_LOCK, folio)
    count = read(m, few_or_many, folio)
    left = count - 1
    if count == MANY:
        left = MANY
        if WALK:
            left = lookup_vmas(m, folio)
    if left < count:
        store(m, few_or_many, folio, left)
    bit_spin_unlock(m, MAPCOUNT_LOCK, folio)
    if left == 0 and not folio_test_hugetlb(m, folio):
        mod_mapped(m, folio, -(1 << order))


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the VMAs that map any of the folio: above two by a walk of the rmap, which is not put back."""
    count = atomic_read(m, few_or_many, folio)
    if count < MANY:
        return count
    return lookup_vmas(m, folio)


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything may map the folio."""
    return atomic_read(m, few_or_many, folio) > 0


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether several address spaces may map the folio: more than one VMA does, or did when it was MANY."""
    return atomic_read(m, few_or_many, folio) > 1


def _vmas(truth: FolioTruth) -> int:
    return len({mapper[:2] for mapper in truth.mappers()})


def _few_are_right(words: Words, truth: FolioTruth) -> str | None:
    count, vmas = words["folio->_mapcount"], _vmas(truth)
    if count != min(vmas, MANY) and not (count == MANY and vmas < MANY):
        return f"folio->_mapcount is {count}, VMAs are {vmas}"
    return "the lock is held" if words["folio->_mapcount lock"] else None


def _all_are_right(words: Words, truth: FolioTruth) -> str | None:
    count, vmas = words["folio->_mapcount"], _vmas(truth)
    return None if count == min(vmas, MANY) else f"folio->_mapcount is {count}, VMAs are {vmas}"


def _statistics(words: Words, truth: FolioTruth) -> str | None:
    mapped = words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED)
    expected = truth.nr_pages if words["folio->_mapcount"] and not truth.hugetlb else 0
    return None if mapped == expected else f"mapped pages are counted {mapped}, not {expected}"


FEW_ARE_RIGHT = Invariant(
    "folio->_mapcount = VMAs up to two; MANY while there are more, and from then on", _few_are_right
)
ALL_ARE_RIGHT = Invariant("folio->_mapcount = VMAs up to two, MANY while there are more", _all_are_right)
FOLIO_WHILE_COUNTED = Invariant("NR_*_MAPPED counts the whole folio while folio->_mapcount is not 0", _statistics)

SCHEME = Scheme(
    id="zero-one-many",
    title="a count of VMAs that ends at two: 0, 1, 2, many",
    module=__name__,
    places=(few_or_many.at(48), MAPCOUNT_LOCK.at(48, bit=31)),
    readers=(
        Reader("folio_mapcount", Quantity.VMAS, Promise.EXACT, "one word up to two; a walk of the rmap above"),
        Reader(
            "folio_mapped", Quantity.MAPPED, Promise.NEVER_LESS, "one word; yes of what nothing maps since it was many"
        ),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.NEVER_LESS,
            "one word; yes of one mm that maps it in two VMAs, and of whatever was many once",
        ),
    ),
    when="proposed in December 2021, not merged",
    based_on=(5, 16),
    referee="proposal: there is no code",
    sources=('"folio mapcount", Matthew Wilcox, 15 December 2021 (linux-mm, spinics msg282633)',),
    cannot={
        "page_mapcount": "nothing counts the mappings of a page",
        "folio_average_page_mapcount": "a VMA maps one page or all of them, and there may be many",
        "partially_mapped": "nothing counts pages or entries, so there is nothing to compare with the folio's size",
    },
    variants={
        "walk": Variant(
            {"WALK": 1},
            "every unmapping from many walks the rmap, as if it could: what it costs to be right",
            invariants=(ALL_ARE_RIGHT, FOLIO_WHILE_COUNTED),
        )
    },
    invariants=(FEW_ARE_RIGHT, FOLIO_WHILE_COUNTED),
    stays=("folio->_mapcount", "stat 0", "stat 1"),
    refuses_pinned=True,
)
