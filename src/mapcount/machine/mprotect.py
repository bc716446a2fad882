"""mprotect: a part of a VMA gets other rights, and becomes a VMA of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import PmdEntry, spans
from mapcount.machine.pmd_split import split_pmd

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma
    from mapcount.scenarios.steps import Protection

ENOMEM, EINVAL = -12, -22


def mprotect(machine: Machine, mm: Mm, first: int, end: int, protection: Protection) -> int:
    """Change the rights of `[first, end)`, VMA by VMA up to the first hole: do_mprotect_pkey(), mm/mprotect.c."""
    page = first
    while page < end:
        vma = mm.vmas.find(page)
        if vma is None:
            return ENOMEM
        until = min(end, vma.end)
        if (page | until) % (1 << vma.hugetlb_order):
            return EINVAL
        if vma.protection is not protection:

            def change(middle: Vma) -> None:
                middle.protection = protection

            mm.vmas.change(vma, page, until, change)
            _write_protect(machine, mm, page, until)
        page = until
    return 0


def _write_protect(machine: Machine, mm: Mm, first: int, end: int) -> None:
    # A right to write comes back with the next fault, or at once where that makes no difference that anyone could see.
    for pmd, at, until in spans(first, end):
        if until - at < PMD_PAGES:
            split_pmd(machine, mm, pmd)
        entry = mm.tables.get(pmd)
        if isinstance(entry, PmdEntry):
            entry.writable = False
        elif entry is not None:
            entry.writable[at:until] = False
