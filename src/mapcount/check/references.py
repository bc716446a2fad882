"""The folio's reference count, a word of the surroundings: every mapping has a reference of its own.

Order, in all kernels: mapping takes the reference first and counts the mapping then; unmapping counts first, the reference
goes later. Sources: mm/memory.c, copy_present_ptes() and zap_present_folio_ptes(), 7.1; mm/huge_memory.c,
__split_huge_pmd_locked(), 7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.schemes.words import folio_word

if TYPE_CHECKING:
    from mapcount.schemes.truth import FolioTruth

_refcount = folio_word("_refcount")


def cache_references(order: int, kind: Kind) -> int:
    """Return the references that the page cache holds: one for each page of a shmem or file folio."""
    return 1 << order if kind in {Kind.SHMEM, Kind.FILE} else 0


def references(truth: FolioTruth, kind: Kind, others: int) -> int:
    """Return the reference count of a folio that these mappings, the page cache and `others` refer to."""
    return truth.entries() + cache_references(truth.order, kind) + others
