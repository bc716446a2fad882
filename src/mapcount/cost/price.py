"""The price of one operation under one scheme: accesses counted by replaying it, references added."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapcount.cost.calls import page_by_page, table_of
from mapcount.cost.references import references
from mapcount.mapping.schema import Kind
from mapcount.replay.cost import COST_COLUMNS
from mapcount.replay.plain import PlainReplay
from mapcount.replay.result import FolioSpecs
from mapcount.schemes.footprint import footprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.cost.operations import Change, Operation
    from mapcount.mapping.schema import MappingLog
    from mapcount.schemes.bind import BoundScheme


@dataclass(frozen=True)
class Price:
    """One operation on a folio of one order. Words of the scheme and `_refcount`; no statistics, no page tables."""

    operation: str
    scheme: str
    order: int
    rmap_batched: bool
    """one call of rmap for the whole run of pages, not one a page"""
    references_batched: bool
    """one operation on `_refcount` for the whole run"""
    pages: int
    """page-table entries that the operation is about"""
    calls: int
    """calls of rmap"""
    locked: int
    """LOCKed read-modify-writes of the scheme"""
    references: int
    """LOCKed read-modify-writes of `_refcount`"""
    stores: int
    """plain stores"""
    loads: int
    """plain loads"""
    lines: int
    """cache lines of each call, added up: a line that each of ten calls comes back to counts ten"""
    struct_pages: int
    """distinct struct pages, and so distinct cache lines, of all calls together and `_refcount`"""
    lookups: int
    """looks into page tables, and walks of the rmap"""
    entries_read: int
    """page-table entries that these read"""
    bytes_per_folio: int
    """memory that the scheme's counters of such a folio take"""

    @property
    def all_locked(self) -> int:
        """LOCKed read-modify-writes, those of `_refcount` among them."""
        return self.locked + self.references


class Prepared:
    """Folios under one scheme as operations find them: what is mapped before is counted once, however many come after it."""

    def __init__(self, scheme: BoundScheme) -> None:
        self.scheme = scheme
        self._done: dict[tuple[int, tuple[Change, ...]], PlainReplay] = {}

    def replay(self, operation: Operation, order: int) -> PlainReplay:
        """Return a replay that has done what comes before the operation, in batches, with no costs yet."""
        before = operation.before(order)
        if (order, before) not in self._done:
            folios = FolioSpecs.of(np.array([order]), np.array([int(Kind.ANON)]))
            running = self._done[order, before] = PlainReplay(self.scheme, folios, swapcache=None, cost=True)
            running.count(table_of(before))
        return self._done[order, before].copy()


def prices(
    prepared: Prepared, operation: Operation, order: int, ways: Sequence[bool] = (False, True)
) -> Iterator[Price]:
    """
    Give what an operation costs on a folio of an order, in each of the four ways to batch it; nothing for too small a one.

    `ways` to call rmap: in batches, or not.
    """
    if order < operation.least_order:
        return
    scheme, asked = prepared.scheme, _asked(operation, order)
    for rmap_batched in ways:
        counted = _count(prepared.replay(operation, order), asked.batched if rmap_batched else asked.by_page)
        for references_batched, taken in asked.references.items():
            yield Price(
                operation=operation.name,
                scheme=scheme.id,
                order=order,
                rmap_batched=rmap_batched,
                references_batched=references_batched,
                pages=int(asked.batched.nr_pages.sum()),
                references=taken,
                struct_pages=len(counted.struct_pages | ({_HEAD} if taken else set())),
                bytes_per_folio=bytes_of_counters(scheme, order),
                **counted.sums,
            )


def price(
    scheme: BoundScheme, operation: Operation, order: int, *, rmap_batched: bool, references_batched: bool
) -> Price:
    """Return one of `prices`. Raises StopIteration for too small a folio."""
    return next(
        one
        for one in prices(Prepared(scheme), operation, order, [rmap_batched])
        if one.references_batched == references_batched
    )


def price_all(
    schemes: Iterable[BoundScheme], operations: Sequence[Operation], orders: Sequence[int]
) -> Iterator[Price]:
    """Give every operation, scheme and order, in each of the four ways to batch."""
    chosen = [Prepared(scheme) for scheme in schemes]
    for operation in operations:
        for prepared in chosen:
            for order in orders:
                yield from prices(prepared, operation, order)


def bytes_of_counters(scheme: BoundScheme, order: int) -> int:
    """Return the bytes of counters of one folio; a small one has the `_mapcount` of its page in every design."""
    return footprint(scheme.scheme, order).bytes_per_folio if order else _SMALL_BYTES


_SMALL_BYTES = 4


_HEAD = 0
_OF_PRICE = {"operations": "calls"} | {
    name: name for name in ("locked", "stores", "loads", "lines", "lookups", "entries_read")
}


class _Asked(NamedTuple):
    batched: MappingLog
    by_page: MappingLog
    references: dict[bool, int]


@lru_cache(maxsize=64)  # the same for every scheme: operations of the price list and their sizes
def _asked(operation: Operation, order: int) -> _Asked:
    changes = table_of(operation.changes(order))
    taken = {batched: int(references(changes, batched=batched).sum()) for batched in (False, True)}
    return _Asked(
        changes,
        page_by_page(changes),
        {batched: count + operation.extra_references for batched, count in taken.items()},
    )


class _Counted(NamedTuple):
    sums: dict[str, int]
    struct_pages: set[int]


def _count(running: PlainReplay, changes: MappingLog) -> _Counted:
    running.count(changes)
    assert running.costs is not None
    spent = running.costs.table.sum(axis=(0, 1, 2)).tolist()
    sums = {_OF_PRICE[name]: spent[at] for at, name in enumerate(COST_COLUMNS) if name in _OF_PRICE}
    return _Counted(sums, running.struct_pages)
