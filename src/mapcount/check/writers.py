"""Who changes mappings in a kernel, with its locks and references around the scheme's operation, in the kernel's order.

Written like a scheme (lower.py says what is allowed). The operations are those of the scheme that is checked: callers.py puts
them in place. `REFERENCES` is 0 in models that have no reference count, so nothing of it is left then.

Sources, all 7.1: mm/memory.c set_pte_range(), copy_present_ptes(), zap_present_folio_ptes(); mm/huge_memory.c copy_huge_pmd(),
zap_huge_pmd(), __split_huge_pmd_locked(); mm/rmap.c try_to_migrate_one(), 7.3. The order of references and counts is
the same in all kernels from 4.5 on.
"""

# The scheme's operations are put in place of names that do not exist here.
# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, RMAP_LOCK, hold, hold_shared, release
from mapcount.check.references import _refcount
from mapcount.schemes.ops import atomic_add, atomic_read, atomic_sub

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

REFERENCES = 1
FIRST = 1
LAST = 1
TOTAL = 1
"""A caller that goes through a range page by page is called for each: FIRST and LAST tell the first and the last of them, TOTAL
is the number of pages in all (model.Call.pieces)."""


def get_references(m: Memory, folio: int, nr: int) -> None:
    """Take a reference for each mapping that will be."""
    if REFERENCES:
        atomic_add(m, _refcount, folio, nr)


def put_references(m: Memory, folio: int, nr: int) -> None:
    """Give back the references of mappings that were."""
    if REFERENCES:
        atomic_sub(m, _refcount, folio, nr)


def fault_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map pages of a folio that exists, at a fault: finish_fault(), filemap_map_pages(), do_swap_page()."""
    if FIRST:
        hold(m, FOLIO_LOCK)
        hold(m, PAGE_TABLE + mm)
    get_references(m, folio, nr)
    map_ptes(m, folio, order, page, nr, mm)
    if LAST:
        release(m, PAGE_TABLE + mm)
        release(m, FOLIO_LOCK)


def insert_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map pages without the folio lock: insert_page_into_pte_locked() and other mappers of drivers."""
    if FIRST:
        hold(m, PAGE_TABLE + mm)
    get_references(m, folio, nr)
    map_ptes(m, folio, order, page, nr, mm)
    if LAST:
        release(m, PAGE_TABLE + mm)


def fault_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a folio that exists by a PMD: do_set_pmd()."""
    hold(m, FOLIO_LOCK)
    hold(m, PAGE_TABLE + mm)
    get_references(m, folio, 1)
    map_pmd(m, folio, order, page, mm)
    release(m, PAGE_TABLE + mm)
    release(m, FOLIO_LOCK)


def zap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap pages at munmap, MADV_DONTNEED or exit: the references go when the TLB has been flushed, without the lock."""
    if FIRST:
        hold(m, PAGE_TABLE + mm)
    unmap_ptes(m, folio, order, page, nr, mm)
    if LAST:
        release(m, PAGE_TABLE + mm)
        put_references(m, folio, TOTAL)


def zap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a PMD at munmap, MADV_DONTNEED or exit."""
    hold(m, PAGE_TABLE + mm)
    unmap_pmd(m, folio, order, page, mm)
    release(m, PAGE_TABLE + mm)
    put_references(m, folio, 1)


def wp_page_copy(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Leave pages at copy-on-write: the copy is mapped instead, under the same page-table lock."""
    if FIRST:
        hold(m, PAGE_TABLE + mm)
    unmap_ptes(m, folio, order, page, nr, mm)
    if LAST:
        release(m, PAGE_TABLE + mm)
        put_references(m, folio, TOTAL)


def fork_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int, parent: int) -> int:
    """Share pages with a child: mmap_lock of the parent for writing, the locks of both page tables, no folio lock."""
    if FIRST:
        hold(m, MMAP_LOCK + parent)
        hold(m, PAGE_TABLE + parent)
        hold(m, PAGE_TABLE + mm)
    get_references(m, folio, nr)
    refused = dup_ptes(m, folio, order, page, nr, mm)
    if refused:
        put_references(m, folio, nr)
    if LAST:
        release(m, PAGE_TABLE + mm)
        release(m, PAGE_TABLE + parent)
        release(m, MMAP_LOCK + parent)
    return refused


def fork_pmd(m: Memory, folio: int, order: int, page: int, mm: int, parent: int) -> int:
    """Share a PMD mapping with a child."""
    hold(m, MMAP_LOCK + parent)
    hold(m, PAGE_TABLE + parent)
    hold(m, PAGE_TABLE + mm)
    get_references(m, folio, 1)
    refused = dup_pmd(m, folio, order, page, mm)
    if refused:
        put_references(m, folio, 1)
    release(m, PAGE_TABLE + mm)
    release(m, PAGE_TABLE + parent)
    release(m, MMAP_LOCK + parent)
    return refused


def split_huge_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD by PTEs, under the page-table lock alone: references for the PTEs first."""
    hold(m, PAGE_TABLE + mm)
    get_references(m, folio, (1 << order) - 1)
    split_pmd(m, folio, order, page, mm)
    release(m, PAGE_TABLE + mm)


def try_to_migrate(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """
    Replace pages by migration entries (or by swap entries: try_to_unmap()), the folio locked and the rmap held.

    The reference of each page goes at once, under the page-table lock.
    """
    if FIRST:
        hold(m, FOLIO_LOCK)
        hold(m, RMAP_LOCK)
        hold(m, PAGE_TABLE + mm)
    unmap_ptes(m, folio, order, page, nr, mm)
    put_references(m, folio, nr)
    if LAST:
        release(m, PAGE_TABLE + mm)
        release(m, RMAP_LOCK)
        release(m, FOLIO_LOCK)


def reuse(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """
    Map the memory as another folio, if nobody has a reference to it: do_anonymous_page() after the last folio_put().

    The counts are at rest then, as a new folio's are; flags that freeing clears stay as they are here. Returns 1 if it is not
    free.
    """
    if atomic_read(m, _refcount, folio):
        return 1
    hold(m, PAGE_TABLE + mm)
    get_references(m, folio, nr)
    new_ptes(m, folio, order, page, nr, mm)
    release(m, PAGE_TABLE + mm)
    return 0


def madvise_dontneed(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap pages with mmap_lock for reading, which fork's keeps out."""
    if FIRST:
        hold_shared(m, MMAP_LOCK + mm)
        hold(m, PAGE_TABLE + mm)
    unmap_ptes(m, folio, order, page, nr, mm)
    if LAST:
        release(m, PAGE_TABLE + mm)
        put_references(m, folio, TOTAL)
        release(m, MMAP_LOCK + mm)
