"""The era's own scheme, which counts along: rows wait until somebody asks, then are counted, compiled if there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.machine.array_memory import ArrayMemory
from mapcount.machine.folios import PMD_PAGES
from mapcount.mapping.schema import Level, MappingLog, Op
from mapcount.replay.looks import mapper_at
from mapcount.schemes.looked import PageTables
from mapcount.schemes.scheme import REFUSED
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.looked import Looked

WAITING_PAGES = 1 << 17
"""Pages that wait at most. So many take the compiled module some milliseconds."""
PLAIN_PAGES = 1 << 14
"""Up to so many are counted in plain Python at once: it would take longer to load machine code."""


class Counts:
    """
    The words of one scheme over the folios of a machine.

    Folios are numbered as they are added; `page` is a page of the folio. What changes mappings goes through `count`, in order.
    """

    def __init__(self, scheme: BoundScheme) -> None:
        self.scheme = scheme
        self._memory = ArrayMemory(scheme)
        self._tables = PageTables() if scheme.lookups else None
        self._looked: list[Looked] = []
        self._page_words = {p.word.name for p in scheme.scheme.places if p.word.scope is Scope.PAGE}
        self._names = {p.word.name for p in scheme.scheme.places}
        self._waiting: list[tuple[int, int, int, int, int, int]] = []
        self._waiting_pages = 0

    def add(self, order: int, kind: int) -> int:
        """Add a folio that nothing maps; return its number."""
        return self._memory.add(order, kind)

    def count(self, op: Op, level: Level, folio: int, first: int, nr_pages: int, mm: int, page: int = 0) -> None:
        """Count a change of mappings at page `page` of an address space. `mm` is from 0; `first` is within the folio."""
        self._waiting.append((op, level, folio, first, nr_pages, mm))
        if self._tables is not None:
            order = int(self._memory.orders[folio])
            mapper = mapper_at(mm, page, first)
            self._looked.append(self._tables.change(op, level, folio, order, first, nr_pages, mapper))
        # A PUD maps hugetlb, of which one count is kept.
        self._waiting_pages += min(nr_pages, PMD_PAGES)
        if self._waiting_pages >= WAITING_PAGES:
            self.flush()

    def flush(self) -> None:
        """Count what waits."""
        if not self._waiting:
            return
        if self._waiting_pages > PLAIN_PAGES and _llvmlite_is_installed():
            self._count_compiled()
        else:
            self._count_plainly()
        self._waiting.clear()
        self._looked.clear()
        self._waiting_pages = 0

    def has(self, word: str) -> bool:
        """Tell whether the scheme has a word of that name."""
        return word in self._names

    def ask(self, reader: str, folio: int, page: int = 0) -> int:
        """Return what a reader of the scheme says of a folio, or of a page of it. KeyError if it has no such reader."""
        self.flush()
        m = self._memory
        return int(self.scheme.functions[reader](m, folio, int(m.orders[folio]), int(m.base[folio]) + page))

    def word(self, name: str, folio: int) -> int:
        """Return a word of a folio, as stored."""
        self.flush()
        return int(self._memory.words[name][folio])

    def pages(self, name: str, folio: int) -> list[int]:
        """Return a word of every page of a folio, as stored."""
        self.flush()
        base = int(self._memory.base[folio])
        values: Any = self._memory.words[name]
        stored: list[int] = values[base : base + (1 << int(self._memory.orders[folio]))].tolist()
        return stored

    def is_page_word(self, name: str) -> bool:
        """Tell whether every page has that word, not the folio."""
        return name in self._page_words

    def set_pages(self, name: str, folio: int, first: int, nr_pages: int, value: int) -> None:
        """Store a word of consecutive pages of a folio: for what the environment decides, such as PG_anon_exclusive."""
        self.flush()
        base = int(self._memory.base[folio])
        for page in range(base + first, base + first + nr_pages):
            self._memory.words[name][page] = value

    def flag(self, name: str, folio: int) -> int:
        """Return `deferred` or `partially_mapped` of a folio: what the scheme told its surroundings."""
        self.flush()
        return int(getattr(self._memory, name)[folio])

    def set_flag(self, name: str, folio: int, value: int) -> None:
        """Set `deferred`, `partially_mapped`, `swapcache` or `pinned` of a folio."""
        self.flush()
        getattr(self._memory, name)[folio] = value

    def _count_plainly(self) -> None:
        m, apply = self._memory, self.scheme.functions["apply"]
        for number, (op, level, folio, first, nr_pages, mm) in enumerate(self._waiting):
            if self._looked:
                m.look_at(folio, self._looked[number])
            page = int(m.base[folio]) + (first if level == Level.PTE else 0)
            # For a scheme mm 0 is nobody.
            refused = apply(m, op, level, folio, int(m.orders[folio]), page, nr_pages, mm + 1)
            assert refused != REFUSED, "a pinned folio is for the caller to see, before it shares it"

    def _count_compiled(self) -> None:
        from mapcount.replay.machine_code import load_drivers

        arrays = self._memory.arrays()
        for name, values in zip(_WAITING, zip(*self._waiting, strict=True), strict=True):
            arrays[name] = np.array(values, MappingLog.__dataclass_fields__[name].metadata["dtype"])
        if self._looked:
            arrays["looks"] = np.array(self._looked, np.int64)
        row, refused = load_drivers(self.scheme).run_rows(arrays, len(self._waiting))
        assert row == -1, self._waiting[row]
        assert not refused


_WAITING = ("op", "level", "folio_id", "first_page", "nr_pages", "mm_id")


def _llvmlite_is_installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("llvmlite") is not None
