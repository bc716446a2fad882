"""What counting costs: atomic read-modify-writes, plain stores, loads, and cache lines, by operation, level and folio order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import I64

COUNTED = (Op.FIRST_MAP, Op.MAP, Op.DUP, Op.UNMAP, Op.SPLIT_MAPPING)
"""What a scheme counts."""
MAX_ORDER = 30
"""As in mapping/integrity.py."""
COST_COLUMNS = ("operations", "pages", "locked", "stores", "loads", "lines", "lookups", "entries_read")
LEVEL_BITS, ORDER_BITS = 2, 5
"""Op, level and order make the number of a row of the table, of which these are the lower bits."""
COST_SHAPE = (len(Op), 1 << LEVEL_BITS, 1 << ORDER_BITS, len(COST_COLUMNS))


class CostRow(NamedTuple):
    """The costs of all operations of one kind on folios of one order. Sums: divide by `operations`."""

    op: Op
    level: Level
    order: int
    operations: int
    pages: int
    """pages that the operations were about"""
    locked: int
    """LOCKed read-modify-writes"""
    stores: int
    """plain stores"""
    loads: int
    """plain loads"""
    lines: int
    """distinct cache lines of each operation, added up. A line is one struct page (words.STRUCT_PAGE_BYTES), so these are
    also the distinct struct pages. Statistics, page tables and reference counts are not a scheme's words and not in it."""
    lookups: int = 0
    """looks into page tables that the scheme needs in order to count (ops.lookup_page_table, lookup_vmas)"""
    entries_read: int = 0
    """page-table entries that these read"""


@dataclass(frozen=True, eq=False)
class Costs:
    """
    Sums of COST_COLUMNS, by op, level and order: an array of COST_SHAPE.

    `operations` of births, deaths and others that count nothing are only in the compiled engine's table, not in `rows`.
    """

    table: I64

    @staticmethod
    def none() -> Costs:
        """Return a table of zeros."""
        return Costs(np.zeros(COST_SHAPE, np.int64))

    def rows(self) -> Iterator[CostRow]:
        """Give one row for each op, level and order that occurred."""
        for op, level, order in np.argwhere(self.table[..., 0]):
            if Op(op) not in COUNTED:
                continue
            yield CostRow(Op(op), Level(level), int(order), *self.table[op, level, order].tolist())
