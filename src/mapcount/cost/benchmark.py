"""The operations of the benchmark (kernels/folio_bench.c), as changes that a scheme is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cost.operations import Operation, find_operations
from mapcount.mapping.schema import Level, Op

if TYPE_CHECKING:
    from mapcount.cost.operations import Change

FREES = ("munmap", "dontneed")
"""Those after which no folio is left."""
_PRICED_AS = {"dontneed": "munmap", "fork-holes": "fork", "exit-holes": "exit"}
"""The benchmark drops all of a folio, which is to the counters what munmap is; the price list's dontneed drops a half."""


def operation_of(name: str) -> Operation:
    """Return an operation of the benchmark. Holes: every other page was dropped before, which leaves runs of one page."""
    (found,) = find_operations([_PRICED_AS.get(name, name)])
    return _with_holes(name, found) if name.endswith("-holes") else found


def way_of(name: str) -> str:
    """Return which loop of the kernel an operation goes through: fork, unmap, or one of its own."""
    if name in {"cow", "pmd-split"}:
        return name
    return "fork" if name.startswith("fork") else "unmap"


def _with_holes(name: str, whole: Operation) -> Operation:
    def before(order: int) -> tuple[Change, ...]:
        (*others, last) = whole.before(order)
        # The holes are there when the folio is first shared: fork copies what is left.
        if last.op != Op.DUP:
            return (*others, last, *(_single(last, page, Op.UNMAP) for page in range(1, 1 << order, 2)))
        return (*others, *(_single(others[0], page, Op.UNMAP) for page in range(1, 1 << order, 2)), *_even(last, order))

    def changes(order: int) -> tuple[Change, ...]:
        (change,) = whole.changes(order)
        return _even(change, order)

    return Operation(name, whole.says, before, changes)


def _even(change: Change, order: int) -> tuple[Change, ...]:
    return tuple(_single(change, page, change.op) for page in range(0, 1 << order, 2))


def _single(change: Change, page: int, op: Op) -> Change:
    return change._replace(op=op, level=Level.PTE, first=page, nr=1)
