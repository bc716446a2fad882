"""MADV_PAGEOUT: folios that only this process maps are written to swap, and swap entries stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.advised import advised_folios, is_exclusive
from mapcount.machine.cow import EXCLUSIVE
from mapcount.machine.deferred_split import is_partially_mapped, is_queued
from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_PAGES, SwappedPage
from mapcount.machine.lazyfree import discard
from mapcount.machine.page_tables import PmdEntry, Table, spans
from mapcount.machine.pmd_split import split_pmd
from mapcount.machine.rmap import places_of, unmap_everywhere
from mapcount.machine.swap import add_to_cache, leave_cache
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma
    from mapcount.scenarios.steps import Advice

EINVAL = -22


def pageout(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, advice: Advice) -> int:
    """Reclaim what `[first, end)` maps and nobody else does: madvise_cold_or_pageout_pte_range(), mm/madvise.c."""
    if vma.kind is Kind.HUGETLB:
        return EINVAL
    for pmd, at, until in spans(first, end):
        found = list(advised_folios(machine, mm, pmd, at, until, advice))
        for advised in found:
            if isinstance(advised.entry, PmdEntry) or is_exclusive(machine, advised.folio):
                reclaim(machine, advised.folio)
    return 0


def reclaim(machine: Machine, folio: Folio) -> None:
    """Swap a folio out that nothing but its mappings refers to: shrink_folio_list(), mm/vmscan.c."""
    if folio.file is not None:
        _reclaim_cached(machine, folio)
        return
    if not _is_found(machine, folio):
        return
    if folio.lazyfree and not (folio.order and machine.era.policies.reclaim_splits_lazyfree):
        discard(machine, folio)
        return
    if folio.slot is None:
        if folio.order and _splits_first(machine, folio):
            for part in split_folio(machine, folio).values():
                reclaim(machine, part)
            return
        if not machine.settings.swap:
            return
        add_to_cache(machine, folio)
    _unmap(machine, folio)
    leave_cache(machine, folio)


def _is_found(machine: Machine, folio: Folio) -> bool:
    # ksmd knows the mappings that it made, not those of a child that was forked before: rmap_walk_ksm().
    return folio.kind is not Kind.KSM or all(place.vma.mergeable for place in places_of(machine, folio))


def _reclaim_cached(machine: Machine, folio: Folio) -> None:
    """Unmap a folio of a file in memory, and let the file have slots in its place: shmem_writepage(), mm/shmem.c."""
    file = folio.file
    assert file is not None
    if folio.order and machine.era.policies.reclaim_splits_shmem:
        for part in split_folio(machine, folio).values():
            _reclaim_cached(machine, part)
        return
    unmap_everywhere(machine, folio)
    if not machine.settings.swap:
        return
    slot = machine.swap.allocate(folio.order)
    for page in range(folio.nr_pages):
        file.swapped[folio.file_page + page] = SwappedPage(slot + page, folio.order)
        machine.swap.entries[slot + page] += 1
    machine.drop_cached(folio)


def _splits_first(machine: Machine, folio: Folio) -> bool:
    # Pages that nobody maps are freed so, and need no slot. Without swap the parts, too, stay where they are.
    if folio.lazyfree or not machine.settings.swap:
        return True
    known = not machine.era.policies.advice_splits
    return known and is_queued(machine, folio) and is_partially_mapped(machine, folio)


def _unmap(machine: Machine, folio: Folio) -> None:
    """Let swap entries stand for all mappings of a folio in the swap cache: try_to_unmap_one(), mm/rmap.c."""
    assert folio.slot is not None
    for place in places_of(machine, folio):
        if place.level:
            split_pmd(machine, place.mm, place.page // PMD_PAGES)
    exclusive = [0] * folio.nr_pages
    if machine.counts.has(EXCLUSIVE):
        exclusive = machine.counts.pages(EXCLUSIVE, folio.number)
    for place in places_of(machine, folio):
        table = place.mm.tables[place.page // PMD_PAGES]
        assert isinstance(table, Table)
        slot, end = folio.slot + place.first, place.first + place.nr_pages
        table.set_swap(place.page % PMD_PAGES, slot, exclusive[place.first : end])
        machine.swap.entries.update(range(slot, slot + place.nr_pages))
        machine.unmap(place.mm, place.vma, place.page, folio, place.first, place.nr_pages, place.level)
