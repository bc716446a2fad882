"""Page tables as words of a model: what each address space maps now, for callers that unmap what they find.

Elsewhere a thread knows what it has mapped. Where migration or a split replaces mappings by migration entries while others
fork and zap, it depends: so each writer looks, under the page-table lock, as a kernel does. An entry counts for nothing and
has no reference; fork copies it, zap clears it, and a fault that meets it waits until the migration is over, which is after
all that is judged here: it does nothing more.

Written like a scheme (lower.py says what is allowed). One page table for each address space. Sources, all 7.3: mm/rmap.c
try_to_migrate_one(); mm/memory.c copy_nonpresent_pte(), zap_nonpresent_ptes(), do_swap_page(); mm/huge_memory.c
set_pmd_migration_entry(), copy_huge_pmd(), zap_huge_pmd(), __split_huge_pmd_locked(), unmap_folio().
"""

# The scheme's operations are put in place of names that do not exist here.
# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, hold, hold_shared, release
from mapcount.check.writers import get_references, put_references
from mapcount.schemes.ops import read, store
from mapcount.schemes.words import page_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.truth import FolioTruth

page_table = page_word("page_table")
"""
By address space, not by page. Of P pages bit i is set if a PTE maps page i, bit P + i if a migration entry stands in its place;
bit 2 * P if a PMD maps the folio, the next one if a migration entry stands in that one's place.
"""
ENTRIES = 1
"""Whether what is unmapped for migration leaves entries; else it leaves nothing, and a fault maps the page again."""
AT_ONCE = 1
"""Whether a writer counts a range at once, where all of it is there to be counted."""
PMDS = 1
"""Whether anybody maps the folio by a PMD; else nothing of that is left in the model."""
MMS = 1
"""Address spaces that the walk of the rmap comes to: 1 to MOST_WALKED."""
MOST_WALKED = 4
MOST_PAGES = 8
"""Of a folio whose page tables fit the word."""


def tables_of(truth: FolioTruth, mms: int) -> list[int]:
    """Return the first values of `page_table`, for address spaces 0 to `mms`."""
    ptes = [sum(1 << i for i in range(truth.nr_pages) if truth.ptes[mm, 0, 0, i]) for mm in range(mms + 1)]
    return [table | (truth.huge[mm, 0, 0] > 0) << 2 * truth.nr_pages for mm, table in enumerate(ptes)]


def zap_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap what is mapped of a range, clear its migration entries: munmap, MADV_DONTNEED, exit, copy-on-write."""
    hold(m, PAGE_TABLE + mm)
    gone = unmap_found(m, folio, order, page, nr, mm)
    release(m, PAGE_TABLE + mm)
    if gone:
        put_references(m, folio, gone)


def dontneed_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Do the same with mmap_lock for reading."""
    hold_shared(m, MMAP_LOCK + mm)
    zap_found(m, folio, order, page, nr, mm)
    release(m, MMAP_LOCK + mm)


def unmap_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Unmap what is mapped of a range; return how many pages that were."""
    pages = ((1 << nr) - 1) << page
    table = read(m, page_table, mm)
    store(m, page_table, mm, table & ~(pages | pages << (1 << order)))
    if AT_ONCE and (table & pages) == pages:
        unmap_ptes(m, folio, order, page, nr, mm)
        return nr
    gone = 0
    for i in range(page, page + nr):
        if table >> i & 1:
            unmap_ptes(m, folio, order, i, 1, mm)
            gone += 1
    return gone


def fork_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int, parent: int) -> int:
    """Share what the parent maps of a range with a child, which gets its migration entries too."""
    pages = ((1 << nr) - 1) << page
    hold(m, MMAP_LOCK + parent)
    hold(m, PAGE_TABLE + parent)
    hold(m, PAGE_TABLE + mm)
    table = read(m, page_table, parent)
    dup_found(m, folio, order, page, nr, mm, table)
    store(m, page_table, mm, table & (pages | pages << (1 << order)))
    release(m, PAGE_TABLE + mm)
    release(m, PAGE_TABLE + parent)
    release(m, MMAP_LOCK + parent)
    return 0


def dup_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int, table: int) -> None:
    """Count for a child what PTEs in the parent's table map of a range."""
    pages = ((1 << nr) - 1) << page
    if AT_ONCE and (table & pages) == pages:
        get_references(m, folio, nr)
        dup_ptes(m, folio, order, page, nr, mm)
    else:
        for i in range(page, page + nr):
            if table >> i & 1:
                get_references(m, folio, 1)
                dup_ptes(m, folio, order, i, 1, mm)


def fork_pmd_found(m: Memory, folio: int, order: int, page: int, mm: int, parent: int) -> int:
    """Share what the parent maps with a child, by a PMD if it has one."""
    hold(m, MMAP_LOCK + parent)
    hold(m, PAGE_TABLE + parent)
    hold(m, PAGE_TABLE + mm)
    table = read(m, page_table, parent)
    if table >> (2 << order) & 1:
        get_references(m, folio, 1)
        dup_pmd(m, folio, order, page, mm)
    else:
        dup_found(m, folio, order, 0, 1 << order, mm, table)
    store(m, page_table, mm, table)
    release(m, PAGE_TABLE + mm)
    release(m, PAGE_TABLE + parent)
    release(m, MMAP_LOCK + parent)
    return 0


def fault_found(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Touch pages: what is neither mapped nor a migration entry is mapped, under the folio lock."""
    hold(m, FOLIO_LOCK)
    hold(m, PAGE_TABLE + mm)
    map_missing(m, folio, order, page, nr, mm)
    release(m, PAGE_TABLE + mm)
    release(m, FOLIO_LOCK)


def map_missing(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map what is not there of a range."""
    pages = ((1 << nr) - 1) << page
    table = read(m, page_table, mm)
    missing = pages & ~(table | table >> (1 << order))
    if PMDS and table >> (2 << order):
        missing = 0
    if AT_ONCE and missing == pages:
        get_references(m, folio, nr)
        map_ptes(m, folio, order, page, nr, mm)
    else:
        for i in range(page, page + nr):
            if missing >> i & 1:
                get_references(m, folio, 1)
                map_ptes(m, folio, order, i, 1, mm)
    if missing:
        store(m, page_table, mm, table | missing)


def fault_pmd_found(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD where nothing is, under the folio lock."""
    hold(m, FOLIO_LOCK)
    hold(m, PAGE_TABLE + mm)
    if read(m, page_table, mm) == 0:
        get_references(m, folio, 1)
        map_pmd(m, folio, order, page, mm)
        store(m, page_table, mm, 1 << (2 << order))
    release(m, PAGE_TABLE + mm)
    release(m, FOLIO_LOCK)


def zap_pmd_found(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio, by whatever it is mapped; clear entries."""
    hold(m, PAGE_TABLE + mm)
    table = read(m, page_table, mm)
    gone = 0
    if table >> (2 << order) & 1:
        unmap_pmd(m, folio, order, page, mm)
        gone = 1
    if table >> (2 << order):
        store(m, page_table, mm, 0)
    else:
        gone = unmap_found(m, folio, order, 0, 1 << order, mm)
    release(m, PAGE_TABLE + mm)
    if gone:
        put_references(m, folio, gone)


def split_pmd_found(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace a PMD by PTEs, or its migration entry by those of PTEs."""
    ptes = (1 << (1 << order)) - 1
    hold(m, PAGE_TABLE + mm)
    table = read(m, page_table, mm)
    if table >> (2 << order) & 1:
        split_in(m, folio, order, page, mm)
        store(m, page_table, mm, ptes)
    elif table >> (2 << order):
        store(m, page_table, mm, ptes << (1 << order))
    release(m, PAGE_TABLE + mm)


def split_in(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Count PTEs in place of a PMD, references for them first."""
    get_references(m, folio, (1 << order) - 1)
    split_pmd(m, folio, order, page, mm)


def replace_all(m: Memory, folio: int, order: int, splits: int) -> None:
    """
    Walk the rmap and replace every mapping by a migration entry: one page table after the other.

    With `splits` PMDs are split first, as a split of the folio needs; else an entry takes the PMD's place.
    """
    replace_in(m, folio, order, 1, splits)
    if MMS > 1:
        replace_in(m, folio, order, 2, splits)
    if MMS > 2:
        replace_in(m, folio, order, 3, splits)
    if MMS > 3:
        replace_in(m, folio, order, 4, splits)


def replace_in(m: Memory, folio: int, order: int, mm: int, splits: int) -> None:
    """Replace one address space's mappings, page by page under its page-table lock; their references go with them."""
    ptes = (1 << (1 << order)) - 1
    hold(m, PAGE_TABLE + mm)
    table = read(m, page_table, mm)
    if PMDS and table >> (2 << order) & 1:
        if splits:
            split_in(m, folio, order, 0, mm)
            table = ptes
        else:
            unmap_pmd(m, folio, order, 0, mm)
            put_references(m, folio, 1)
            store(m, page_table, mm, 2 << (2 << order) if ENTRIES else 0)
    if table & ptes:
        for i in range(1 << order):
            if table >> i & 1:
                unmap_ptes(m, folio, order, i, 1, mm)
                put_references(m, folio, 1)
        entries = (table & ptes) << (1 << order) if ENTRIES else 0
        store(m, page_table, mm, (table & ~ptes) | entries)
    release(m, PAGE_TABLE + mm)
