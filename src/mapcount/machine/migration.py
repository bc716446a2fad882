"""move_pages(2): a folio gives way to a copy on another NUMA node, which is mapped wherever it was. In mm/migrate.c."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.errors import KernelFeatureError
from mapcount.machine.cow import EXCLUSIVE
from mapcount.machine.deferred_split import is_partially_mapped, is_queued
from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_ORDER, PMD_PAGES, Folio
from mapcount.machine.page_tables import PmdEntry, spans
from mapcount.machine.rmap import places_of
from mapcount.machine.swap import enter_cache
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.scenarios.steps import Protection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.rmap import Place

ENODEV = -19
_HAS_QUEUE = 2
"""Folios of smaller orders are never in the deferred split queue."""


def migrate(machine: Machine, mm: Mm, first: int, end: int, node: int) -> int:
    """
    Move what pages `[first, end)` are mapped to; return how many of them lie on the node then: do_pages_move().

    Raises KernelFeatureError for a page of 1 GiB.
    """
    if node >= machine.settings.nodes:
        return ENODEV
    for page in _mapped_pages(mm, first, end):
        found = _look_up(machine, mm, page)
        if found is not None and found[0].node != node and _may_move(machine, *found):
            _move(machine, found[0], node)
    return sum(
        found is not None and found[0].node == node
        for found in (_look_up(machine, mm, page) for page in _mapped_pages(mm, first, end))
    )


def _mapped_pages(mm: Mm, first: int, end: int) -> Iterator[int]:
    """Yield the pages for which there is a page table at least."""
    for pmd, at, until in spans(first, end):
        if mm.entry_at(pmd * PMD_PAGES) is not None:
            yield from range(pmd * PMD_PAGES + at, pmd * PMD_PAGES + until)


def _look_up(machine: Machine, mm: Mm, page: int) -> tuple[Folio, int] | None:
    """Return the folio that a page is mapped to, and the page within it; None for nothing, a swap entry, and zero pages."""
    entry = mm.entry_at(page)
    if entry is None:
        return None
    at = page % PMD_PAGES
    if isinstance(entry, PmdEntry):
        number, sub = entry.folio, page % entry.nr_pages
    else:
        number, sub = int(entry.folio[at]), int(entry.page[at])
    if number not in machine.folios:
        return None
    if machine.era.policies.migration_needs_access and machine.vma_of(mm, page).protection is Protection.NONE:
        return None
    return machine.folios[number], sub


def _may_move(machine: Machine, folio: Folio, page: int) -> bool:
    """Tell whether nobody else seems to map a folio, of which a page was asked for: add_folio_for_migration()."""
    if folio.kind is Kind.HUGETLB:
        whole = page == 0 or not machine.era.policies.migration_asks_page
        return whole and folio.entries == 1
    if not folio.order:
        return folio.entries == 1
    if machine.era.policies.migration_asks_page:
        return machine.counts.ask("page_mapcount", folio.number, page) == 1
    return not machine.counts.ask("mapped_shared", folio.number)


def _move(machine: Machine, folio: Folio, node: int) -> None:
    """Move a folio, or its pages if it is to be split first: migrate_pages_batch()."""
    if folio.order > PMD_ORDER:
        raise KernelFeatureError("The model does not know what becomes of a hugetlb page of 1 GiB that is to move")
    if machine.era.policies.migration_splits and folio.order >= _HAS_QUEUE and _waits_for_split(machine, folio):
        for part in split_folio(machine, folio).values():
            _move_whole(machine, part, node)
        if folio.number not in machine.folios:
            return
    _move_whole(machine, folio, node)


def _waits_for_split(machine: Machine, folio: Folio) -> bool:
    return folio.kind is Kind.ANON and is_queued(machine, folio) and is_partially_mapped(machine, folio)


def _move_whole(machine: Machine, folio: Folio, node: int) -> None:
    """Copy a folio: migrate_folio_unmap(), then migrate_folio_move()."""
    new = machine.new_folio(folio.kind, folio.order)
    new.node, new.data, new.uptodate = node, folio.data, folio.uptodate
    new.dirty, new.lazyfree = folio.dirty, folio.lazyfree
    exclusive = _exclusive_pages(machine, folio)
    places = places_of(machine, folio)
    folio.extra_refs += 1
    for place in places:
        new.dirty |= _is_dirty(place)
        for one in _one_by_one(place):
            machine.unmap(one.mm, one.vma, one.page, folio, one.first, one.nr_pages, one.level)
    if machine.era.policies.migration_requeues and is_queued(machine, folio):
        _queue(machine, new, partially_mapped=is_partially_mapped(machine, folio))
    _take_over_cache(machine, folio, new)
    if exclusive[0]:
        # PG_anon_exclusive of the first page goes along, also if nothing maps that page any more: folio_migrate_flags().
        machine.counts.set_pages(EXCLUSIVE, new.number, 0, 1, 1)
    for place in places:
        _map(machine, place, new, exclusive)
    folio.extra_refs -= 1
    machine.free_unused(folio)


def _exclusive_pages(machine: Machine, folio: Folio) -> list[int]:
    if folio.kind is not Kind.ANON or not machine.counts.has(EXCLUSIVE):
        return [0] * folio.nr_pages
    return machine.counts.pages(EXCLUSIVE, folio.number)


def _is_dirty(place: Place) -> bool:
    entry, at = place.mm.tables[place.page // PMD_PAGES], place.page % PMD_PAGES
    if isinstance(entry, PmdEntry):
        return entry.dirty
    return bool(entry.dirty[at : at + place.nr_pages].any())


def _one_by_one(place: Place) -> Iterator[Place]:
    """Yield the entries of a place as rmap is told of them, both ways: try_to_migrate_one(), remove_migration_pte()."""
    if place.level is not Level.PTE:
        yield place
        return
    for page in range(place.nr_pages):
        yield replace(place, page=place.page + page, first=place.first + page, nr_pages=1)


def _queue(machine: Machine, folio: Folio, *, partially_mapped: bool) -> None:
    machine.counts.set_flag("deferred", folio.number, 1)
    if partially_mapped:
        machine.counts.set_flag("partially_mapped", folio.number, 1)


def _take_over_cache(machine: Machine, folio: Folio, new: Folio) -> None:
    """Put the copy in the place of a folio in the page cache or the swap cache: folio_migrate_mapping()."""
    if folio.file is not None:
        new.file, new.file_page = folio.file, folio.file_page
        folio.file = None
        new.file.pages.update((new.file_page + page, new) for page in range(new.nr_pages))
    if folio.slot is not None:
        slot = folio.slot
        machine.swap.remove(folio)
        enter_cache(machine, new, slot)


def _map(machine: Machine, place: Place, new: Folio, exclusive: list[int]) -> None:
    entry, at = place.mm.tables[place.page // PMD_PAGES], place.page % PMD_PAGES
    if isinstance(entry, PmdEntry):
        entry.folio = new.number
    else:
        entry.folio[at : at + place.nr_pages] = new.number
    for one in _one_by_one(place):
        machine.map(Op.MAP, one.mm, one.vma, one.page, new, one.first, one.nr_pages, one.level)
        if exclusive[one.first]:
            machine.counts.set_pages(EXCLUSIVE, new.number, one.first, 1, 1)
