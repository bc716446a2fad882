"""fork: the child gets copies of VMAs, and of those page-table entries that a fault could not bring back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES, PUD_PAGES
from mapcount.machine.page_tables import ZERO, PmdEntry, spans
from mapcount.machine.vmas import AnonVma
from mapcount.mapping.schema import Kind, Level, Op

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.page_tables import Table
    from mapcount.machine.vmas import Vma


def fork(machine: Machine, parent: Mm, name: str) -> Mm:
    """Return a child process: VMA by VMA, ascending, as dup_mmap() and copy_page_range() do (kernel/fork.c, mm/memory.c)."""
    child = machine.new_mm(name)
    if parent.number in machine.ksm_mms:
        machine.ksm_mms[child.number] = child
    child.files = dict(parent.files)
    for file in child.files.values():
        file.users += 1
    for vma in parent.vmas:
        anon = AnonVma(singular=False) if vma.anon is not None else None
        copy = replace(vma, vma_id=machine.new_vma_id(), anon=anon)
        if copy.file is not None:
            copy.file.users += 1
        child.vmas.add(copy)
        if _needs_copy(machine, vma):
            child.puds |= parent.puds & set(range(vma.first // PUD_PAGES, (vma.end - 1) // PUD_PAGES + 1))
            for pmd, at, until in spans(vma.first, vma.end):
                _copy_entries(machine, parent, child, vma, copy, pmd, at, until)
    return child


def _needs_copy(machine: Machine, vma: Vma) -> bool:
    # vma_needs_copy(), mm/memory.c: without anon pages a fault finds everything again.
    if vma.kind is Kind.HUGETLB:
        return not vma.shared or machine.era.policies.fork_copies_shared_hugetlb
    return vma.anon is not None


def _copy_entries(machine: Machine, parent: Mm, child: Mm, vma: Vma, copy: Vma, pmd: int, at: int, until: int) -> None:
    entry = parent.tables.get(pmd)
    if isinstance(entry, PmdEntry):
        _copy_pmd(machine, child, vma, copy, pmd, entry)
    elif entry is not None:
        _copy_ptes(machine, child, vma, copy, pmd, entry, at, until)


def _copy_pmd(machine: Machine, child: Mm, vma: Vma, copy: Vma, pmd: int, entry: PmdEntry) -> None:
    if entry.folio == ZERO:
        child.tables[pmd] = PmdEntry(ZERO, writable=False)
        return
    folio = machine.folios[entry.folio]
    if folio.kind not in {Kind.ANON, Kind.HUGETLB}:
        return
    if not vma.shared:
        entry.writable = False
    child.tables[pmd] = replace(entry)
    machine.map(Op.DUP, child, copy, pmd * PMD_PAGES, folio, 0, entry.nr_pages, entry.level)


def _copy_ptes(machine: Machine, child: Mm, vma: Vma, copy: Vma, pmd: int, entry: Table, at: int, until: int) -> None:
    if (entry.folio[at:until] == -1).all():
        return
    if not vma.shared:
        entry.writable[at:until] = False
    table = child.table(pmd)
    entry.exclusive[at:until] = False
    table.copy(at, entry, at, until - at)
    machine.swap.entries.update(entry.slots(at, until))
    for run in entry.runs(at, until):
        folio = machine.folios[run.folio]
        machine.map(Op.DUP, child, copy, pmd * PMD_PAGES + run.at, folio, run.first, run.nr_pages, Level.PTE)
