"""A large folio is split into smaller ones: anon folios are mapped again afterwards, those of a file fault in again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.cow import EXCLUSIVE
from mapcount.machine.folios import PMD_PAGES, Folio
from mapcount.machine.page_tables import NONE, ZERO, PmdEntry, Table
from mapcount.machine.rmap import places_of, unmap_everywhere
from mapcount.machine.swap import enter_cache
from mapcount.mapping.schema import Kind, Level, Op

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from mapcount.machine.machine import Machine
    from mapcount.machine.rmap import Place


def split_folio(machine: Machine, folio: Folio) -> dict[int, Folio]:
    """
    Split a large folio, anon or of a file, into folios of one page; return those that live on, by their page in the old one.

    A page of an anon folio that nothing refers to is freed; so is one that holds nothing but zeros since 6.12, whose
    entries get the zero page. Returns nothing, and the folio lives on, if its mappings could not be taken away. split_folio(),
    mm/huge_memory.c.
    """
    if folio.kind is Kind.ANON:
        return _split_anon(machine, folio)
    return split_cached(machine, folio, [(page, 0) for page in range(folio.nr_pages)])


def split_cached(machine: Machine, folio: Folio, parts: Iterable[tuple[int, int]]) -> dict[int, Folio]:
    """
    Split a folio of a file into `parts`, (first page, order), which cover it; nobody maps them at first.

    Those that lie behind the end of the file are freed. Returns the others, by their first page.
    """
    file = folio.file
    assert file is not None
    folio.extra_refs += 1
    unmap_everywhere(machine, folio)
    folio.extra_refs -= 1
    machine.end_split(folio)
    new = {
        first: machine.new_folio(folio.kind, order, file, folio.file_page + first)
        for first, order in parts
        if folio.file_page + first < file.nr_pages
    }
    for part in new.values():
        part.uptodate, part.node = folio.uptodate, folio.node
    return new


@dataclass(frozen=True)
class _Migration:
    """What migration entries keep while a folio is split: where a run was mapped, and which entries might be written."""

    place: Place
    table: Table
    writable: npt.NDArray[np.bool_]


def _split_anon(machine: Machine, folio: Folio) -> dict[int, Folio]:
    exclusive = _exclusive_pages(machine, folio)
    folio.extra_refs += 1
    migrations = [_unmap(machine, folio, place) for place in _places_to_unmap(machine, folio)]
    folio.extra_refs -= 1
    if folio.entries:
        _restore(machine, folio, migrations, exclusive)
        return {}
    slot = folio.slot
    if slot is not None:
        machine.swap.remove(folio)
    machine.end_split(folio)
    new: dict[int, Folio] = {}
    for page, entries in enumerate(_mappers(folio, migrations)):
        if not folio.holds_data(page) and machine.era.policies.split_maps_zero_page:
            _map_zero(entries)
            entries.clear()
        if entries or slot is not None:
            new[page] = part = machine.new_folio(Kind.ANON, 0)
            part.data, part.dirty, part.lazyfree = folio.data >> page & 1, folio.dirty, folio.lazyfree
            part.node = folio.node
            if slot is not None:
                enter_cache(machine, part, slot + page)
            _remap(machine, part, entries, exclusive=bool(exclusive[page]))
    return new


def _places_to_unmap(machine: Machine, folio: Folio) -> list[Place]:
    places = places_of(machine, folio)
    if machine.era.policies.split_stops_at_pmd:
        by_pmd = [at for at, place in enumerate(places) if place.level is Level.PMD]
        return places[: by_pmd[0] + 1] if by_pmd else places
    return places


def _restore(machine: Machine, folio: Folio, migrations: list[_Migration], exclusive: list[int]) -> None:
    """Map a folio again by PTEs that could not be split."""
    for place, table, writable in ((m.place, m.table, m.writable) for m in migrations):
        at = place.page % PMD_PAGES
        table.set(at, folio.number, place.first, place.nr_pages, writable=False)
        table.writable[at : at + place.nr_pages] = writable
        machine.map(Op.MAP, place.mm, place.vma, place.page, folio, place.first, place.nr_pages, Level.PTE)
    for page, flag in enumerate(exclusive):
        if flag:
            machine.counts.set_pages(EXCLUSIVE, folio.number, page, 1, 1)


def _exclusive_pages(machine: Machine, folio: Folio) -> list[int]:
    if not machine.counts.has(EXCLUSIVE):
        return [0] * folio.nr_pages
    pages = machine.counts.pages(EXCLUSIVE, folio.number)
    # For a PMD mapping the first page speaks for all.
    return [1] * folio.nr_pages if folio.huge and pages[0] else pages


def _unmap(machine: Machine, folio: Folio, place: Place) -> _Migration:
    """Take away the entries of a place, as try_to_migrate() does; a PMD entry leaves an empty table."""
    pmd, at = divmod(place.page, PMD_PAGES)
    table = place.mm.tables[pmd]
    if isinstance(table, PmdEntry):
        writable = np.full(PMD_PAGES, table.writable)
        folio.dirty |= table.dirty
        table = place.mm.tables[pmd] = Table()
    else:
        writable = table.writable[at : at + place.nr_pages].copy()
        folio.dirty |= bool(table.dirty[at : at + place.nr_pages].any())
        table.clear(at, at + place.nr_pages)
    machine.unmap(place.mm, place.vma, place.page, folio, place.first, place.nr_pages, place.level)
    return _Migration(place, table, writable)


def _mappers(folio: Folio, migrations: list[_Migration]) -> list[list[tuple[_Migration, int]]]:
    """Return, for each page of the folio, the migration entries that stand for it, as (run, entry of the run)."""
    found: list[list[tuple[_Migration, int]]] = [[] for _ in range(folio.nr_pages)]
    for migration in migrations:
        for entry in range(migration.place.nr_pages):
            found[migration.place.first + entry].append((migration, entry))
    return found


def _map_zero(entries: list[tuple[_Migration, int]]) -> None:
    for migration, entry in entries:
        migration.table.folio[migration.place.page % PMD_PAGES + entry] = ZERO


def _remap(machine: Machine, part: Folio, entries: list[tuple[_Migration, int]], *, exclusive: bool) -> None:
    # An exclusive page is like a new one for its only mapper, so that a log tells of it by FIRST_MAP.
    op = Op.FIRST_MAP if exclusive else Op.MAP
    for migration, entry in entries:
        place = migration.place
        page = place.page + entry
        assert migration.table.folio[page % PMD_PAGES] == NONE
        migration.table.set(page % PMD_PAGES, part.number, 0, 1, writable=bool(migration.writable[entry]))
        machine.map(op, place.mm, place.vma, page, part, 0, 1, Level.PTE)
