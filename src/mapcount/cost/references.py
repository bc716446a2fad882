"""What operations do to a folio's `_refcount`: no scheme's word, but every mapping has one reference, so each costs.

Source: copy_present_ptes() and zap_present_folio_ptes(), mm/memory.c, and __split_huge_pmd_locked(), mm/huge_memory.c, of
6.12 and 7.3 (one operation a batch) and their forms of 5.10 and 6.1 (one a page); the recorded tables of accesses agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.cost.calls import is_batchable
from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, MappingLog


def references(table: MappingLog, *, batched: bool) -> I64:
    """
    Return the LOCKed operations on `_refcount` of each row: one for a whole run, or one for each of its pages.

    A new folio has the reference of its first mapping from allocation; further PTEs of it are added at once.
    """
    pages = table.nr_pages.astype(np.int64)
    runs = np.where(is_batchable(table), 1 if batched else pages, 0)
    runs = np.where((table.op == Op.FIRST_MAP) & (table.level == Level.PTE), pages > 1, runs)
    entries = np.isin(table.op, (Op.MAP, Op.DUP, Op.UNMAP)) & (table.level != Level.PTE)
    counted: I64 = np.where(entries | (table.op == Op.SPLIT_MAPPING), 1, runs).astype(np.int64)
    return counted
