"""A machine of the model: its folios, files and address spaces, and the one place where mappings change and are logged."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.machine.counts import Counts
from mapcount.machine.folios import PMD_ORDER, PMD_PAGES, PUD_PAGES, File, Folio
from mapcount.machine.page_tables import PmdEntry, Table, Tables
from mapcount.machine.swap import SwapSpace
from mapcount.machine.vmas import Vma, VmaList
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.scenario import Settings

if TYPE_CHECKING:
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.eras import Era

LogRow = tuple[int, Op, int, int, int, int, int, int, Level]
"""batch, op, mm_id, vma_id, page of the address space, folio_id, first_page, nr_pages, level"""


@dataclass(eq=False)
class Mm:
    """An address space: its number in the log, the name of its process, VMAs, page tables and open files."""

    number: int
    process: str
    vmas: VmaList
    tables: Tables = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    puds: set[int] = field(default_factory=set)
    """Where a table of PMDs is, even if nothing is in it: page number // PUD_PAGES."""

    def entry_at(self, page: int) -> PmdEntry | Table | None:
        """Return what maps a page: a PMD entry, a PUD entry around it, or the table of PTEs, if there is any."""
        found = self.tables.get(page // PMD_PAGES)
        if found is None:
            around = self.tables.get(page // PUD_PAGES * PMD_PAGES)
            return around if isinstance(around, PmdEntry) and around.level is Level.PUD else None
        return found

    def table(self, pmd: int) -> Table:
        """Return the table of PTEs there, made if there is none. A PMD entry must not be there."""
        found = self.tables.get(pmd)
        if found is None:
            found = self.tables[pmd] = Table()
        assert isinstance(found, Table)
        return found


class Machine:
    """Memory and processes under one era's policies. Deterministic: nothing happens but what a step asks for."""

    def __init__(self, era: Era, scheme: BoundScheme, settings: Settings | None = None) -> None:
        self.era = era
        self.settings = settings or Settings()
        self.counts = Counts(scheme)
        self.swap = SwapSpace(first_slot=int(era.policies.swaps_to_first_cluster))
        self.folios: dict[int, Folio] = {}
        self.orders: list[int] = []
        self.kinds: list[Kind] = []
        """Of all folios that ever were, by number."""
        self.mms: dict[str, Mm] = {}
        self.ksm_mms: dict[int, Mm] = {}
        """Those that ksmd scans, in its order."""
        self.rows: list[LogRow] = []
        self.batch = 0
        self._mm_numbers = itertools.count()
        self._vma_numbers = itertools.count()

    def new_mm(self, process: str) -> Mm:
        """Add an address space without mappings."""
        from mapcount.machine.pmd_split import split_pmd_at

        vmas = VmaList(
            lambda page: split_pmd_at(self, mm, page),
            self.new_vma_id,
            merges_into_unfaulted=self.era.policies.merges_into_unfaulted,
        )
        mm = Mm(next(self._mm_numbers), process, vmas)
        self.mms[process] = mm
        return mm

    def new_vma_id(self) -> int:
        """Return a number that no VMA had."""
        return next(self._vma_numbers)

    def new_folio(self, kind: Kind, order: int, file: File | None = None, file_page: int = 0) -> Folio:
        """Add a folio that nothing maps; with a file it is in the page cache from `file_page` on."""
        folio = Folio(self.counts.add(order, kind), order, kind, file=file, file_page=file_page)
        self.orders.append(order)
        self.kinds.append(kind)
        self.folios[folio.number] = folio
        if file is not None:
            file.pages.update((file_page + page, folio) for page in range(folio.nr_pages))
        self._log(Op.BIRTH, None, None, 0, folio, 0, folio.nr_pages, Level.PTE)
        return folio

    def refcount(self, folio: Folio) -> int:
        """Return the references to a folio: one an entry, those of the page cache, and of the swap cache."""
        cached = 0
        if folio.file is not None:
            one = folio.kind is Kind.HUGETLB and self.era.version < (6, 7)
            cached = 1 if one else folio.nr_pages
        return folio.entries + cached + folio.extra_refs

    def map(self, op: Op, mm: Mm, vma: Vma, page: int, folio: Folio, first: int, nr_pages: int, level: Level) -> None:
        """Count entries that map pages of a folio now: FIRST_MAP, MAP or DUP. The page table is the caller's."""
        folio.add(level, nr_pages)
        self._log(op, mm, vma, page, folio, first, nr_pages, level)
        self.counts.count(op, level, folio.number, first, nr_pages, mm.number, page)
        if op is Op.FIRST_MAP and level is Level.PMD and folio.kind is Kind.ANON:
            folio.queued = self.era.policies.queues_at_fault

    def unmap(self, mm: Mm, vma: Vma, page: int, folio: Folio, first: int, nr_pages: int, level: Level) -> None:
        """Count entries that map pages of a folio no more; an anon folio that nothing refers to is freed."""
        folio.add(level, -nr_pages)
        self._log(Op.UNMAP, mm, vma, page, folio, first, nr_pages, level)
        self.counts.count(Op.UNMAP, level, folio.number, first, nr_pages, mm.number, page)
        self.free_unused(folio)

    def split_mapping(self, mm: Mm, vma: Vma, page: int, folio: Folio) -> None:
        """Count the PTEs of a whole anon folio in place of its PMD entry."""
        folio.huge -= 1
        folio.ptes += folio.nr_pages
        self._log(Op.SPLIT_MAPPING, mm, vma, page, folio, 0, folio.nr_pages, Level.PMD)
        self.counts.count(Op.SPLIT_MAPPING, Level.PMD, folio.number, 0, folio.nr_pages, mm.number, page)

    def end_split(self, folio: Folio) -> None:
        """End a folio that is split and that nobody maps any more: what is left of it are new folios."""
        self._log(Op.FOLIO_SPLIT, None, None, 0, folio, 0, folio.nr_pages, Level.PTE)
        if folio.file is not None:
            self.drop_cached(folio)
        else:
            self.free_unused(folio)

    def free_unused(self, folio: Folio) -> None:
        """Free a folio that nothing refers to."""
        if not self.refcount(folio):
            del self.folios[folio.number]
            self._log(Op.DEATH, None, None, 0, folio, 0, folio.nr_pages, Level.PTE)

    def drop_cached(self, folio: Folio) -> None:
        """Take a folio out of the page cache; nobody maps it."""
        file = folio.file
        assert file is not None
        for page in range(folio.file_page, folio.file_page + folio.nr_pages):
            del file.pages[page]
        folio.file = None
        self.free_unused(folio)

    def drop_file(self, file: File) -> None:
        """Take away one user of a file; with the last one go its pages."""
        file.users -= 1
        if not file.users:
            for page in file.swapped.values():
                self.swap.put(page.slot)
            file.swapped.clear()
            for folio in dict.fromkeys(file.pages.values()):
                folio.file = None
                self.free_unused(folio)
            file.pages.clear()

    def vma_of(self, mm: Mm, page: int) -> Vma:
        """Return the VMA around a page that is mapped."""
        vma = mm.vmas.find(page)
        assert vma is not None
        return vma

    def _log(
        self, op: Op, mm: Mm | None, vma: Vma | None, page: int, folio: Folio, first: int, nr_pages: int, level: Level
    ) -> None:
        mm_number = mm.number if mm is not None else 0
        vma_number = vma.vma_id if vma is not None else 0
        self.rows.append((self.batch, op, mm_number, vma_number, page, folio.number, first, nr_pages, level))


__all__ = ["PMD_ORDER", "PMD_PAGES", "LogRow", "Machine", "Mm", "PmdEntry"]
