"""MADV_COLLAPSE: what lies in an aligned piece of PMD size becomes one folio, mapped by a PMD. In mm/khugepaged.c."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.access import fault
from mapcount.machine.cow import EXCLUSIVE
from mapcount.machine.file_fault import swap_in
from mapcount.machine.folios import PMD_ORDER, PMD_PAGES, PUD_PAGES, File, Folio
from mapcount.machine.page_tables import NONE, SWAP, PmdEntry, Table
from mapcount.machine.rmap import unmap_everywhere
from mapcount.machine.swap import free_unmapped
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Advice, Protection

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

EAGAIN, EINVAL = -11, -22


class _Outcome(enum.Enum):
    """Of one piece."""

    DONE = "a PMD maps it, now or already"
    HOLE = "there is no page table"
    SKIPPED = "it cannot be, but others perhaps: none of it may be written, or there is not even a table of PMDs"
    BUSY = "it cannot be now: a page that was just swapped in is not on the LRU yet"
    REFUSED = "it cannot be"


def collapse(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, _advice: Advice) -> int:
    """
    Collapse each aligned piece of PMD size in `[first, end)`, which lies within a VMA; return 0 if a PMD maps all of them.

    Stops at a piece that is refused; the last one that was not collapsed gives the error. madvise_collapse().
    """
    if not _may_be_huge(vma):
        return EINVAL
    start, stop = -(-first // PMD_PAGES), end // PMD_PAGES
    if start > stop:
        return 0 if machine.era.policies.collapse_of_nothing else EINVAL
    error = 0
    for pmd in range(start, stop):
        how = _collapse_anon if vma.file is None else _collapse_file
        outcome = how(machine, mm, vma, pmd)
        if outcome is not _Outcome.DONE:
            error = EAGAIN if outcome is _Outcome.BUSY else EINVAL
        stops = {_Outcome.REFUSED} if machine.era.policies.collapse_skips_holes else {_Outcome.REFUSED, _Outcome.HOLE}
        if outcome in stops:
            break
    return error


def _may_be_huge(vma: Vma) -> bool:
    """Tell whether a VMA has room for a PMD, which may map what it maps: thp_vma_allowable_order()."""
    if vma.advice is Advice.NOHUGEPAGE or vma.kind is Kind.HUGETLB:
        return False
    if -(-vma.first // PMD_PAGES) >= vma.end // PMD_PAGES:
        return False
    if vma.file is None:
        return vma.anon is not None
    return (vma.first - vma.offset) % PMD_PAGES == 0


def _collapse_anon(machine: Machine, mm: Mm, vma: Vma, pmd: int) -> _Outcome:
    """Copy all pages of a page table into a new folio, swapped ones too; holes become zeros: collapse_huge_page()."""
    table = mm.tables.get(pmd)
    if not isinstance(table, Table):
        return _Outcome.HOLE if table is None else _Outcome.DONE
    if machine.era.policies.collapse_needs_write and not _is_writable(machine, vma, table):
        return _Outcome.SKIPPED
    for at in np.flatnonzero(table.folio == SWAP).tolist():
        fault(machine, mm, vma, pmd * PMD_PAGES + at, write=False)
    new = machine.new_folio(Kind.ANON, PMD_ORDER)
    for run in list(table.runs(0, PMD_PAGES)):
        old = machine.folios[run.folio]
        new.data |= (old.data >> run.first & ((1 << run.nr_pages) - 1)) << run.at
        machine.unmap(mm, vma, pmd * PMD_PAGES + run.at, old, run.first, run.nr_pages, Level.PTE)
        free_unmapped(machine, old)
    mm.tables[pmd] = PmdEntry(new.number, writable=vma.protection is Protection.WRITE)
    machine.map(Op.FIRST_MAP, mm, vma, pmd * PMD_PAGES, new, 0, PMD_PAGES, Level.PMD)
    return _Outcome.DONE


def _is_writable(machine: Machine, vma: Vma, table: Table) -> bool:
    """Tell whether an entry may be written; mprotect gives that back to exclusive pages: can_change_pte_writable()."""
    if table.writable.any():
        return True
    runs = table.runs(0, PMD_PAGES) if vma.protection is Protection.WRITE else ()
    return any(any(machine.counts.pages(EXCLUSIVE, run.folio)[run.first : run.first + run.nr_pages]) for run in runs)


def _collapse_file(machine: Machine, mm: Mm, vma: Vma, pmd: int) -> _Outcome:
    """Let one folio take the place of all in a piece of a file, then map it by a PMD: hpage_collapse_scan_file()."""
    file = vma.file
    assert file is not None
    index = vma.file_page(pmd * PMD_PAGES)
    folio = file.pages.get(index)
    if folio is None or folio.order != PMD_ORDER:
        if not _swap_in(machine, file, index):
            return _Outcome.BUSY
        if not any(page in file.pages for page in range(index, index + PMD_PAGES)):
            return _Outcome.REFUSED
        folio = _join(machine, file, index)
        _empty_tables(machine, mm, pmd, file, index)
    return _map_by_pmd(machine, mm, vma, pmd, folio)


def _swap_in(machine: Machine, file: File, index: int) -> bool:
    """Bring back what was swapped out of a piece; tell whether all of it can be taken off the LRU then."""
    for page in range(index, index + PMD_PAGES):
        if page not in file.swapped:
            continue
        swap_in(machine, file, page)
        if not machine.era.policies.collapse_drains:
            # What comes before was taken already, and so was unmapped.
            for folio in dict.fromkeys(file.pages[taken] for taken in range(index, page) if taken in file.pages):
                unmap_everywhere(machine, folio)
            return False
    return True


def _join(machine: Machine, file: File, index: int) -> Folio:
    """Put a folio in the place of all that a file has in a piece; these are unmapped and freed: collapse_file()."""
    old = dict.fromkeys(file.pages[page] for page in range(index, index + PMD_PAGES) if page in file.pages)
    for folio in old:
        unmap_everywhere(machine, folio)
        machine.drop_cached(folio)
    return machine.new_folio(file.kind, PMD_ORDER, file, index)


def _empty_tables(machine: Machine, caller: Mm, pmd: int, file: File, index: int) -> None:
    """Free page tables that mapped pages of the piece, so that a PMD finds room: retract_page_tables()."""
    for mm in machine.mms.values():
        for vma in mm.vmas:
            if vma.file is not file or vma.anon is not None:
                continue
            here, odd = divmod(vma.first + index - vma.offset, PMD_PAGES)
            is_within = vma.first <= here * PMD_PAGES and (here + 1) * PMD_PAGES <= vma.end
            is_callers = mm is caller and here == pmd
            goes = is_callers or machine.era.policies.collapse_empties_tables
            if goes and is_within and not odd and isinstance(mm.tables.get(here), Table):
                del mm.tables[here]


def _map_by_pmd(machine: Machine, mm: Mm, vma: Vma, pmd: int, folio: Folio) -> _Outcome:
    """Map a folio by a PMD instead of PTEs, which map nothing but its pages: try_to_collapse_pte_mapped_thp()."""
    pud = pmd * PMD_PAGES // PUD_PAGES
    if pud not in mm.puds and not machine.era.policies.collapse_adds_table:
        return _Outcome.SKIPPED
    mm.puds.add(pud)
    table = mm.tables.get(pmd)
    if isinstance(table, PmdEntry):
        return _Outcome.DONE
    if table is not None:
        if not ((table.folio == NONE) | (table.folio == folio.number)).all():
            return _Outcome.REFUSED
        for run in list(table.runs(0, PMD_PAGES)):
            machine.unmap(mm, vma, pmd * PMD_PAGES + run.at, folio, run.first, run.nr_pages, Level.PTE)
    mm.tables[pmd] = PmdEntry(folio.number, writable=False)
    machine.map(Op.MAP, mm, vma, pmd * PMD_PAGES, folio, 0, PMD_PAGES, Level.PMD)
    return _Outcome.DONE
