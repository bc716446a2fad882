"""PageAnonExclusive (5.19 and later): which anon pages may be written without a copy, and what fork does to that.

It decides nothing about counts. fork clears it, and must not where a page may be pinned: commit 6c287605fd56 ("mm: remember
exclusively mapped anonymous pages with PG_anon_exclusive"), batched in 6.8: include/linux/rmap.h
__folio_try_dup_anon_rmap().
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import clear_bit, folio_maybe_dma_pinned, folio_test_anon, set_bit, test_bit
from mapcount.schemes.words import PG_anon_exclusive

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory


def must_copy(m: Memory, folio: int, page: int, nr: int) -> int:
    """Return 1 if the folio may be pinned and one of the pages is exclusive: sharing them would break the pin."""
    if folio_test_anon(m, folio) and folio_maybe_dma_pinned(m, folio):
        for i in range(page, page + nr):
            if test_bit(m, PG_anon_exclusive, i):
                return 1
    return 0


def share(m: Memory, folio: int, page: int) -> None:
    """Take the flag from a page that becomes shared."""
    if folio_test_anon(m, folio) and test_bit(m, PG_anon_exclusive, page):
        clear_bit(m, PG_anon_exclusive, page)


def hand_down(m: Memory, page: int, nr: int, exclusive: int) -> None:
    """
    Give the head's flag (`exclusive`), which spoke for a PMD mapping, to all `nr` pages when PTEs replace it.

    From 6.8 on after all counts; before, each page's flag comes just before its count. Source: __split_huge_pmd_locked() and
    __folio_add_anon_rmap(); patch "mm/huge_memory: batch rmap operations in __split_huge_pmd_locked()", 6.8.
    """
    if exclusive:
        for i in range(page, page + nr):
            set_bit(m, PG_anon_exclusive, i)
