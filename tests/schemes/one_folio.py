"""One folio under one way of counting, driven by hand: for cases whose numbers were worked out on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.ops import NR_ANON_MAPPED, NR_ANON_THPS, NR_FILE_MAPPED, NR_SHMEM_PMDMAPPED, Access

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme

ENTIRELY_MAPPED = 0x800000


class OneFolio:
    """A folio; `first`, `nr` are pages of it, address spaces are numbered from 1."""

    def __init__(self, scheme: str | BoundScheme, order: int, kind: Kind = Kind.ANON) -> None:
        self.scheme = find_scheme(scheme) if isinstance(scheme, str) else scheme
        self.order = order
        # A folio before and one behind it: nothing may be written there.
        self.memory = self.scheme.memory([1, order, 1], [Kind.ANON, kind, Kind.ANON], record=True)
        self.base = self.memory.base[1]

    def _apply(self, op: Op, level: Level, first: int, nr: int, mm: int) -> int:
        self.memory.touched = []
        return self.scheme.functions["apply"](self.memory, op, level, 1, self.order, self.base + first, nr, mm)

    def new(self, mm: int) -> None:
        self._apply(Op.FIRST_MAP, Level.PTE, 0, 1 << self.order, mm)

    def new_pmd(self, mm: int) -> None:
        self._apply(Op.FIRST_MAP, Level.PMD, 0, 1, mm)

    def map(self, first: int, nr: int, mm: int) -> None:
        self._apply(Op.MAP, Level.PTE, first, nr, mm)

    def map_pmd(self, mm: int) -> None:
        self._apply(Op.MAP, Level.PMD, 0, 1, mm)

    def unmap(self, first: int, nr: int, mm: int) -> None:
        self._apply(Op.UNMAP, Level.PTE, first, nr, mm)

    def unmap_pmd(self, mm: int) -> None:
        self._apply(Op.UNMAP, Level.PMD, 0, 1, mm)

    def dup(self, first: int, nr: int, mm: int) -> int:
        return self._apply(Op.DUP, Level.PTE, first, nr, mm)

    def dup_pmd(self, mm: int) -> int:
        return self._apply(Op.DUP, Level.PMD, 0, 1, mm)

    def split(self, mm: int) -> None:
        self._apply(Op.SPLIT_MAPPING, Level.PMD, 0, 1 << self.order, mm)

    def word(self, name: str) -> int:
        """Return a folio word as it is stored."""
        return self.memory.words[name][1]

    def pages(self, name: str) -> list[int]:
        """Return a page word of all pages."""
        return self.memory.words[name][self.base : self.base + (1 << self.order)]

    def read(self, name: str, i: int = 0) -> int:
        """Ask a reader, of page `i` if it is asked of pages."""
        self.memory.touched = []
        return int(self.scheme.functions[name](self.memory, 1, self.order, self.base + i))

    @property
    def locked(self) -> int:
        """LOCKed operations on counts and locks in the last operation; PG_ flags are not among them."""
        return sum(touch.access is Access.LOCKED and not touch.word.startswith("PG_") for touch in self.memory.touched)

    @property
    def loads(self) -> int:
        """Loads in the last operation or reader."""
        return sum(touch.access is Access.LOAD for touch in self.memory.touched)

    @property
    def mapped(self) -> int:
        """Pages in AnonPages or Mapped."""
        return self.memory.stats[NR_ANON_MAPPED][1] + self.memory.stats[NR_FILE_MAPPED][1]

    @property
    def pmd_mapped(self) -> int:
        """Pages in AnonHugePages or ShmemPmdMapped."""
        return self.memory.stats[NR_ANON_THPS][1] + self.memory.stats[NR_SHMEM_PMDMAPPED][1]

    @property
    def queued(self) -> int:
        """Whether it was put into the deferred split queue."""
        return self.memory.deferred[1]

    def others_untouched(self) -> bool:
        """Whether all words of the folios before and behind are as they were at first."""
        fresh = self.scheme.memory(self.memory.orders, self.memory.kind)
        ends = (self.base, self.base + (1 << self.order))
        return all(
            values[: ends[0]] == fresh.words[name][: ends[0]] and values[ends[1] :] == fresh.words[name][ends[1] :]
            if len(values) > 3
            else (values[0], values[2]) == (fresh.words[name][0], fresh.words[name][2])
            for name, values in self.memory.words.items()
        )
