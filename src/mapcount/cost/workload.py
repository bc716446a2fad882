"""The price of a real mix of operations: a log through schemes, its runs in one call each or page by page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.cost.calls import log_page_by_page
from mapcount.cost.references import references
from mapcount.mapping.schema import Level, Op, Outcome
from mapcount.replay.cost import COUNTED
from mapcount.replay.engine import replay_each

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.mapping.log import Log
    from mapcount.schemes.bind import BoundScheme


@dataclass(frozen=True)
class WorkloadPrice:
    """All changes of one kind on folios of one order, under one scheme. Sums; as Price where names are the same."""

    scheme: str
    rmap_batched: bool
    op: str
    level: str
    order: int
    calls: int
    pages: int
    locked: int
    references_by_page: int
    references_batched: int
    stores: int
    loads: int
    lines: int
    lookups: int
    entries_read: int


def price_workload(log: Log, schemes: Iterable[BoundScheme]) -> Iterator[WorkloadPrice]:
    """
    Give what a log costs under each scheme, in both ways to call rmap.

    The order-0 folios of a log are in it; a snapshot's history has none. Raises what replay raises.
    """
    chosen = list(schemes)
    taken = {batched: _references(log, batched=batched) for batched in (False, True)}
    for rmap_batched in (False, True):
        for done in replay_each(log if rmap_batched else log_page_by_page(log), chosen, cost=True):
            assert done.costs is not None
            for row in done.costs.rows():
                kind = (int(row.op), int(row.level), row.order)
                yield WorkloadPrice(
                    scheme=done.scheme.id,
                    rmap_batched=rmap_batched,
                    op=row.op.name.lower(),
                    level=row.level.name.lower(),
                    order=row.order,
                    calls=row.operations,
                    pages=row.pages,
                    locked=row.locked,
                    references_by_page=taken[False][kind],
                    references_batched=taken[True][kind],
                    stores=row.stores,
                    loads=row.loads,
                    lines=row.lines,
                    lookups=row.lookups,
                    entries_read=row.entries_read,
                )


def _references(log: Log, *, batched: bool) -> Counter[tuple[int, int, int]]:
    """Return the LOCKed operations on `_refcount` by op, level and order."""
    sums: Counter[tuple[int, int, int]] = Counter()
    for batch in log.batches():
        table = batch.take(np.flatnonzero((batch.outcome == Outcome.DONE) & np.isin(batch.op, COUNTED)))
        counts, orders = references(table, batched=batched), log.orders[table.folio_id]
        for op in Op:
            for level in Level:
                here = (table.op == op) & (table.level == level)
                for order in np.unique(orders[here]):
                    sums[int(op), int(level), int(order)] += int(counts[here & (orders == order)].sum())
    return sums
