"""Folios of the model, and files: what holds data, and what refers to it besides page tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.mapping.schema import Level

PMD_ORDER = 9
PMD_PAGES = 1 << PMD_ORDER
PUD_ORDER = PMD_ORDER + 9
PUD_PAGES = 1 << PUD_ORDER
"""What one table of PMDs maps."""


class SwappedPage(NamedTuple):
    """Where a page of a file was swapped out to, and the order of the folio that it was a part of."""

    slot: int
    order: int


@dataclass(eq=False)
class File:
    """A file in memory. `pages` has, for each page that holds data, its folio; a folio of n pages is there n times."""

    name: str
    nr_pages: int
    kind: Kind = Kind.SHMEM
    pages: dict[int, Folio] = field(default_factory=dict)
    swapped: dict[int, SwappedPage] = field(default_factory=dict)
    """Pages that were swapped out."""
    reaches_behind: bool = False
    """A large folio that reached behind the end was allocated, and nobody has looked since whether it is to be split."""
    users: int = 0
    """Processes that have it open, and VMAs that map it: with the last of them goes the file."""


@dataclass(eq=False)
class Folio:
    """A folio: `number` is its row in the log. `ptes` and `huge` are the page-table entries that map it."""

    number: int
    order: int
    kind: Kind
    ptes: int = 0
    huge: int = 0
    file: File | None = None
    file_page: int = 0
    """Of the file, where its first page is."""
    extra_refs: int = 0
    """References that are neither mappings nor of the page cache: swap cache."""
    slot: int | None = None
    """In the swap cache: the swap slot of its first page."""
    uptodate: bool = True
    """Of a file: somebody has read or written it since it was allocated."""
    data: int = 0
    """Bit i tells that page i of an anon folio was written, and so holds something besides zeros."""
    dirty: bool = False
    """PG_dirty of an anon folio: page-table entries that were dirty are gone, or slots with what it holds."""
    lazyfree: bool = False
    """After MADV_FREE: not PG_swapbacked, to be dropped by reclaim unless it was written since."""
    was_seen: bool = False
    """It was mapped when somebody looked (observe.py)."""
    node: int = 0
    """The NUMA node that its memory belongs to."""
    queued: bool = False
    """In the deferred split queue for another reason than an unmapping."""

    @property
    def nr_pages(self) -> int:
        """Pages of it."""
        return 1 << self.order

    @property
    def entries(self) -> int:
        """Page-table entries that map it."""
        return self.ptes + self.huge

    def holds_data(self, page: int) -> bool:
        """Tell whether a page of an anon folio holds something besides zeros."""
        return bool(self.data >> page & 1)

    def write(self, first: int, nr_pages: int) -> None:
        """Note that pages were written."""
        self.data |= ((1 << nr_pages) - 1) << first

    def add(self, level: Level, nr_pages: int) -> None:
        """Note entries that map it now, or (negative) no more."""
        if level:
            self.huge += 1 if nr_pages > 0 else -1
        else:
            self.ptes += nr_pages
