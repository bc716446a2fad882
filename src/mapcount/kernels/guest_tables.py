"""A guest's page tables, over the areas of a scenario or whole: which page maps which frame, and by an entry of which level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.kernels.guest_memory import HUGE, PFN_MASK, PRESENT
from mapcount.mapping.schema import Level
from mapcount.scenarios.steps import AREA_BASE, AREA_BYTES, AREAS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.mapping.schema import I64, U8, U64

_PROT_NONE = 1 << 8
"""_PAGE_PROTNONE: with PRESENT clear, a page that is mapped and may not be touched; its frame's bits are inverted (L1TF)."""
_FRAME = np.uint64(PFN_MASK)
_PMD_PAGES = 512
_PUD_SHIFT = 30
_PAGES = {Level.PMD: _PMD_PAGES, Level.PUD: _PMD_PAGES**2}
_AREA_GIBS = range(AREA_BASE, AREA_BASE + len(AREAS) * AREA_BYTES, 1 << 30)
_USER_ENTRIES = 256
"""Of a top-level table: the lower half, 47 bits of addresses."""


@dataclass(frozen=True)
class GuestEntries:
    """What one process maps, sorted by page: one element for each page, also of a PMD or a PUD."""

    page: I64
    pfn: I64
    level: U8
    other_page: I64
    """Of entries that are there and map nothing (swap, migration, markers): the page, of a PMD the first one."""
    other_entry: U64

    @property
    def special(self) -> int:
        """How many entries are there and map nothing."""
        return len(self.other_page)


def read_entries(memory: GuestMemory, top: int, *, everywhere: bool = False) -> GuestEntries:
    """
    Return the entries of a process by the physical address of its top-level table. Four levels, as booted.

    Of the areas of scenarios, or of all that the process may have (`everywhere`).
    """
    pages, pfns, levels = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.uint8)]
    other_pages, other_entries = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for first, entry, level in _upper_entries(memory, top, _all_gibs(memory, top) if everywhere else _AREA_GIBS):
        mapped = _frame_of(np.array([entry], np.uint64))
        if entry & HUGE and mapped[0] >= 0:
            nr_pages = _PAGES[level]
            pages.append(first + np.arange(nr_pages))
            pfns.append((int(mapped[0]) & -nr_pages) + np.arange(nr_pages))
            levels.append(np.full(nr_pages, level, np.uint8))
        elif entry & PRESENT:
            table = memory.table(entry & PFN_MASK)
            frames = _frame_of(table)
            at = np.flatnonzero(frames >= 0)
            others = np.flatnonzero((frames < 0) & (table != 0))
            other_pages.append(first + others)
            other_entries.append(table[others])
            pages.append(first + at)
            pfns.append(frames[at])
            levels.append(np.full(len(at), Level.PTE, np.uint8))
        else:
            other_pages.append(np.array([first]))
            other_entries.append(np.array([entry], np.uint64))
    others_joined = np.concatenate(other_pages), np.concatenate(other_entries)
    return GuestEntries(np.concatenate(pages), np.concatenate(pfns), np.concatenate(levels), *others_joined)


def _frame_of(entries: U64) -> I64:
    """Return the frame that each entry maps, -1 for none. An entry without access rights maps and counts."""
    present = entries & np.uint64(PRESENT) != 0
    none = ~present & (entries & np.uint64(_PROT_NONE) != 0)
    frames = (np.where(none, entries ^ _FRAME, entries) & _FRAME) >> np.uint64(12)
    return np.where(present | none, frames.astype(np.int64), -1)


def _all_gibs(memory: GuestMemory, top: int) -> Iterator[int]:
    """Yield the addresses of the gibibytes of user space that have page tables."""
    for first in np.flatnonzero(memory.table(top)[:_USER_ENTRIES]).tolist():
        table = memory.table(int(memory.table(top)[first]) & PFN_MASK)
        for second in np.flatnonzero(table).tolist():
            yield first << 39 | second << 30


def _upper_entries(memory: GuestMemory, top: int, gibs: Iterable[int]) -> Iterator[tuple[int, int, Level]]:
    """Yield first page, entry and level of every PMD of these gibibytes that is not empty, and of every PUD that maps."""
    for at in gibs:
        table = top
        for shift in (39, _PUD_SHIFT):
            entry = int(memory.words[(table >> 3) + (at >> shift & 511)])
            if shift == _PUD_SHIFT and entry & HUGE:
                yield at >> 12, entry, Level.PUD
                break
            if not entry & PRESENT:
                break
            table = entry & PFN_MASK
        else:
            entries = memory.table(table)
            for index in np.flatnonzero(entries).tolist():
                yield (at >> 12) + index * _PMD_PAGES, int(entries[index]), Level.PMD
