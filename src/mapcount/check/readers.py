"""What callers ask that one reader of a scheme does not answer alone: mapcount beside refcount, and what reuse decides by.

Written like a scheme; the scheme's own readers are put in place (callers.py). `EXPECTED` are the references that the caller
knows of: the page cache's and its own.
"""

# The scheme's readers are put in place of names that do not exist here.
# mypy: disable-error-code="name-defined, no-any-return"
# ruff: noqa: F821

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.references import _refcount
from mapcount.schemes.mm_slots import FOLIO_MM_IDS_LOCK, FOLIO_MM_IDS_SHARED
from mapcount.schemes.ops import atomic_read, bit_spin_lock, bit_spin_unlock, test_bit
from mapcount.schemes.words import _large_mapcount

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

EXPECTED = 0


def extra_references(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the references that are no mappings: refcount first (compaction.c, isolate_migratepages_block())."""
    count = atomic_read(m, _refcount, folio)
    return count - EXPECTED - folio_mapcount(m, folio, order, page)


def extra_references_mapcount_first(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the references that are no mappings: mapcount first (folio_expected_ref_count() compared with the refcount)."""
    expected = folio_mapcount(m, folio, order, page) + EXPECTED
    return atomic_read(m, _refcount, folio) - expected


def others_by_refcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether there are more references than this one: what decides about reuse from 5.9 on, of THPs from 5.18."""
    return atomic_read(m, _refcount, folio) - EXPECTED > 1


def others_by_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether there are more mappings than this one: what decided about reuse before."""
    return folio_mapcount(m, folio, order, page) > 1


def others_by_owner(m: Memory, folio: int, order: int, page: int) -> int:
    """
    Tell whether others may use the folio, as copy-on-write of a large folio asks from 6.15 on.

    First without the lock (total, SHARED, total against references), then SHARED and the references again under the lock of
    the slots. Source: mm/memory.c __wp_can_reuse_large_anon_folio(), 7.3; commit 1da190f4d0a6 ("mm: Copy-on-Write (COW) reuse
    support for PTE-mapped THP").
    """
    if atomic_read(m, _large_mapcount, folio) < 1:
        return 1
    if test_bit(m, FOLIO_MM_IDS_SHARED, folio):
        return 1
    if atomic_read(m, _large_mapcount, folio) + 1 != atomic_read(m, _refcount, folio) - EXPECTED:
        return 1
    others = 1
    bit_spin_lock(m, FOLIO_MM_IDS_LOCK, folio)
    if not test_bit(m, FOLIO_MM_IDS_SHARED, folio):
        if atomic_read(m, _large_mapcount, folio) + 1 == atomic_read(m, _refcount, folio) - EXPECTED:
            others = 0
    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)
    return others
