"""A write to what may not be written yet: reuse the page or copy it. Here a kernel asks its own counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.anon_fault import map_new, map_new_pmd, prepare_anon
from mapcount.machine.folios import PMD_PAGES, Folio
from mapcount.machine.page_tables import ZERO, PmdEntry, Table
from mapcount.machine.pmd_split import split_pmd
from mapcount.machine.swap import free_swap, free_unmapped
from mapcount.mapping.schema import Kind, Level
from mapcount.schemes.eras import Reuse

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

EXCLUSIVE = "PG_anon_exclusive"


def write_pmd(machine: Machine, mm: Mm, vma: Vma, entry: PmdEntry, pmd: int) -> None:
    """
    Resolve a write to a PMD entry that may not be written: afterwards it may, or it is split and the fault comes again.

    do_huge_pmd_wp_page(), mm/huge_memory.c.
    """
    if entry.folio == ZERO:
        if machine.era.policies.huge_zero_write_is_huge:
            folio = map_new_pmd(machine, mm, vma, pmd)
            folio.queued &= machine.era.policies.queues_after_huge_zero
        else:
            split_pmd(machine, mm, pmd)
        return
    folio = machine.folios[entry.folio]
    if vma.shared:
        entry.writable = True
    elif folio.kind is Kind.ANON and _may_reuse_pmd(machine, folio):
        _make_exclusive(machine, folio, 0)
        entry.writable = True
    else:
        split_pmd(machine, mm, pmd)


def write_pte(machine: Machine, mm: Mm, vma: Vma, table: Table, page: int) -> None:
    """Resolve a write to a PTE that may not be written: do_wp_page(), mm/memory.c."""
    at = page % PMD_PAGES
    number, sub = int(table.folio[at]), int(table.page[at])
    if number == ZERO:
        prepare_anon(mm, vma)
        map_new(machine, mm, vma, page, 0)
        return
    folio = machine.folios[number]
    if vma.shared:
        table.writable[at] = True
    elif folio.kind is Kind.ANON and _may_reuse(machine, folio, sub):
        _make_exclusive(machine, folio, sub)
        table.writable[at] = True
    else:
        prepare_anon(mm, vma)
        map_new(machine, mm, vma, page, 0)
        machine.unmap(mm, vma, page, folio, sub, 1, Level.PTE)
        if machine.era.policies.copy_frees_swap:
            free_unmapped(machine, folio)


def _is_exclusive(machine: Machine, folio: Folio, page: int) -> bool:
    return machine.counts.has(EXCLUSIVE) and bool(machine.counts.pages(EXCLUSIVE, folio.number)[page])


def _make_exclusive(machine: Machine, folio: Folio, page: int) -> None:
    if machine.counts.has(EXCLUSIVE):
        machine.counts.set_pages(EXCLUSIVE, folio.number, page, 1, 1)


def _may_reuse(machine: Machine, folio: Folio, page: int) -> bool:
    if _is_exclusive(machine, folio, page):
        return True
    reuse = machine.era.policies.reuse if folio.order else Reuse.REFCOUNT
    if machine.era.policies.reuse_frees_swap and (reuse is Reuse.OWNER or folio.entries == 1):
        free_swap(machine, folio)
    if reuse is Reuse.OWNER:
        mapcount = machine.counts.ask("folio_mapcount", folio.number)
        shared = machine.counts.ask("mapped_shared", folio.number)
        # With one mapping left a copy frees all the rest of the folio.
        return mapcount > 1 and not shared and machine.refcount(folio) == mapcount
    if reuse is Reuse.MAPCOUNT:
        return _largest_page_mapcount(machine, folio) <= 1
    return reuse is Reuse.REFCOUNT and machine.refcount(folio) == 1


def _may_reuse_pmd(machine: Machine, folio: Folio) -> bool:
    if _is_exclusive(machine, folio, 0):
        return True
    if machine.era.policies.reuse_pmd is Reuse.MAPCOUNT:
        return _largest_page_mapcount(machine, folio) <= 1
    return machine.refcount(folio) == 1


def _largest_page_mapcount(machine: Machine, folio: Folio) -> int:
    return max(machine.counts.ask("page_mapcount", folio.number, page) for page in range(folio.nr_pages))
