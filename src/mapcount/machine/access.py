"""A process reads or writes: which page faults next, and who resolves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.anon_fault import anon_fault
from mapcount.machine.cow import write_pmd, write_pte
from mapcount.machine.file_fault import file_fault
from mapcount.machine.folios import PMD_PAGES, PUD_PAGES
from mapcount.machine.hugetlb import hugetlb_fault
from mapcount.machine.page_tables import NONE, SWAP, PmdEntry, spans
from mapcount.machine.swap_fault import swap_fault
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

FATAL = -14
"""What an access returns that no fault handler can resolve: EFAULT, as the signal would say of a system call."""


def access(machine: Machine, mm: Mm, first: int, end: int, *, write: bool) -> int:
    """Read or write one byte in each page of `[first, end)`, ascending; return the pages, or FATAL at the first failure."""
    page = first
    while page < end:
        vma = mm.vmas.find(page)
        if vma is None or not _is_allowed(vma, write=write):
            return FATAL
        reached = _next_fault(mm, page, min(end, vma.end), write=write)
        if write:
            _note_written(machine, mm, page, reached)
        page = reached
        if page < min(end, vma.end) and not fault(machine, mm, vma, page, write=write):
            return FATAL
    return end - first


def fault(machine: Machine, mm: Mm, vma: Vma, page: int, *, write: bool) -> bool:
    """Resolve one fault at a page; it may take another one after this. Returns False for one that kills."""
    mm.puds.add(page // PUD_PAGES)
    if vma.kind is Kind.HUGETLB:
        return hugetlb_fault(machine, mm, vma, page, write=write)
    entry = mm.tables.get(page // PMD_PAGES)
    if isinstance(entry, PmdEntry):
        write_pmd(machine, mm, vma, entry, page // PMD_PAGES)
        return True
    if entry is not None and entry.folio[page % PMD_PAGES] == SWAP:
        swap_fault(machine, mm, vma, entry, page, write=write)
        return True
    if entry is not None and entry.folio[page % PMD_PAGES] != NONE:
        write_pte(machine, mm, vma, entry, page)
        return True
    if vma.file is not None:
        return file_fault(machine, mm, vma, page, write=write)
    anon_fault(machine, mm, vma, page, write=write)
    return True


def _note_written(machine: Machine, mm: Mm, first: int, end: int) -> None:
    for pmd, at, until in spans(first, end):
        entry = mm.entry_at(pmd * PMD_PAGES)
        assert entry is not None
        if isinstance(entry, PmdEntry):
            entry.dirty = True
            if entry.level is Level.PMD:
                machine.folios[entry.folio].write(at, until - at)
        else:
            entry.dirty[at:until] = True
            for run in entry.runs(at, until):
                machine.folios[run.folio].write(run.first, run.nr_pages)


def _is_allowed(vma: Vma, *, write: bool) -> bool:
    return vma.protection is Protection.WRITE or (vma.protection is Protection.READ and not write)


def _next_fault(mm: Mm, page: int, end: int, *, write: bool) -> int:
    """Return the first page of `[page, end)` whose access faults, or `end`."""
    while page < end:
        until = min(end, (page // PMD_PAGES + 1) * PMD_PAGES)
        entry = mm.entry_at(page)
        if entry is None:
            return page
        if isinstance(entry, PmdEntry):
            if write and not entry.writable:
                return page
        else:
            at = page % PMD_PAGES
            here = slice(at, at + until - page)
            faults = (entry.folio[here] == NONE) | (entry.folio[here] == SWAP)
            if write:
                faults |= ~entry.writable[here]
            if faults.any():
                return page + int(np.argmax(faults))
        page = until
    return end
