"""What asking costs: each reader of a scheme on a folio that two processes map by PTEs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.cost.calls import table_of
from mapcount.cost.operations import find_operations
from mapcount.mapping.schema import Kind
from mapcount.replay.looks import Looks
from mapcount.replay.result import FolioSpecs
from mapcount.schemes.looked import Looked
from mapcount.schemes.ops import Access
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Reader


@dataclass(frozen=True)
class ReaderPrice:
    """One question about a folio of one order. A reader of pages is asked for every page, as /proc/PID/smaps does."""

    reader: str
    scheme: str
    order: int
    asked: int
    """times: once, or once a page"""
    loads: int
    written: int
    """stores and LOCKed operations that it needs all the same"""
    struct_pages: int
    """distinct struct pages, and so distinct cache lines"""
    lookups: int
    entries_read: int
    """page-table entries that the look-ups read"""


def reader_prices(schemes: Iterable[BoundScheme], orders: Sequence[int]) -> Iterator[ReaderPrice]:
    """Give what every reader of every scheme costs on folios of these orders."""
    for scheme in schemes:
        for order in orders:
            mapped = _mapped_twice(scheme, order)
            for reader in scheme.scheme.readers:
                if reader.name in scheme.functions:
                    yield _ask(scheme, reader, order, mapped.copy())


def _ask(scheme: BoundScheme, reader: Reader, order: int, memory: Memory) -> ReaderPrice:
    asked = range(1 << order) if reader.per_page else range(1)
    for page in asked:
        scheme.functions[reader.name](memory, 0, order, page)
    touched = memory.touched or []
    kinds = Counter(touch.access for touch in touched)
    places = {place.word.name: place for place in scheme.scheme.places}
    pages = {touch.at if places[touch.word].word.scope is Scope.PAGE else places[touch.word].page for touch in touched}
    return ReaderPrice(
        reader.name,
        scheme.id,
        order,
        len(asked),
        loads=kinds[Access.LOAD],
        written=kinds[Access.LOCKED] + kinds[Access.STORE],
        struct_pages=len(pages),
        lookups=memory.lookups,
        entries_read=memory.entries_read,
    )


def _mapped_twice(scheme: BoundScheme, order: int) -> Memory:
    (operation,) = find_operations(["exit"])
    table = table_of(operation.before(order))
    looks = Looks(FolioSpecs.of(np.array([order]), np.array([int(Kind.ANON)]))).of(table).tolist()
    memory = scheme.memory([order], [Kind.ANON], record=True)
    for change, looked in zip(operation.before(order), looks, strict=True):
        memory.looked[0] = Looked(*looked)
        scheme.functions["apply"](memory, change.op, change.level, 0, order, change.first, change.nr, change.mm + 1)
    return memory
