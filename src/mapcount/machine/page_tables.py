"""Page tables of the model: a PMD entry that maps a folio, or a table of 512 PTEs; arrays, so that ranges cost one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapcount.machine.folios import PMD_PAGES, PUD_PAGES
from mapcount.mapping.schema import Level

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NONE = -1
ZERO = -2
"""The zero page; as a PMD entry the huge zero folio. Nobody counts its mappings."""
SWAP = -3
"""A swap entry: `page` is the slot."""


@dataclass
class PmdEntry:
    """A PMD (or a hugetlb entry of that size, or a PUD, which stands at its first PMD) that maps a whole folio."""

    folio: int
    """Its number, or ZERO."""
    writable: bool
    dirty: bool = True
    """Of anon memory: written since it was mapped, or since MADV_FREE."""
    level: Level = Level.PMD

    @property
    def nr_pages(self) -> int:
        """Pages that it maps."""
        return PMD_PAGES if self.level is Level.PMD else PUD_PAGES


class Table:
    """
    512 PTEs: `folio` (a number, NONE, ZERO or SWAP), `page` within the folio or the slot, `writable`.

    `dirty` tells of anon memory that it was written since it was mapped, or since MADV_FREE; `exclusive` of a swap entry that
    the page was PageAnonExclusive: pte_swp_exclusive().
    """

    COLUMNS = ("folio", "page", "writable", "dirty", "exclusive")
    __slots__ = COLUMNS

    def __init__(self) -> None:
        self.folio = np.full(PMD_PAGES, NONE, np.int64)
        self.page = np.zeros(PMD_PAGES, np.int32)
        self.writable = np.zeros(PMD_PAGES, np.bool_)
        self.dirty = np.zeros(PMD_PAGES, np.bool_)
        self.exclusive = np.zeros(PMD_PAGES, np.bool_)

    def set(self, at: int, folio: int, first: int, nr_pages: int, *, writable: bool, dirty: bool = False) -> None:
        """Let entries from `at` on map consecutive pages of a folio."""
        self.folio[at : at + nr_pages] = folio
        self.page[at : at + nr_pages] = np.arange(first, first + nr_pages, dtype=np.int32)
        self.writable[at : at + nr_pages] = writable
        self.dirty[at : at + nr_pages] = dirty

    def set_swap(self, at: int, slot: int, exclusive: Sequence[int]) -> None:
        """Let entries from `at` on stand for consecutive slots."""
        end = at + len(exclusive)
        self.set(at, SWAP, slot, len(exclusive), writable=False)
        self.exclusive[at:end] = exclusive

    def slots(self, at: int, end: int) -> list[int]:
        """Return the slots of the swap entries in `[at, end)`."""
        slots: list[int] = self.page[at:end][self.folio[at:end] == SWAP].tolist()
        return slots

    def copy(self, at: int, other: Table, start: int, nr_pages: int) -> None:
        """Let entries from `at` on be as those of another table from `start` on."""
        for name in self.COLUMNS:
            getattr(self, name)[at : at + nr_pages] = getattr(other, name)[start : start + nr_pages]

    def clear(self, at: int, end: int) -> None:
        """Empty the entries `[at, end)`."""
        self.folio[at:end] = NONE
        self.writable[at:end] = False

    def runs(self, at: int, end: int) -> Iterator[TableRun]:
        """Yield, ascending, the stretches of `[at, end)` that map consecutive pages of one folio at consecutive addresses."""
        folio, page = self.folio[at:end], self.page[at:end]
        mapped = np.flatnonzero(folio >= 0)
        if not mapped.size:
            return
        goes_on = (
            (mapped[1:] == mapped[:-1] + 1)
            & (folio[mapped[1:]] == folio[mapped[:-1]])
            & (page[mapped[1:]] == page[mapped[:-1]] + 1)
        )
        starts = np.concatenate([[0], np.flatnonzero(~goes_on) + 1])
        lengths, first = np.diff(np.append(starts, mapped.size)), mapped[starts]
        columns = (at + first).tolist(), folio[first].tolist(), page[first].tolist(), lengths.tolist()
        yield from map(TableRun, *columns)

    @property
    def is_empty(self) -> bool:
        """Nothing is in it, not even a swap entry."""
        return bool((self.folio == NONE).all())


class TableRun(NamedTuple):
    """Entries from `at` on that map pages of a folio from `first` on."""

    at: int
    folio: int
    first: int
    nr_pages: int


Tables = dict[int, "PmdEntry | Table"]
"""The page tables of an address space, by page number >> 9: what the PMD there holds. None there: nothing."""


def spans(first: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Cut page numbers `[first, end)` by page table: yield (number of the table, first entry, end entry)."""
    while first < end:
        pmd = first // PMD_PAGES
        until = min(end, (pmd + 1) * PMD_PAGES)
        yield pmd, first % PMD_PAGES, until - pmd * PMD_PAGES
        first = until
