"""First touch of anon memory: the zero page, a page, a folio of a smaller order (mTHP), or one of PMD size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_ORDER, PMD_PAGES
from mapcount.machine.page_tables import NONE, ZERO, PmdEntry, Table
from mapcount.machine.vmas import AnonVma, Vma
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Advice, Protection

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm

SMALLEST_ORDER = 2
"""Of a large anon folio: orders 1 and below have no room for the deferred list (mm/huge_memory.c, THP_ORDERS_ALL_ANON)."""


def allows(word: str, vma: Vma, inherited: str = "never") -> bool:
    """Tell whether a setting of transparent hugepages lets a VMA have them."""
    if vma.advice is Advice.NOHUGEPAGE:
        return False
    if word == "inherit":
        word = inherited
    return word == "always" or (word in {"madvise", "advise"} and vma.advice is Advice.HUGEPAGE)


def prepare_anon(mm: Mm, vma: Vma) -> None:
    """Give a VMA what its anon pages have in common, as the first of them does."""
    if vma.anon is None:
        vma.anon = mm.vmas.anon_of_neighbour(vma) or AnonVma(singular=True)


def covers(vma: Vma, page: int, order: int) -> bool:
    """Tell whether the aligned range of that order around a page lies within a VMA."""
    first = page >> order << order
    return vma.first <= first and first + (1 << order) <= vma.end


def anon_fault(machine: Machine, mm: Mm, vma: Vma, page: int, *, write: bool) -> None:
    """Map something at a page where nothing is: do_huge_pmd_anonymous_page(), mm/huge_memory.c; do_anonymous_page()."""
    pmd = page // PMD_PAGES
    if pmd not in mm.tables and allows(machine.settings.thp, vma) and covers(vma, page, PMD_ORDER):
        prepare_anon(mm, vma)
        if not write and machine.settings.huge_zero_page:
            mm.tables[pmd] = PmdEntry(ZERO, writable=False)
            return
        # A read gets a folio of its own if the huge zero folio is not to be used.
        map_new_pmd(machine, mm, vma, pmd)
        return
    table = mm.table(pmd)
    if not write:
        table.folio[page % PMD_PAGES] = ZERO
        return
    prepare_anon(mm, vma)
    order = _order(machine, vma, table, page)
    map_new(machine, mm, vma, page >> order << order, order)


def map_new_pmd(machine: Machine, mm: Mm, vma: Vma, pmd: int) -> Folio:
    """Map a new anon folio by a PMD, writable if the VMA is; return it."""
    folio = machine.new_folio(Kind.ANON, PMD_ORDER)
    mm.tables[pmd] = PmdEntry(folio.number, writable=vma.protection is Protection.WRITE)
    machine.map(Op.FIRST_MAP, mm, vma, pmd * PMD_PAGES, folio, 0, PMD_PAGES, Level.PMD)
    return folio


def map_new(machine: Machine, mm: Mm, vma: Vma, page: int, order: int) -> None:
    """Map a new anon folio by PTEs from `page` on, writable."""
    folio = machine.new_folio(Kind.ANON, order)
    mm.table(page // PMD_PAGES).set(page % PMD_PAGES, folio.number, 0, folio.nr_pages, writable=True, dirty=True)
    machine.map(Op.FIRST_MAP, mm, vma, page, folio, 0, folio.nr_pages, Level.PTE)


def _order(machine: Machine, vma: Vma, table: Table, page: int) -> int:
    # The largest that is allowed, lies within the VMA, and finds its entries empty: alloc_anon_folio(), mm/memory.c.
    for order in suitable_orders(machine, vma, page):
        at = page >> order << order & PMD_PAGES - 1
        if (table.folio[at : at + (1 << order)] == NONE).all():
            return order
    return 0


def suitable_orders(machine: Machine, vma: Vma, page: int) -> list[int]:
    """Return the orders below PMD size, largest first, that settings, VMA and address allow: thp_vma_allowable_orders()."""
    if not machine.era.policies.large_anon_below_pmd:
        return []
    return [
        order
        for order in sorted(machine.settings.anon, reverse=True)
        if SMALLEST_ORDER <= order < PMD_ORDER
        and covers(vma, page, order)
        and allows(machine.settings.anon[order], vma, machine.settings.thp)
    ]
