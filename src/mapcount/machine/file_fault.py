"""Faults on mappings of a file: from the page cache, with its neighbours on a read, or into it; by PMD where that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.anon_fault import covers, map_new, prepare_anon
from mapcount.machine.folios import PMD_ORDER, PMD_PAGES, File, Folio, SwappedPage
from mapcount.machine.page_tables import NONE, PmdEntry, Table
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Advice, Protection
from mapcount.schemes.eras import WriteOrders

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

AROUND_PAGES = 16
"""Pages that a read fault maps at most if they are in the page cache: fault_around_bytes, mm/memory.c."""
_FITS_VMA = (6, 11)
"""Since then shmem folios have all orders, and fit into the VMA: e7a2ab7b3bb5 ("mm: shmem: add mTHP support for anonymous
shmem")."""


def file_fault(machine: Machine, mm: Mm, vma: Vma, page: int, *, write: bool) -> bool:
    """
    Map something at a page where nothing is; return False for a page behind the end of the file (SIGBUS).

    do_fault(), mm/memory.c: a read maps what lies around in the page cache, a write to a private mapping a copy.
    """
    file = vma.file
    assert file is not None
    index = vma.file_page(page)
    if index >= file.nr_pages:
        return False
    if write and not vma.shared:
        cached_folio(machine, file, index, vma, page)
        prepare_anon(mm, vma)
        mm.table(page // PMD_PAGES)
        map_new(machine, mm, vma, page, 0)
        return True
    if not write and _map_around(machine, mm, vma, page):
        return True
    folio = cached_folio(machine, file, index, vma, page)
    if not _map_pmd(machine, mm, vma, folio, page):
        _map_ptes(machine, mm, vma, folio, page, write=write)
    return True


def cached_folio(machine: Machine, file: File, index: int, vma: Vma, page: int) -> Folio:
    """
    Return the folio of a page of a file for a fault, made if there is none: the largest that settings allow and finds room.

    It must fit into the VMA as well: shmem_alloc_and_add_folio(), shmem_suitable_orders(), mm/shmem.c.
    """
    folio = file.pages.get(index)
    if folio is None and index in file.swapped:
        folio = swap_in(machine, file, index)
    if folio is None:
        orders = _fault_orders(machine, file, index, vma)
        folio = _new_folio(machine, file, index, orders, vma, page)
    folio.uptodate = True
    return folio


def allocate(machine: Machine, file: File, first: int, end: int) -> None:
    """Give a file folios for its pages `[first, end)`, without a VMA: shmem_fallocate()."""
    for index in range(first, end):
        if index in file.swapped:
            swap_in(machine, file, index)
        if index in file.pages:
            file.pages[index].uptodate |= machine.era.policies.fallocate_clears
        else:
            _new_folio(machine, file, index, _write_orders(machine, file, index, end)).uptodate = False


def swap_in(machine: Machine, file: File, index: int) -> Folio:
    """Bring back a page of a file that was swapped out: shmem_swapin_folio(), mm/shmem.c."""
    slot, order = file.swapped[index]
    if not machine.era.policies.swaps_in_large_shmem:
        order = 0
    first = index >> order << order
    pages = range(first, first + (1 << order))
    if any(file.swapped.get(page) != SwappedPage(slot - index + page, order) for page in pages):
        order, pages = 0, range(index, index + 1)
    for page in pages:
        machine.swap.put(file.swapped.pop(page).slot)
    return machine.new_folio(file.kind, order, file, pages.start)


def _new_folio(
    machine: Machine, file: File, index: int, orders: list[int], vma: Vma | None = None, page: int = 0
) -> Folio:
    fitting = [order for order in orders if _has_room(machine, file, index, order, vma, page)]
    order = max(fitting, default=0)
    folio = machine.new_folio(file.kind, order, file, index >> order << order)
    file.reaches_behind |= order > 0 and folio.file_page + folio.nr_pages > file.nr_pages
    return folio


def _fault_orders(machine: Machine, file: File, index: int, vma: Vma) -> list[int]:
    shmem = machine.settings.shmem
    found = []
    for order, word in shmem.items():
        if order != PMD_ORDER and machine.era.version < _FITS_VMA:
            continue
        chosen = shmem.get(PMD_ORDER, "never") if word == "inherit" else word
        wanted = chosen == "always" or (chosen == "advise" and vma.advice is Advice.HUGEPAGE)
        if wanted or (chosen == "within_size" and _is_within(index, order, file.nr_pages)):
            found.append(order)
    return found


def _write_orders(machine: Machine, file: File, index: int, end: int) -> list[int]:
    # Without a VMA the setting for PMD size holds for all sizes: shmem_allowable_huge_orders().
    chosen = machine.settings.shmem.get(PMD_ORDER, "never")
    allowed = machine.era.policies.shmem_write
    orders = [PMD_ORDER] if allowed is WriteOrders.PMD else list(range(1, PMD_ORDER + 1))
    if allowed is WriteOrders.SIZE:
        orders = [order for order in orders if not index % (1 << order) and index + (1 << order) <= end]
    if chosen == "within_size":
        size = file.nr_pages if allowed is WriteOrders.PMD else max(file.nr_pages, end)
        return [order for order in orders if _is_within(index, order, size)]
    return orders if chosen == "always" else []


def _is_within(index: int, order: int, nr_pages: int) -> bool:
    """Tell whether a folio around a page ends within so many pages."""
    return (index >> order) + 1 << order <= nr_pages


def _has_room(machine: Machine, file: File, index: int, order: int, vma: Vma | None, page: int) -> bool:
    first = index >> order << order
    if any(other in file.pages or other in file.swapped for other in range(first, first + (1 << order))):
        return False
    if vma is None or machine.era.version < _FITS_VMA:
        return True
    return covers(vma, page, order) and (page - index) % (1 << order) == 0


def _map_pmd(machine: Machine, mm: Mm, vma: Vma, folio: Folio, page: int) -> bool:
    """Map a folio of PMD size by a PMD, if nothing is there yet and file, address and VMA are aligned: do_set_pmd()."""
    pmd = page // PMD_PAGES
    aligned = (page - vma.file_page(page)) % PMD_PAGES == 0
    if folio.order != PMD_ORDER or pmd in mm.tables or not aligned or not covers(vma, page, PMD_ORDER):
        return False
    if vma.advice is Advice.NOHUGEPAGE:
        return False
    mm.tables[pmd] = PmdEntry(folio.number, writable=vma.shared and vma.protection is Protection.WRITE)
    machine.map(Op.MAP, mm, vma, pmd * PMD_PAGES, folio, 0, PMD_PAGES, Level.PMD)
    return True


def _map_ptes(machine: Machine, mm: Mm, vma: Vma, folio: Folio, page: int, *, write: bool) -> None:
    first, nr_pages = _range_to_map(machine, mm, vma, folio, page)
    table = mm.table(page // PMD_PAGES)
    sub = vma.file_page(first) - folio.file_page
    writable = write or (vma.shared and vma.protection is Protection.WRITE)
    table.set(first % PMD_PAGES, folio.number, sub, nr_pages, writable=writable)
    machine.map(Op.MAP, mm, vma, first, folio, sub, nr_pages, Level.PTE)


def _range_to_map(machine: Machine, mm: Mm, vma: Vma, folio: Folio, page: int) -> tuple[int, int]:
    # finish_fault() maps a whole folio of memory without a name (6.11), if VMA, page table and empty entries allow.
    if not machine.era.policies.maps_whole_shmem_folio or folio.kind is not Kind.SHMEM:
        return page, 1
    first = page - (vma.file_page(page) - folio.file_page)
    at = first % PMD_PAGES
    if not _has_room_for_all(vma, folio, first):
        return page, 1
    if not (mm.table(page // PMD_PAGES).folio[at : at + folio.nr_pages] == NONE).all():
        return page, 1
    return first, folio.nr_pages


def _has_room_for_all(vma: Vma, folio: Folio, first: int) -> bool:
    """Tell whether a folio that begins at page number `first` lies within a VMA and one page table."""
    end = first + folio.nr_pages
    return vma.first <= first and end <= vma.end and first // PMD_PAGES == (end - 1) // PMD_PAGES


def _map_around(machine: Machine, mm: Mm, vma: Vma, page: int) -> bool:
    """Map the pages of the page cache around a page that is read; tell whether it is among them: do_fault_around()."""
    file = vma.file
    assert file is not None
    pmd = page // PMD_PAGES
    first = max(page - page % AROUND_PAGES, vma.first, pmd * PMD_PAGES)
    # A VMA that begins late moves the window, so that it ends later, too.
    end = min(first + AROUND_PAGES, vma.end, (pmd + 1) * PMD_PAGES)
    cached = [_uptodate(file, vma.file_page(at)) for at in range(first, end)]
    lowest = next((folio for folio in cached if folio is not None), None)
    if lowest is None:
        return False
    if _map_pmd(machine, mm, vma, lowest, page):
        return True
    table = mm.table(pmd)
    wanted = _wanted(machine, vma, first, cached)
    for at, folio, nr_pages in _stretches(wanted, table):
        start = pmd * PMD_PAGES + at
        sub = vma.file_page(start) - folio.file_page
        table.set(at, folio.number, sub, nr_pages, writable=False)
        machine.map(Op.MAP, mm, vma, start, folio, sub, nr_pages, Level.PTE)
    return bool(table.folio[page % PMD_PAGES] != NONE)


def _uptodate(file: File, index: int) -> Folio | None:
    folio = file.pages.get(index)
    return folio if folio is not None and folio.uptodate else None


def _wanted(machine: Machine, vma: Vma, first: int, cached: list[Folio | None]) -> dict[int, Folio]:
    """Return the folio to map at each entry of a page table: what is cached from page number `first` on, or whole folios."""
    wanted: dict[int, Folio] = {}
    for page, folio in enumerate(cached, first):
        if folio is None:
            continue
        wanted[page % PMD_PAGES] = folio
        start = page - (vma.file_page(page) - folio.file_page)
        if machine.era.policies.maps_around_whole_folio and _has_room_for_all(vma, folio, start):
            wanted.update((at, folio) for at in range(start % PMD_PAGES, start % PMD_PAGES + folio.nr_pages))
    return wanted


def _stretches(wanted: dict[int, Folio], table: Table) -> list[tuple[int, Folio, int]]:
    """Return (entry, folio, pages) of what is wanted and not mapped yet, consecutive pages of a folio together."""
    found: list[tuple[int, Folio, int]] = []
    for at in sorted(wanted):
        folio = wanted[at]
        if table.folio[at] != NONE:
            continue
        if found and found[-1][1] is folio and found[-1][0] + found[-1][2] == at:
            found[-1] = (found[-1][0], folio, found[-1][2] + 1)
        else:
            found.append((at, folio, 1))
    return found
