"""Pages are unmapped: munmap, MADV_DONTNEED, exit. Ascending, page table by page table, runs of a folio together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES, PUD_PAGES
from mapcount.machine.page_tables import ZERO, PmdEntry, spans
from mapcount.machine.pmd_split import split_pmd
from mapcount.machine.swap import free_unmapped, zap_entry
from mapcount.mapping.schema import Level

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.page_tables import Table
    from mapcount.machine.vmas import Vma


def zap(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, *, frees_tables: bool = False) -> None:
    """
    Empty the page-table entries of `[first, end)`, which lies within a VMA. A PMD entry that is hit in part is split first.

    With `frees_tables` a table of PTEs that the range covers whole goes, too (MADV_DONTNEED since 6.14).
    """
    for pmd, at, until in spans(first, end):
        whole = until - at == PMD_PAGES
        if not whole:
            split_pmd(machine, mm, pmd)
        entry = mm.tables.get(pmd)
        page = pmd * PMD_PAGES + at
        if isinstance(entry, PmdEntry):
            del mm.tables[pmd]
            if entry.folio != ZERO:
                machine.unmap(mm, vma, page, machine.folios[entry.folio], 0, entry.nr_pages, entry.level)
        elif entry is not None:
            _zap_ptes(machine, mm, vma, entry, pmd, at, until)
            if whole and frees_tables:
                del mm.tables[pmd]


def _zap_ptes(machine: Machine, mm: Mm, vma: Vma, table: Table, pmd: int, at: int, until: int) -> None:
    runs, slots = list(table.runs(at, until)), table.slots(at, until)
    table.clear(at, until)
    for run in runs:
        folio = machine.folios[run.folio]
        machine.unmap(mm, vma, pmd * PMD_PAGES + run.at, folio, run.first, run.nr_pages, Level.PTE)
        free_unmapped(machine, folio)
    for slot in slots:
        zap_entry(machine, slot)


def munmap(machine: Machine, mm: Mm, first: int, end: int) -> None:
    """Unmap `[first, end)` and drop the VMAs there; page tables that no VMA reaches into any more are freed."""
    for vma in mm.vmas.isolate(first, end):
        zap(machine, mm, vma, vma.first, vma.end)
        mm.vmas.remove(vma)
        if vma.file is not None:
            machine.drop_file(vma.file)
    free_tables(mm, first, end)


def free_tables(mm: Mm, first: int, end: int) -> None:
    """Free the page tables of `[first, end)` that no VMA reaches into: free_pgtables(), mm/memory.c."""
    for pmd in range(first // PMD_PAGES, (end - 1) // PMD_PAGES + 1):
        if pmd in mm.tables and not mm.vmas.overlapping(pmd * PMD_PAGES, (pmd + 1) * PMD_PAGES):
            del mm.tables[pmd]
    for pud in range(first // PUD_PAGES, (end - 1) // PUD_PAGES + 1):
        if not mm.vmas.overlapping(pud * PUD_PAGES, (pud + 1) * PUD_PAGES):
            mm.puds.discard(pud)


def exit_mm(machine: Machine, mm: Mm) -> None:
    """Unmap all of an address space and close its files."""
    for vma in mm.vmas:
        zap(machine, mm, vma, vma.first, vma.end)
    for vma in mm.vmas:
        mm.vmas.remove(vma)
        if vma.file is not None:
            machine.drop_file(vma.file)
    mm.tables.clear()
    for file in mm.files.values():
        machine.drop_file(file)
    del machine.mms[mm.process]
    machine.ksm_mms.pop(mm.number, None)
