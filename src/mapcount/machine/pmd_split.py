"""A PMD entry gives way to PTEs: those of the whole folio for anon memory, none for a file, whose pages fault in again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import ZERO, PmdEntry, Table
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm


def split_pmd_at(machine: Machine, mm: Mm, page: int) -> None:
    """Split the PMD entry around a page, unless that page is its first or there is none."""
    if page % PMD_PAGES:
        split_pmd(machine, mm, page // PMD_PAGES)


def split_pmd(machine: Machine, mm: Mm, pmd: int) -> None:
    """
    Split the PMD entry there, if there is one and it is not of hugetlb.

    The huge zero folio becomes 512 entries of the zero page. The PTEs of anon memory may be written if the PMD might:
    __split_huge_pmd_locked(), mm/huge_memory.c.
    """
    entry = mm.tables.get(pmd)
    if not isinstance(entry, PmdEntry):
        return
    first = pmd * PMD_PAGES
    table = Table()
    if entry.folio == ZERO:
        table.folio[:] = ZERO
    else:
        folio = machine.folios[entry.folio]
        if folio.kind is Kind.HUGETLB:
            return
        vma = machine.vma_of(mm, first)
        if folio.kind is not Kind.ANON:
            del mm.tables[pmd]
            machine.unmap(mm, vma, first, folio, 0, PMD_PAGES, Level.PMD)
            return
        table.set(0, folio.number, 0, PMD_PAGES, writable=entry.writable, dirty=entry.dirty)
        folio.dirty |= entry.dirty
        machine.split_mapping(mm, vma, first, folio)
    mm.tables[pmd] = table
