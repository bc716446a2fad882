"""`subpages_mapcount` as a true sum of the pages' counts: two steps on the way to 6.2 that no release has.

The first tail page holds the number of all PTEs, so that a folio's mappings are two words. Whether a page becomes mapped
or not must still be known for NR_*_MAPPED, which takes a loop over all pages when the first PMD comes or the last one goes
while PTEs map some of them. Two forms, for nr_pages_mapped.py:

* `sum`: atomics alone. The loop races with PTEs that come and go meanwhile, so that statistics may drift.
* `bit-lock`: PG_locked of the first tail page locks every change of any of the counts; inside there are plain loads and
  stores. Linus Torvalds disliked it; the sum became a number of pages, and the lock went.

Functions return by how many pages NR_*_MAPPED changes, those of a PMD -1 if there was, or is, another one. Source: commits
cb67f4282bf9 ("mm,thp,rmap: simplify compound page mapcount handling") and 9bd3155ed83b ("mm,thp,rmap:
lock_compound_mapcounts() on THP mapcounts"), Hugh Dickins, November 2022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    bit_spin_lock,
    bit_spin_unlock,
)
from mapcount.schemes.words import _entire_mapcount, _mapcount, folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

subpages_mapcount = folio_word("subpages_mapcount")
MAPCOUNTS_LOCK = folio_flag("PG_locked", "flags")


def sum_map_pages(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE more on each of `nr` pages: the sum first, and a look whether a PMD maps the folio."""
    mapped = 0
    for i in range(page, page + nr):
        atomic_inc(m, subpages_mapcount, folio)
        entire = atomic_read(m, _entire_mapcount, folio) >= 0
        if atomic_inc_and_test(m, _mapcount, i) and not entire:
            mapped += 1
    return mapped


def sum_unmap_pages(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE less on each of `nr` pages."""
    unmapped = 0
    for i in range(page, page + nr):
        atomic_dec(m, subpages_mapcount, folio)
        entire = atomic_read(m, _entire_mapcount, folio) >= 0
        if atomic_dec_and_negative(m, _mapcount, i) and not entire:
            unmapped += 1
    return unmapped


def sum_dup_page(m: Memory, folio: int, page: int) -> None:
    """Count one PTE more on a page that is mapped."""
    atomic_inc(m, subpages_mapcount, folio)
    atomic_inc(m, _mapcount, page)


def sum_map_entire(m: Memory, folio: int, order: int, page: int) -> int:
    """Count one PMD more."""
    if not atomic_inc_and_test(m, _entire_mapcount, folio):
        return -1
    if atomic_read(m, subpages_mapcount, folio):
        return pages_without_pte(m, order, page)
    return 1 << order


def sum_unmap_entire(m: Memory, folio: int, order: int, page: int) -> int:
    """Count one PMD less."""
    if not atomic_dec_and_negative(m, _entire_mapcount, folio):
        return -1
    if atomic_read(m, subpages_mapcount, folio):
        return pages_without_pte(m, order, page)
    return 1 << order


def pages_without_pte(m: Memory, order: int, page: int) -> int:
    """Look at all pages; return how many no PTE maps (nr_subpages_unmapped)."""
    without = 1 << order
    for i in range(page, page + (1 << order)):
        if atomic_read(m, _mapcount, i) >= 0:
            without -= 1
    return without


def locked_map_pages(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE more on each of `nr` pages, each under the lock."""
    mapped = 0
    for i in range(page, page + nr):
        bit_spin_lock(m, MAPCOUNTS_LOCK, folio)
        entire = atomic_read(m, _entire_mapcount, folio)
        total = atomic_read(m, subpages_mapcount, folio)
        mapcount = atomic_read(m, _mapcount, i)
        atomic_set(m, _mapcount, i, mapcount + 1)
        if mapcount < 0 and entire < 0:
            mapped += 1
        set_and_unlock(m, folio, entire, total + 1)
    return mapped


def locked_unmap_pages(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE less on each of `nr` pages, each under the lock."""
    unmapped = 0
    for i in range(page, page + nr):
        bit_spin_lock(m, MAPCOUNTS_LOCK, folio)
        entire = atomic_read(m, _entire_mapcount, folio)
        total = atomic_read(m, subpages_mapcount, folio)
        mapcount = atomic_read(m, _mapcount, i)
        atomic_set(m, _mapcount, i, mapcount - 1)
        if mapcount == 0 and entire < 0:
            unmapped += 1
        set_and_unlock(m, folio, entire, total - 1)
    return unmapped


def locked_map_entire(m: Memory, folio: int, order: int, page: int) -> int:
    """Count one PMD more under the lock: the loop over the pages, if there must be one, holds it."""
    mapped = -1
    bit_spin_lock(m, MAPCOUNTS_LOCK, folio)
    entire = atomic_read(m, _entire_mapcount, folio)
    total = atomic_read(m, subpages_mapcount, folio)
    if entire < 0:
        mapped = 1 << order
        if total:
            mapped = pages_without_pte(m, order, page)
    set_and_unlock(m, folio, entire + 1, total)
    return mapped


def locked_unmap_entire(m: Memory, folio: int, order: int, page: int) -> int:
    """Count one PMD less under the lock."""
    unmapped = -1
    bit_spin_lock(m, MAPCOUNTS_LOCK, folio)
    entire = atomic_read(m, _entire_mapcount, folio)
    total = atomic_read(m, subpages_mapcount, folio)
    if entire == 0:
        unmapped = 1 << order
        if total:
            unmapped = pages_without_pte(m, order, page)
    set_and_unlock(m, folio, entire - 1, total)
    return unmapped


def locked_dup_entire(m: Memory, folio: int) -> None:
    """Count one PMD more of a folio that a PMD maps."""
    bit_spin_lock(m, MAPCOUNTS_LOCK, folio)
    entire = atomic_read(m, _entire_mapcount, folio)
    total = atomic_read(m, subpages_mapcount, folio)
    set_and_unlock(m, folio, entire + 1, total)


def set_and_unlock(m: Memory, folio: int, entire: int, total: int) -> None:
    """Write both counts back, changed or not, and release the lock."""
    atomic_set(m, _entire_mapcount, folio, entire)
    atomic_set(m, subpages_mapcount, folio, total)
    bit_spin_unlock(m, MAPCOUNTS_LOCK, folio)
