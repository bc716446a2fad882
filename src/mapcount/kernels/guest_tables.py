"""A guest's page tables over the areas of a scenario: which page maps which frame, and by an entry of which level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.kernels.guest_memory import HUGE, PFN_MASK, PRESENT
from mapcount.mapping.schema import Level
from mapcount.scenarios.steps import AREA_BASE, AREA_BYTES, AREAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.mapping.schema import I64, U8, U64

_PROT_NONE = 1 << 8
"""_PAGE_PROTNONE: with PRESENT clear, a page that is mapped and may not be touched; its frame's bits are inverted (L1TF)."""
_FRAME = np.uint64(PFN_MASK)
_PMD_PAGES = 512
_PUD_SHIFT = 30
_PAGES = {Level.PMD: _PMD_PAGES, Level.PUD: _PMD_PAGES**2}


@dataclass(frozen=True)
class GuestEntries:
    """What the areas of one process map, sorted by page: one element for each page, also of a PMD or a PUD."""

    page: I64
    pfn: I64
    level: U8
    special: int
    """Entries that are there and map nothing: swap, migration, markers."""


def read_entries(memory: GuestMemory, top: int) -> GuestEntries:
    """Return the entries of a process by the physical address of its top-level table. Four levels, as booted."""
    pages, pfns, levels, special = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.uint8)], 0
    for first, entry, level in _upper_entries(memory, top):
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
            special += int(np.count_nonzero(table)) - len(at)
            pages.append(first + at)
            pfns.append(frames[at])
            levels.append(np.full(len(at), Level.PTE, np.uint8))
        else:
            special += 1
    return GuestEntries(np.concatenate(pages), np.concatenate(pfns), np.concatenate(levels), special)


def _frame_of(entries: U64) -> I64:
    """Return the frame that each entry maps, -1 for none. An entry without access rights maps and counts."""
    present = entries & np.uint64(PRESENT) != 0
    none = ~present & (entries & np.uint64(_PROT_NONE) != 0)
    frames = (np.where(none, entries ^ _FRAME, entries) & _FRAME) >> np.uint64(12)
    return np.where(present | none, frames.astype(np.int64), -1)


def _upper_entries(memory: GuestMemory, top: int) -> Iterator[tuple[int, int, Level]]:
    """Yield first page, entry and level of every PMD of the areas that is not empty, and of every PUD that maps."""
    end = AREA_BASE + len(AREAS) * AREA_BYTES
    for at in range(AREA_BASE, end, 1 << 30):
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
