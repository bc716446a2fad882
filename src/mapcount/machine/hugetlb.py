"""hugetlb folios, of PMD or PUD size: taken from a pool, mapped whole, copied whole, shared through their file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES, PUD_ORDER
from mapcount.machine.page_tables import PmdEntry
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma


def hugetlb_fault(machine: Machine, mm: Mm, vma: Vma, page: int, *, write: bool) -> bool:
    """Map a hugetlb folio, or resolve a write to one; return False if the pool is empty (SIGBUS). In mm/hugetlb.c."""
    first = page >> vma.hugetlb_order << vma.hugetlb_order
    entry = mm.tables.get(first // PMD_PAGES)
    if not isinstance(entry, PmdEntry):
        return _map(machine, mm, vma, first)
    if write and not entry.writable:
        return _write(machine, mm, vma, first, entry)
    return True


def pool_has_room(machine: Machine, order: int) -> bool:
    """Tell whether a folio of that order is left in the pool."""
    return len(_taken(machine, order)) < _pool(machine, order)


def unreserved(machine: Machine, order: int) -> int:
    """Return how many folios of that order mmap may still promise: hugetlb_reserve_pages()."""
    reserved = sum(
        (vma.end - vma.first) >> order
        for vma in {
            vma.file: vma for mm in machine.mms.values() for vma in mm.vmas if vma.hugetlb_order == order
        }.values()
    )
    return _pool(machine, order) - max(len(_taken(machine, order)), reserved)


def _pool(machine: Machine, order: int) -> int:
    return machine.settings.gigantic_pages if order == PUD_ORDER else machine.settings.hugetlb_pages


def _taken(machine: Machine, order: int) -> list[Folio]:
    return [folio for folio in machine.folios.values() if folio.kind is Kind.HUGETLB and folio.order == order]


def _map(machine: Machine, mm: Mm, vma: Vma, first: int) -> bool:
    op, folio = Op.MAP, _cached(vma, first)
    if folio is None:
        if not pool_has_room(machine, vma.hugetlb_order):
            return False
        file = vma.file if vma.shared else None
        folio = machine.new_folio(Kind.HUGETLB, vma.hugetlb_order, file, vma.file_page(first) if file else 0)
        op = Op.MAP if file else Op.FIRST_MAP
    _set(machine, op, mm, vma, first, folio, writable=vma.protection is Protection.WRITE)
    return True


def _cached(vma: Vma, first: int) -> Folio | None:
    return vma.file.pages.get(vma.file_page(first)) if vma.shared and vma.file is not None else None


def _write(machine: Machine, mm: Mm, vma: Vma, first: int, entry: PmdEntry) -> bool:
    # hugetlb_wp(): the last mapper of an anon folio keeps it.
    folio = machine.folios[entry.folio]
    if vma.shared or machine.counts.ask("folio_mapcount", folio.number) == 1:
        entry.writable = True
        return True
    if not pool_has_room(machine, vma.hugetlb_order):
        return False
    copy = machine.new_folio(Kind.HUGETLB, vma.hugetlb_order)
    machine.unmap(mm, vma, first, folio, 0, folio.nr_pages, entry.level)
    _set(machine, Op.FIRST_MAP, mm, vma, first, copy, writable=True)
    return True


def _set(machine: Machine, op: Op, mm: Mm, vma: Vma, first: int, folio: Folio, *, writable: bool) -> None:
    level = Level.PUD if folio.order == PUD_ORDER else Level.PMD
    mm.tables[first // PMD_PAGES] = PmdEntry(folio.number, writable, level=level)
    machine.map(op, mm, vma, first, folio, 0, folio.nr_pages, level)
