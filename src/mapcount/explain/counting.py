"""Costs as evidence: accesses to a scheme's counters, counted by running its operations and readers on recording memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.ops import Access
from mapcount.schemes.steps import OperationCost, cost_of
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.memory import Memory

NOT_A_COUNTER = frozenset({"PG_anon_exclusive"})
"""A flag that every design sets in each page of an anon folio: left out, so that counters are compared."""
PMD_ORDER = 9
ERAS = {
    "nr-pages-mapped": "6.2 to 6.9",
    "total-mapcount": "the patch of the thread",
    "large-mapcount": "6.10 to 6.14",
    "mm-id": "6.15 and later",
    "no-page-mapcount": "the same, without counts per page",
}
"""The designs that most answers compare, and the kernels that have them."""


class Touched(NamedTuple):
    """What some calls did."""

    locked: int
    stores: int
    loads: int
    struct_pages: int


def counters(scheme: str, operation: str, order: int) -> OperationCost:
    """Return what one operation on all pages of a folio does to counters (schemes.steps.cost_of)."""
    return cost_of(find_scheme(scheme), operation, order, without=NOT_A_COUNTER)


def unmap_in_calls(scheme: str, order: int, nr: int) -> Touched:
    """Count the unmapping of a new anon folio that PTEs map, in calls of `nr` pages each."""
    bound, memory = _mapped(scheme, order)
    for first in range(0, 1 << order, nr):
        bound.functions["unmap_ptes"](memory, 0, order, first, nr, 1)
    return _touched(bound, memory)


def read(scheme: str, reader: str, order: int) -> Touched:
    """Count one call of a reader on a folio that PTEs map."""
    bound, memory = _mapped(scheme, order)
    bound.functions[reader](memory, 0, order, 0)
    return _touched(bound, memory)


def _mapped(scheme: str, order: int) -> tuple[BoundScheme, Memory]:
    bound = find_scheme(scheme)
    memory = bound.memory([order], [Kind.ANON], record=True)
    bound.functions["new_ptes"](memory, 0, order, 0, 1 << order, 1)
    memory.touched = []
    return bound, memory


def _touched(bound: BoundScheme, memory: Memory) -> Touched:
    places = {place.word.name: place for place in bound.scheme.places}
    touched = [touch for touch in memory.touched or [] if touch.word not in NOT_A_COUNTER]
    kinds: Sequence[Access] = [touch.access for touch in touched]
    pages = {touch.at if places[touch.word].word.scope is Scope.PAGE else places[touch.word].page for touch in touched}
    return Touched(kinds.count(Access.LOCKED), kinds.count(Access.STORE), kinds.count(Access.LOAD), len(pages))
