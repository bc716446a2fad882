"""Swap slots: which page-table entries refer to them, and which folios are in the swap cache."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_ORDER

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine

CLUSTER_ORDER = PMD_ORDER
"""Slots are handed out by clusters of so many, each for folios of one order: SWAPFILE_CLUSTER, mm/swapfile.c."""


class SwapSpace:
    """
    Slots of a swap device, as many as are needed: a slot is handed out once, ascending within the clusters of an order.

    `first_slot` is that of single pages in the first cluster, which has the header; 0: they begin in a cluster of their own.
    `entries` counts the page-table entries of each slot, `cache` has the folio of those in the swap cache. `data` are those
    that hold something besides zeros; a folio of which all pages are zero was not written: its slots are in `zero`.
    """

    def __init__(self, first_slot: int = 0) -> None:
        self.entries: Counter[int] = Counter()
        self.cache: dict[int, Folio] = {}
        self.data: set[int] = set()
        self.zero: set[int] = set()
        self._next = {0: first_slot}
        self._clusters = 1

    def allocate(self, order: int) -> int:
        """Return the first of 2^order consecutive slots that are aligned to as many."""
        at = self._next.get(order, 0)
        if not at % (1 << CLUSTER_ORDER):
            at = self._clusters << CLUSTER_ORDER
            self._clusters += 1
        self._next[order] = at + (1 << order)
        return at

    def put(self, slot: int) -> int:
        """Take away an entry of a slot; return how many are left."""
        self.entries[slot] -= 1
        left = self.entries[slot]
        if not left:
            del self.entries[slot]
            self._forget_unused(slot)
        return left

    def insert(self, folio: Folio, slot: int) -> None:
        """Put a folio in the swap cache, from a slot on; each page is one reference."""
        folio.slot = slot
        folio.extra_refs += folio.nr_pages
        for page in range(folio.nr_pages):
            self.cache[slot + page] = folio

    def remove(self, folio: Folio) -> None:
        """Take a folio out of the swap cache; the slots keep what it held as long as entries refer to them."""
        assert folio.slot is not None
        slots = range(folio.slot, folio.slot + folio.nr_pages)
        folio.slot = None
        folio.extra_refs -= folio.nr_pages
        for slot in slots:
            del self.cache[slot]
            self._forget_unused(slot)

    def is_swapped(self, folio: Folio) -> bool:
        """Tell whether entries refer to slots of a folio in the swap cache: folio_swapped(), mm/swapfile.c."""
        assert folio.slot is not None
        return any(folio.slot + page in self.entries for page in range(folio.nr_pages))

    def _forget_unused(self, slot: int) -> None:
        if slot not in self.entries and slot not in self.cache:
            self.data.discard(slot)
            self.zero.discard(slot)


def add_to_cache(machine: Machine, folio: Folio) -> None:
    """Give a folio slots, and put it in the swap cache: folio_alloc_swap()."""
    slot = machine.swap.allocate(folio.order)
    enter_cache(machine, folio, slot)
    machine.swap.data.update(slot + page for page in range(folio.nr_pages) if folio.holds_data(page))
    if not folio.data:
        machine.swap.zero.update(range(slot, slot + folio.nr_pages))


def enter_cache(machine: Machine, folio: Folio, slot: int) -> None:
    """Put a folio in the swap cache, from a slot on."""
    machine.swap.insert(folio, slot)
    machine.counts.set_flag("swapcache", folio.number, 1)


def leave_cache(machine: Machine, folio: Folio) -> None:
    """Take a folio out of the swap cache; it is freed if nothing else refers to it."""
    machine.swap.remove(folio)
    machine.counts.set_flag("swapcache", folio.number, 0)
    machine.free_unused(folio)


def free_swap(machine: Machine, folio: Folio) -> bool:
    """Take a folio out of the swap cache unless entries refer to its slots; tell whether that was done: folio_free_swap()."""
    if folio.slot is None or machine.swap.is_swapped(folio):
        return False
    folio.dirty = True
    leave_cache(machine, folio)
    return True


def free_unmapped(machine: Machine, folio: Folio) -> None:
    """After an unmapping: free the swap cache of a folio that is mapped no more: free_swap_cache(), mm/swap_state.c."""
    if not folio.entries:
        free_swap(machine, folio)


def zap_entry(machine: Machine, slot: int) -> None:
    """Take away a page-table entry of a slot, and a folio in the swap cache that nobody maps or will: free_swap_and_cache()."""
    if not machine.swap.put(slot) and slot in machine.swap.cache:
        free_unmapped(machine, machine.swap.cache[slot])
