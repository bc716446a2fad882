"""How many pages one call of rmap covers against the folio's size, seen by what it adds to the folio's count of all mappings.

`_large_mapcount` (6.10 and later) changes once in a call, by the number of PTEs that it maps or unmaps, or by one for a PMD.
So the stores to this word alone tell of all calls that concern large folios; of folios of one page there is nothing to batch.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.kernels.access_log import LOCKED_STORE, STORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mapcount.kernels.access_log import Record

_COUNTER_BYTES = 4
"""A wider store at the counter's place is of a struct page that has something else there: a list pointer."""


class Change(enum.Enum):
    """What a call of rmap does, by the kernel's function that has it inlined, or is it."""

    NEW = "first mapping"
    MAP = "mapping"
    FORK = "fork"
    UNMAP = "unmapping"


@dataclass(frozen=True)
class RmapCall:
    """A call that maps or unmaps `nr_pages` pages of a folio of `nr_pages_folio` pages by PTEs, or all of them by a PMD."""

    change: Change
    nr_pages: int
    nr_pages_folio: int
    by_pmd: bool
    function: str


def calls(records: Iterable[Record], function_of: Callable[[int], str], before: Mapping[int, int]) -> list[RmapCall]:
    """
    Return the calls that stores to `_large_mapcount` tell of, in their order.

    `context` of a record holds the folio's number of pages. `before` gives the stored value of a counter, by its address,
    before the log began, where a folio was there already. What the page allocator stores (a folio's -1) is no call.
    """
    values = dict(before)
    found = []
    for record in records:
        if record.kind not in {STORE, LOCKED_STORE} or record.size != _COUNTER_BYTES:
            continue
        value = record.value - (1 << 32) if record.value >> 31 else record.value
        function = function_of(record.pc)
        change, by_pmd = _kind(function, value - values.get(record.address, -1))
        if change is not None:
            nr_entries = abs(value - values.get(record.address, -1))
            nr_pages = record.context if by_pmd else nr_entries
            found.append(RmapCall(change, nr_pages, record.context, by_pmd, function))
        values[record.address] = value
    return found


def histogram(found: Iterable[RmapCall]) -> Counter[tuple[Change, int, bool, int]]:
    """Count calls by change, order of the folio, whether by a PMD, and pages."""
    return Counter((call.change, call.nr_pages_folio.bit_length() - 1, call.by_pmd, call.nr_pages) for call in found)


def _kind(function: str, by: int) -> tuple[Change | None, bool]:
    """Return what a function of mm does to the counter, None if it is no call of rmap, and whether by a PMD."""
    by_pmd = "pmd" in function
    if "add_new_anon_rmap" in function:
        return Change.NEW, by == 1
    if "rmap" in function:
        if "dup" in function:
            return Change.FORK, by_pmd
        return (Change.MAP if by > 0 else Change.UNMAP), by_pmd
    if function.startswith(("copy_", "__copy_")):
        return Change.FORK, by_pmd
    return None, by_pmd
