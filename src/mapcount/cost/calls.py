"""Changes as a log, and a log as its calls of rmap: a whole run in one call (batched), or a call for each of its pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Level, MappingLog, Op, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.cost.operations import Change
    from mapcount.mapping.log import Log
    from mapcount.mapping.schema import Bools

PAGE_SIZE = 4096
_AT = 1 << 30
"""Where the folio is mapped: aligned to its size, below the end of a page table."""
_BATCHABLE = (Op.MAP, Op.DUP, Op.UNMAP)
"""A new folio is mapped, and a PMD is split, in one call in every design: how it does that is the design."""


def table_of(changes: Sequence[Change]) -> MappingLog:
    """Return changes of folio 0 as rows, each mm having it at the same address, as after fork."""
    columns = {
        "seq": range(len(changes)),
        "batch": range(len(changes)),
        "op": [change.op for change in changes],
        "mm_id": [change.mm for change in changes],
        "vma_id": [change.mm for change in changes],
        "address": [_AT + change.first * PAGE_SIZE for change in changes],
        "folio_id": [0] * len(changes),
        "first_page": [change.first for change in changes],
        "nr_pages": [change.nr for change in changes],
        "level": [change.level for change in changes],
        "outcome": [Outcome.DONE] * len(changes),
    }
    empty = MappingLog.empty()
    return MappingLog(**{name: np.array(values, getattr(empty, name).dtype) for name, values in columns.items()})


def is_batchable(table: MappingLog) -> Bools:
    """Tell of each row whether a kernel could do it in one call or in one a page."""
    batchable: Bools = np.isin(table.op, _BATCHABLE) & (table.level == Level.PTE)
    return batchable


def page_by_page(table: MappingLog) -> MappingLog:
    """Return the rows with one for each page, where a kernel that does not batch makes a call for each."""
    times = np.where(is_batchable(table), table.nr_pages.astype(np.int64), 1)
    rows = np.repeat(np.arange(len(table)), times)
    cut: MappingLog = table.take(rows)
    page = np.arange(len(rows)) - np.repeat(np.cumsum(times) - times, times)
    one = is_batchable(cut)
    return replace(
        cut,
        first_page=cut.first_page + page.astype(cut.first_page.dtype),
        address=cut.address + (page * PAGE_SIZE).astype(cut.address.dtype),
        nr_pages=np.where(one, 1, cut.nr_pages).astype(cut.nr_pages.dtype),
    )


def log_page_by_page(log: Log) -> Log:
    """Return a log whose batches come page by page."""
    return replace(log, batches=lambda: map(page_by_page, log.batches()))
