"""What a step of a scenario can be: one frozen record for each verb. Parsed by parser.py, written by text.py.

A step is what one process does, or (`process` empty) something that happens to the whole machine. Pages are 4 KiB and are
numbered from the start of an area; ranges are half-open. An area is named by a letter and has a fixed address, the same on
the model, in a guest and on the host, so that two machines can be compared address by address.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

from mapcount.mapping.schema import Kind

AREAS = "abcdefgh"
AREA_BASE = 1 << 36
"""Address of area a: nothing of an ordinary process lies there."""
AREA_BYTES = 1 << 32
"""From one area to the next; an area is smaller than that."""


def area_address(area: str, page: int = 0) -> int:
    """Return the address of a page of an area."""
    return AREA_BASE + AREAS.index(area) * AREA_BYTES + page * 4096


def page_number(area: str, page: int) -> int:
    """Return the number of a page of an area in the address space: its address in pages."""
    return area_address(area, page) // 4096


def place_of(number: int) -> tuple[str, int]:
    """Return the area of a page, by its number in the address space, and the page within it: page_number's inverse."""
    area, page = divmod(number - AREA_BASE // 4096, AREA_BYTES // 4096)
    return AREAS[area], page


class Advice(enum.Enum):
    """What madvise is told; the value is the verb of a scenario."""

    HUGEPAGE = "hugepage"
    NOHUGEPAGE = "nohugepage"
    DONTNEED = "dontneed"
    FREE = "free"
    PAGEOUT = "pageout"
    COLLAPSE = "collapse"
    MERGEABLE = "mergeable"


class Protection(enum.Enum):
    """What mprotect allows."""

    NONE = "none"
    READ = "ro"
    WRITE = "rw"


@dataclass(frozen=True)
class Span:
    """Pages `[first, end)` of an area."""

    area: str
    first: int
    end: int

    @property
    def nr_pages(self) -> int:
        """How many."""
        return self.end - self.first

    @property
    def address(self) -> int:
        """Where the first page lies."""
        return area_address(self.area, self.first)


@dataclass(frozen=True)
class Mmap:
    """Map `span` anew: anon memory, hugetlb, or `file` from its page `file_page` on. Result: 0 or -errno."""

    process: str
    span: Span
    kind: Kind = Kind.ANON
    shared: bool = False
    advice: Advice | None = None
    """HUGEPAGE or NOHUGEPAGE, told at once."""
    file: str = ""
    file_page: int = 0
    gigantic: bool = False
    """Of hugetlb: pages of 1 GiB, which a PUD maps, not of 2 MiB."""


@dataclass(frozen=True)
class Memfd:
    """Make a file in memory (shmem), which children inherit. Result: 0 or -errno."""

    process: str
    file: str
    nr_pages: int


@dataclass(frozen=True)
class Fallocate:
    """Give a file pages `[first, end)`; with `punch` take them away. Result: 0 or -errno."""

    process: str
    file: str
    first: int
    end: int
    punch: bool = False


@dataclass(frozen=True)
class Access:
    """Read or write one byte of each page, ascending. Result: the pages, or -14 at the first that faults fatally."""

    process: str
    span: Span
    write: bool


@dataclass(frozen=True)
class Munmap:
    """Unmap pages. Result: 0 or -errno."""

    process: str
    span: Span


@dataclass(frozen=True)
class Madvise:
    """Give advice on pages. Result: 0 or -errno."""

    process: str
    span: Span
    advice: Advice


@dataclass(frozen=True)
class Mprotect:
    """Change what may be done with pages. Result: 0 or -errno."""

    process: str
    span: Span
    protection: Protection


@dataclass(frozen=True)
class Mremap:
    """Move pages to `to_page` of area `to_area`, whatever is mapped there. Result: 0 or -errno."""

    process: str
    span: Span
    to_area: str
    to_page: int


@dataclass(frozen=True)
class Migrate:
    """
    Move what pages are mapped to, to memory of a NUMA node: move_pages(2) with MPOL_MF_MOVE, page by page.

    What others seem to map, too, stays where it is. Result: how many of the pages lie on that node afterwards, or -errno.
    """

    process: str
    span: Span
    node: int


@dataclass(frozen=True)
class Fork:
    """Make a child process of that name. Result: 0."""

    process: str
    child: str


@dataclass(frozen=True)
class Exit:
    """End the process. Result: 0."""

    process: str


@dataclass(frozen=True)
class Reclaim:
    """Run the deferred split shrinker over all that is queued (as drop_caches 2 does). Result: 0."""

    process: str = ""


@dataclass(frozen=True)
class Expect:
    """
    State what must hold after the step before: `what` of the folio that page `page` of an area is mapped to.

    `process` is whose page table is looked at; empty: of the process that comes first among those that map it. `value` is the
    text behind `what`, such as `1*16 2*496`. expectations.py says what can be expected. Has no result: it holds or not.
    """

    process: str
    area: str
    page: int
    what: str
    value: str


Step: TypeAlias = (
    Mmap | Memfd | Fallocate | Access | Munmap | Madvise | Mprotect | Mremap | Migrate | Fork | Exit | Reclaim | Expect
)
