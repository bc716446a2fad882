"""`_nr_pages_mapped`: how many pages of a folio PTEs map, and whether a PMD maps it. 6.2 and later, while pages have counts.

The number of pages with at least one PTE, plus ENTIRELY_MAPPED while a PMD maps the folio. It exists to keep the statistics
NR_*_MAPPED exact without a loop over all pages. A PMD that is unmapped while another is mapped anew may be seen twice
(2 * ENTIRELY_MAPPED) or not at all, hence the comparisons instead of a test of the bit. Source: commit 6287b7dae809
("mm,thp,rmap: fix races between updates of subpages_mapcount"), Hugh Dickins, 6.2; batched: commit
43c9074e6f09 ("mm/rmap: minimize folio->_nr_pages_mapped updates when batching PTE (un)mapping"), David Hildenbrand, 6.12.

Every function returns by how many pages NR_*_MAPPED changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    atomic_add_return_relaxed,
    atomic_dec_and_negative,
    atomic_inc_and_test,
    atomic_sub_return_relaxed,
)
from mapcount.schemes.words import _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

ENTIRELY_MAPPED = 0x800000
"""Above the pages of the largest folio, 16 GiB of 4 KiB pages."""


def map_pages_batched(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE more on each of `nr` pages, and once how many of them were not mapped by one before."""
    first = 0
    for i in range(page, page + nr):
        first += atomic_inc_and_test(m, _mapcount, i)
    if first and atomic_add_return_relaxed(m, _nr_pages_mapped, folio, first) < ENTIRELY_MAPPED:
        return first
    return 0


def unmap_pages_batched(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE less on each of `nr` pages, and once how many of them are mapped by none any more."""
    last = 0
    for i in range(page, page + nr):
        last += atomic_dec_and_negative(m, _mapcount, i)
    if last and atomic_sub_return_relaxed(m, _nr_pages_mapped, folio, last) < ENTIRELY_MAPPED:
        return last
    return 0


def map_pages_one_by_one(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE more on each of `nr` pages, and each page that was not mapped by one before."""
    mapped = 0
    for i in range(page, page + nr):
        if atomic_inc_and_test(m, _mapcount, i):
            if atomic_add_return_relaxed(m, _nr_pages_mapped, folio, 1) < ENTIRELY_MAPPED:
                mapped += 1
    return mapped


def unmap_pages_one_by_one(m: Memory, folio: int, page: int, nr: int) -> int:
    """Count one PTE less on each of `nr` pages, and each page that is mapped by none any more."""
    unmapped = 0
    for i in range(page, page + nr):
        if atomic_dec_and_negative(m, _mapcount, i):
            if atomic_sub_return_relaxed(m, _nr_pages_mapped, folio, 1) < ENTIRELY_MAPPED:
                unmapped += 1
    return unmapped


def pages_from_first_pmd(m: Memory, folio: int, order: int) -> int:
    """Mark that a PMD maps the folio, the first one; return the pages that no PTE mapped, or -1 if a removal was overtaken."""
    nr = atomic_add_return_relaxed(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    if nr >= ENTIRELY_MAPPED + ENTIRELY_MAPPED:
        return -1
    nr = (1 << order) - (nr & (ENTIRELY_MAPPED - 1))
    if nr < 0:
        return 0
    return nr


def pages_from_last_pmd(m: Memory, folio: int, order: int) -> int:
    """Mark that no PMD maps the folio any more; return the pages that no PTE maps, or -1 if a new PMD was overtaken."""
    nr = atomic_sub_return_relaxed(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    if nr >= ENTIRELY_MAPPED:
        return -1
    nr = (1 << order) - (nr & (ENTIRELY_MAPPED - 1))
    if nr < 0:
        return 0
    return nr
