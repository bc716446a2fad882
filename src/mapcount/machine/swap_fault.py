"""A fault on a swap entry: the folio comes from the swap cache or is read from its slot, and is mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.anon_fault import suitable_orders
from mapcount.machine.cow import EXCLUSIVE, write_pte
from mapcount.machine.folios import PMD_PAGES, Folio
from mapcount.machine.page_tables import SWAP, Table
from mapcount.machine.swap import enter_cache, free_swap
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Protection
from mapcount.schemes.eras import SwapIn

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma


@dataclass(frozen=True)
class _Fault:
    """The swap entry at hand."""

    vma: Vma
    table: Table
    page: int

    @property
    def at(self) -> int:
        return self.page % PMD_PAGES

    @property
    def slot(self) -> int:
        return int(self.table.page[self.at])

    def stands_for(self, at: int, slots: range) -> bool:
        """Tell whether the entries from `at` on are swap entries of these slots, all exclusive or none."""
        here = slice(at, at + len(slots))
        return bool(
            (self.table.folio[here] == SWAP).all()
            and (self.table.page[here] == np.arange(slots.start, slots.stop)).all()
            and (self.table.exclusive[here] == self.table.exclusive[at]).all()
        )


def swap_fault(machine: Machine, mm: Mm, vma: Vma, table: Table, page: int, *, write: bool) -> None:
    """
    Bring back what a swap entry stands for: do_swap_page(), mm/memory.c.

    The device is one that reads at once (a RAM disk, SWP_SYNCHRONOUS_IO), without readahead.
    """
    at_hand = _Fault(vma, table, page)
    always_cached = machine.era.policies.swap_in is SwapIn.CACHED
    exclusive = bool(table.exclusive[at_hand.at])
    folio = machine.swap.cache.get(at_hand.slot)
    if folio is not None:
        exclusive |= write and not always_cached and _is_alone(machine, folio, at_hand.slot)
    else:
        # What only this entry stands for need not go through the swap cache.
        is_private = not always_cached and machine.swap.entries[at_hand.slot] == 1
        exclusive |= is_private
        folio = _read(machine, at_hand, cached=not is_private)
    _map(machine, mm, at_hand, folio, exclusive=exclusive)
    if always_cached or (write and exclusive):
        free_swap(machine, folio)
    if write and not exclusive:
        write_pte(machine, mm, vma, table, page)


def _is_alone(machine: Machine, folio: Folio, slot: int) -> bool:
    """Tell whether nobody else refers to a page in the swap cache: do_swap_page() of 6.1, reuse_swap_page() of 5.10."""
    return not folio.order and not folio.entries and machine.swap.entries[slot] == 1


def _read(machine: Machine, fault: _Fault, *, cached: bool) -> Folio:
    order = _order(machine, fault, cached=cached)
    slot = fault.slot >> order << order
    folio = machine.new_folio(Kind.ANON, order)
    for page in range(folio.nr_pages):
        folio.data |= (slot + page in machine.swap.data) << page
    if cached:
        enter_cache(machine, folio, slot)
    return folio


def _order(machine: Machine, fault: _Fault, *, cached: bool) -> int:
    """Return the largest order that is allowed and whose entries stand for consecutive slots: alloc_swap_folio()."""
    swap_in = machine.era.policies.swap_in
    if swap_in is SwapIn.SMALL or (cached and swap_in is SwapIn.LARGE):
        return 0
    for order in suitable_orders(machine, fault.vma, fault.page):
        at, slot = fault.at >> order << order, fault.slot >> order << order
        slots = range(slot, slot + (1 << order))
        if fault.at - at == fault.slot - slot and fault.stands_for(at, slots) and _is_readable(machine, slots):
            return order
    return 0


def _is_readable(machine: Machine, slots: range) -> bool:
    # All on the device, or nothing; and nothing in the swap cache.
    zero = sum(slot in machine.swap.zero for slot in slots)
    return zero in {0, len(slots)} and not any(slot in machine.swap.cache for slot in slots)


def _range_to_map(fault: _Fault, folio: Folio) -> tuple[int, int]:
    """Return the first page and how many: of a folio all, if all of its entries are there, else the one at hand."""
    if folio.slot is None:
        return fault.page >> folio.order << folio.order, folio.nr_pages
    first = fault.page - (fault.slot - folio.slot)
    end, table = first + folio.nr_pages, fault.page // PMD_PAGES * PMD_PAGES
    fits = max(fault.vma.first, table) <= first and end <= min(fault.vma.end, table + PMD_PAGES)
    if fits and fault.stands_for(first - table, range(folio.slot, folio.slot + folio.nr_pages)):
        return first, folio.nr_pages
    return fault.page, 1


def _map(machine: Machine, mm: Mm, fault: _Fault, folio: Folio, *, exclusive: bool) -> None:
    first, nr_pages = _range_to_map(fault, folio)
    at = first % PMD_PAGES
    slots = fault.table.slots(at, at + nr_pages)
    sub = slots[0] - folio.slot if folio.slot is not None else 0
    writable = exclusive and fault.vma.protection is Protection.WRITE
    fault.table.set(at, folio.number, sub, nr_pages, writable=writable)
    for slot in slots:
        machine.swap.put(slot)
    is_new = exclusive and not folio.entries and nr_pages == folio.nr_pages
    machine.map(Op.FIRST_MAP if is_new else Op.MAP, mm, fault.vma, first, folio, sub, nr_pages, Level.PTE)
    if exclusive and machine.counts.has(EXCLUSIVE):
        machine.counts.set_pages(EXCLUSIVE, folio.number, sub, nr_pages, 1)
