"""What a scheme's look-ups find in each row of a log: page tables kept in plain Python, whichever engine counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Op
from mapcount.schemes.looked import Looked, PageTables

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, MappingLog
    from mapcount.replay.result import FolioSpecs
    from mapcount.schemes.looked import Mapper

PAGE_SHIFT, TABLE_SHIFT = 12, 9
LOOKED = tuple(Looked._fields)
"""Columns of `Looks.of`, arrays of an emitted module by folio."""
# Plain numbers: to compare or hash a member of an enum takes Python several times as long.
_ANEW, _LAST_THAT_COUNTS, _NOTHING = {int(Op.BIRTH), int(Op.DEATH)}, int(Op.SPLIT_MAPPING), Looked()


class Looks:
    """The page tables that a log tells of. Memory and time are for rows and mappers, not for pages."""

    def __init__(self, folios: FolioSpecs) -> None:
        self._orders = folios.orders.tolist()
        self._tables = PageTables()

    def of(self, log: MappingLog, end: int | None = None) -> I64:
        """Return an array with LOOKED of each row of the log; 0 from row `end` on, of rows that cannot be."""
        columns = (log.op, log.level, log.folio_id, log.first_page, log.nr_pages, log.mm_id, log.address)
        rows = zip(*(column[:end].tolist() for column in columns), strict=True)
        found = np.zeros((len(log), len(LOOKED)), np.int64)
        looked = [self._row(*row) for row in rows]
        if looked:
            found[: len(looked)] = looked
        return found

    def _row(self, op: int, level: int, folio: int, first: int, nr: int, mm: int, address: int) -> Looked:
        if op in _ANEW:
            return self._tables.forget(folio)
        if op > _LAST_THAT_COUNTS:
            return _NOTHING
        mapper = mapper_at(mm, address >> PAGE_SHIFT, first)
        return self._tables.change(op, level, folio, self._orders[folio], first, nr, mapper)


def mapper_at(mm: int, page: int, first: int) -> Mapper:
    """Return the mapper of page `first` of a folio at page number `page` of an address space, numbered from 0."""
    # For a scheme mm 0 is nobody. Where the folio's first page would be tells the VMA, even if that is below 0.
    return mm + 1, page - first, page >> TABLE_SHIFT
