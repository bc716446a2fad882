"""The operations of the benchmark (kernels/folio_bench.c), as changes that a scheme is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cost.operations import Operation, find_operations
from mapcount.mapping.schema import Op

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.cost.operations import Change

    Changes = Callable[[int], tuple[Change, ...]]

FREES = ("munmap", "dontneed")
"""Those after which no folio is left."""
PIECES, PAGES, AGAIN = "-pieces", "-pages", "-again"
READ_ONLY = ("fork-read", "fork-again", "fork-pieces")
"""Forks that find entries read-only."""
_LATER_CHILD = 2
_PRICED_AS = {"dontneed": "munmap"}
"""The benchmark drops all of a folio, which is to the counters what munmap is; the price list's dontneed drops a half."""


def operation_of(name: str) -> Operation:
    """Return an operation of the benchmark. Pieces and pages: rmap is called for each page, also by a kernel that batches."""
    base = base_of(name)
    (found,) = find_operations([_PRICED_AS.get(base, base)])
    before, changes = found.before, found.changes
    if name.endswith(AGAIN):
        before, changes = _forked_before(found)
    if name.endswith((PIECES, PAGES)):
        changes = _page_by_page(changes)
    return Operation(name, found.says, before, changes, found.least_order, found.extra_references)


def base_of(name: str) -> str:
    """Return which operation one of the benchmark is a kind of: fork-again is a fork."""
    return name if name == "pmd-split" else name.partition("-")[0]


def way_of(name: str) -> str:
    """Return which loop of the kernel an operation goes through: fork, unmap, or one of its own."""
    base = base_of(name)
    return base if base in {"fork", "cow", "pmd-split"} else "unmap"


def _forked_before(fork: Operation) -> tuple[Changes, Changes]:
    """Return a fork after one whose child has ended."""

    def before(order: int) -> tuple[Change, ...]:
        (first,) = fork.changes(order)
        return (*fork.before(order), first, first._replace(op=Op.UNMAP))

    return before, lambda order: tuple(change._replace(mm=_LATER_CHILD) for change in fork.changes(order))


def _page_by_page(changes: Changes) -> Changes:
    def singles(order: int) -> tuple[Change, ...]:
        (run,) = changes(order)
        return tuple(run._replace(first=page, nr=1) for page in range(run.first, run.first + run.nr))

    return singles
