"""The operations that are priced: what is mapped before, and the changes that a scheme is told of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapcount.errors import UsageError
from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PMD_ORDER = 9
PARENT, CHILD = 0, 1
"""Address spaces, as a log numbers them."""


class Change(NamedTuple):
    """One change of the mappings of a folio: a row of a log. `first` and `nr` are pages of the folio."""

    op: Op
    level: Level
    mm: int
    first: int
    nr: int


@dataclass(frozen=True)
class Operation:
    """
    One operation on an anon folio: how its mappings are brought about, and what it changes. Both depend on the order.

    `extra_references`: LOCKed operations on `_refcount` that are no mapping's own and that no batching saves.
    """

    name: str
    says: str
    before: Callable[[int], tuple[Change, ...]]
    changes: Callable[[int], tuple[Change, ...]]
    least_order: int = 0
    extra_references: int = 0


def find_operations(names: Iterable[str]) -> list[Operation]:
    """Return operations by name, in the order asked for. Raises UsageError that lists the known ones."""
    known = {operation.name: operation for operation in OPERATIONS}
    wanted = list(dict.fromkeys(name.strip().lower() for name in names))
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"there is no operation {unknown[0]!r} to price; there are: {', '.join(known)}")
    return [known[name] for name in wanted]


def _ptes(op: Op, mm: int, order: int, first: int = 0) -> Change:
    return Change(op, Level.PTE, mm, first, (1 << order) - first)


def _pmd(op: Op, order: int) -> Change:
    return Change(op, Level.PMD, PARENT, 0, 1 << order)


def _own(order: int) -> tuple[Change, ...]:
    """Return how one mm comes to map all of a folio by PTEs: of PMD size by a PMD that it splits."""
    if order < PMD_ORDER:
        return (_ptes(Op.FIRST_MAP, PARENT, order),)
    return (_pmd(Op.FIRST_MAP, order), _pmd(Op.SPLIT_MAPPING, order))


def _shared(order: int) -> tuple[Change, ...]:
    return (*_own(order), _ptes(Op.DUP, CHILD, order))


OPERATIONS = (
    Operation(
        "fork",
        "a process that alone maps the folio by PTEs forks",
        _own,
        lambda order: (_ptes(Op.DUP, CHILD, order),),
    ),
    Operation(
        "munmap",
        "the only process that maps the folio unmaps all of it, by PTEs",
        _own,
        lambda order: (_ptes(Op.UNMAP, PARENT, order),),
    ),
    Operation(
        "dontneed",
        "the only process that maps the folio drops its second half (of one page: that), by PTEs",
        _own,
        lambda order: (_ptes(Op.UNMAP, PARENT, order, (1 << order) // 2),),
    ),
    Operation(
        "cow",
        "one of two processes that map the folio by PTEs writes to one page, and gets a copy",
        _shared,
        lambda order: (Change(Op.UNMAP, Level.PTE, PARENT, (1 << order) // 2, 1),),
        extra_references=2,
    ),
    Operation(
        "remap",
        "mremap moves the page-table entries of the folio: as many mappings after it as before",
        _own,
        lambda _order: (),
    ),
    Operation(
        "pmd-split",
        "the only process that maps the folio has its PMD split into PTEs",
        lambda order: (_pmd(Op.FIRST_MAP, order),),
        lambda order: (_pmd(Op.SPLIT_MAPPING, order),),
        least_order=PMD_ORDER,
    ),
    Operation(
        "exit",
        "the second of two processes that map the folio by PTEs ends",
        _shared,
        lambda order: (_ptes(Op.UNMAP, CHILD, order),),
    ),
)
"""
Of cow the fault takes and drops a reference for itself while it copies (do_wp_page(), mm/memory.c of 5.10 to 7.3; tables of
accesses: 3 LOCKed operations on `_refcount` in all).
"""
