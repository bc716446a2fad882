"""Rows of a log that cannot be: nothing may be read or written outside of the folios that the log is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.errors import BadLogError
from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from mapcount.mapping.schema import MappingLog
    from mapcount.replay.result import FolioSpecs


def first_bad_row(log: MappingLog, folios: FolioSpecs) -> int | None:
    """
    Return the first row whose folio, op or level does not exist or, if it changes mappings, whose pages its folio lacks.

    The compiled drivers make the same checks while they count.
    """
    if not len(folios):
        return 0 if len(log) else None
    known = log.folio_id < len(folios)
    size = np.int64(1) << folios.orders[np.where(known, log.folio_id, 0)].astype(np.int64)
    outside = (log.nr_pages < 1) | (log.first_page.astype(np.int64) + log.nr_pages > size)
    changes = (log.op > Op.BIRTH) & (log.op <= Op.SPLIT_MAPPING)
    rows = np.flatnonzero(~known | (log.op > max(Op)) | (log.level > max(Level)) | (changes & outside))
    return int(rows[0]) if rows.size else None


def bad_row(log: MappingLog, row: int, folios: FolioSpecs) -> BadLogError:
    """Return the error that says what is wrong with a row."""
    op, level, folio = int(log.op[row]), int(log.level[row]), int(log.folio_id[row])
    first, nr = int(log.first_page[row]), int(log.nr_pages[row])
    if folio >= len(folios):
        why = f"there is no folio {folio}, the log has {len(folios)}"
    elif op > max(Op):
        why = f"there is no operation {op}"
    elif level > max(Level):
        why = f"there is no level {level}"
    else:
        why = (
            f"pages [{first}, {first + nr}) are not pages of folio {folio}, which has {1 << int(folios.orders[folio])}"
        )
    return BadLogError(f"the log cannot be replayed: in row {int(log.seq[row])}, {why}")
