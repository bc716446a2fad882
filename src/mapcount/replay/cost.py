"""What counting costs: atomic read-modify-writes, plain stores, loads, and cache lines, by operation, level and folio order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import I64

MAX_ORDER = 30
"""As in mapping/integrity.py."""
COST_COLUMNS = ("operations", "pages", "locked", "stores", "loads", "lines")
COST_SHAPE = (len(Op), len(Level), MAX_ORDER + 1, len(COST_COLUMNS))


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


@dataclass(frozen=True, eq=False)
class Costs:
    """Sums of COST_COLUMNS, by op, level and order: an array of COST_SHAPE."""

    table: I64

    @staticmethod
    def none() -> Costs:
        """Return a table of zeros."""
        return Costs(np.zeros(COST_SHAPE, np.int64))

    def rows(self) -> Iterator[CostRow]:
        """Give one row for each op, level and order that occurred."""
        for op, level, order in np.argwhere(self.table[..., 0]):
            yield CostRow(Op(op), Level(level), int(order), *self.table[op, level, order].tolist())
