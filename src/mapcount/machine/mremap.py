"""mremap to a fixed place: page-table entries move, and rmap is not told, since who maps what stays the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES, PUD_PAGES
from mapcount.machine.page_tables import NONE, PmdEntry
from mapcount.machine.pmd_split import split_pmd
from mapcount.machine.zap import munmap

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma

EFAULT, EINVAL = -14, -22


def mremap(machine: Machine, mm: Mm, first: int, end: int, to: int) -> int:
    """Move `[first, end)` to `to`, over whatever is there: MREMAP_MAYMOVE | MREMAP_FIXED, mm/mremap.c."""
    if first < to + end - first and to < end:
        return EINVAL
    checks_first = machine.era.policies.mremap_checks_first
    wrong = _refusal(mm, first, end, several=checks_first)
    if wrong and checks_first:
        return wrong
    munmap(machine, mm, to, to + end - first)
    wrong = wrong or _refusal(mm, first, end, several=checks_first)
    if wrong:
        return wrong
    for vma in mm.vmas.overlapping(first, end):
        start, until = max(first, vma.first), min(end, vma.end)
        _move(machine, mm, vma, start, until, to + start - first)
    return 0


def _refusal(mm: Mm, first: int, end: int, *, several: bool) -> int:
    vma = mm.vmas.find(first)
    if vma is None or (end > vma.end and not several):
        return EFAULT
    if (first | end) % (1 << vma.hugetlb_order):
        return EINVAL
    return 0


def _move(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, to: int) -> None:
    untouched = vma.file is None and vma.anon is None
    copy = replace(
        vma,
        vma_id=machine.new_vma_id(),
        first=to,
        end=to + end - first,
        offset=to if untouched else vma.file_page(first),
    )
    if copy.file is not None:
        copy.file.users += 1
    mm.vmas.add(copy)
    page = first
    while page < end:
        target = to + page - first
        step = min(end - page, PMD_PAGES - page % PMD_PAGES, PMD_PAGES - target % PMD_PAGES)
        _move_entries(machine, mm, page, target, step)
        page += step
    munmap(machine, mm, first, end)


def _move_entries(machine: Machine, mm: Mm, page: int, target: int, nr_pages: int) -> None:
    pmd, to_pmd = page // PMD_PAGES, target // PMD_PAGES
    if page // PUD_PAGES in mm.puds:
        mm.puds.add(target // PUD_PAGES)
    if nr_pages == PMD_PAGES and to_pmd not in mm.tables and pmd in mm.tables:
        mm.tables[to_pmd] = mm.tables.pop(pmd)
        return
    split_pmd(machine, mm, pmd)
    entry = mm.tables.get(pmd)
    if entry is None:
        return
    assert not isinstance(entry, PmdEntry)
    table = mm.table(to_pmd)
    at = page % PMD_PAGES
    table.copy(target % PMD_PAGES, entry, at, nr_pages)
    entry.folio[at : at + nr_pages] = NONE
