"""Folios of one page: `_mapcount` counts their mappings in every design, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_set,
    clear_bit,
    folio_maybe_dma_pinned,
    folio_test_anon,
    set_bit,
    test_bit,
)
from mapcount.schemes.statistics import mod_mapped
from mapcount.schemes.words import PG_anon_exclusive, _mapcount

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory


def new_small(m: Memory, folio: int, page: int) -> None:
    """Map a new anon page for the first time: nobody else knows it, so a store does."""
    atomic_set(m, _mapcount, page, 0)
    set_bit(m, PG_anon_exclusive, page)
    mod_mapped(m, folio, 1)


def map_small(m: Memory, folio: int, page: int) -> None:
    """Map the page once more."""
    if atomic_inc_and_test(m, _mapcount, page):
        mod_mapped(m, folio, 1)


def unmap_small(m: Memory, folio: int, page: int) -> None:
    """Unmap the page once."""
    if atomic_dec_and_negative(m, _mapcount, page):
        mod_mapped(m, folio, -1)


def dup_small(m: Memory, folio: int, page: int) -> int:
    """Share the page with a child at fork; return 1 if it may be pinned and is exclusive, so it must be copied."""
    if folio_test_anon(m, folio) and test_bit(m, PG_anon_exclusive, page):
        if folio_maybe_dma_pinned(m, folio):
            return 1
        clear_bit(m, PG_anon_exclusive, page)
    atomic_inc(m, _mapcount, page)
    return 0
