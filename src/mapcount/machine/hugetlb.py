"""hugetlb folios of PMD size: taken from a pool, mapped whole, copied whole, shared through their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_ORDER, PMD_PAGES
from mapcount.machine.page_tables import PmdEntry
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma


def hugetlb_fault(machine: Machine, mm: Mm, vma: Vma, page: int, *, write: bool) -> bool:
    """Map a hugetlb folio, or resolve a write to one; return False if the pool is empty (SIGBUS). In mm/hugetlb.c."""
    pmd = page // PMD_PAGES
    entry = mm.tables.get(pmd)
    if not isinstance(entry, PmdEntry):
        return _map(machine, mm, vma, pmd)
    if write and not entry.writable:
        return _write(machine, mm, vma, pmd, entry)
    return True


def pool_has_room(machine: Machine) -> bool:
    """Tell whether a folio is left in the pool."""
    taken = sum(folio.kind is Kind.HUGETLB for folio in machine.folios.values())
    return taken < machine.settings.hugetlb_pages


def _map(machine: Machine, mm: Mm, vma: Vma, pmd: int) -> bool:
    op, folio = Op.MAP, _cached(vma, pmd)
    if folio is None:
        if not pool_has_room(machine):
            return False
        file = vma.file if vma.shared else None
        folio = machine.new_folio(Kind.HUGETLB, PMD_ORDER, file, vma.file_page(pmd * PMD_PAGES) if file else 0)
        op = Op.MAP if file else Op.FIRST_MAP
    mm.tables[pmd] = PmdEntry(folio.number, writable=vma.protection is Protection.WRITE)
    machine.map(op, mm, vma, pmd * PMD_PAGES, folio, 0, PMD_PAGES, Level.PMD)
    return True


def _cached(vma: Vma, pmd: int) -> Folio | None:
    return vma.file.pages.get(vma.file_page(pmd * PMD_PAGES)) if vma.shared and vma.file is not None else None


def _write(machine: Machine, mm: Mm, vma: Vma, pmd: int, entry: PmdEntry) -> bool:
    # hugetlb_wp(): the last mapper of an anon folio keeps it.
    folio = machine.folios[entry.folio]
    if vma.shared or machine.counts.ask("folio_mapcount", folio.number) == 1:
        entry.writable = True
        return True
    if not pool_has_room(machine):
        return False
    copy = machine.new_folio(Kind.HUGETLB, PMD_ORDER)
    machine.unmap(mm, vma, pmd * PMD_PAGES, folio, 0, PMD_PAGES, Level.PMD)
    mm.tables[pmd] = PmdEntry(copy.number, writable=True)
    machine.map(Op.FIRST_MAP, mm, vma, pmd * PMD_PAGES, copy, 0, PMD_PAGES, Level.PMD)
    return True
