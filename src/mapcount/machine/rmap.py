"""Where a folio is mapped: the way from a folio to its page-table entries, which a kernel has from its VMAs' trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import PmdEntry
from mapcount.mapping.schema import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.vmas import Vma


@dataclass(frozen=True)
class Place:
    """`nr_pages` pages of a folio from `first` on, mapped from page number `page` on by entries of one level."""

    mm: Mm
    vma: Vma
    page: int
    first: int
    nr_pages: int
    level: Level


def places_of(machine: Machine, folio: Folio) -> list[Place]:
    """
    Return all places where a folio is mapped, runs as long as they can be.

    In the order of the kernel's walk: VMAs by where they begin in their file, or began at first, then by their place there.
    """
    found: list[Place] = []
    missing = folio.entries
    for mm in machine.mms.values():
        for place in _in_mm(machine, mm, folio.number) if missing else ():
            found.append(place)
            missing -= 1 if place.level else place.nr_pages
    return sorted(found, key=lambda place: (place.vma.offset, place.vma.placed, place.page))


def unmap_everywhere(machine: Machine, folio: Folio, first: int = 0, end: int | None = None) -> None:
    """
    Empty all entries that map pages `[first, end)` of a folio, a PMD entry whole: try_to_unmap(), mm/rmap.c.

    An anon folio that nothing else refers to is freed.
    """
    for place in places_of(machine, folio):
        start = max(first, place.first)
        nr_pages = min(folio.nr_pages if end is None else end, place.first + place.nr_pages) - start
        if nr_pages > 0:
            _unmap(machine, folio, place, start, nr_pages)


def _unmap(machine: Machine, folio: Folio, place: Place, first: int, nr_pages: int) -> None:
    pmd, at = divmod(place.page + first - place.first, PMD_PAGES)
    entry = place.mm.tables[pmd]
    if isinstance(entry, PmdEntry):
        del place.mm.tables[pmd]
        machine.unmap(place.mm, place.vma, place.page, folio, 0, entry.nr_pages, entry.level)
    else:
        entry.clear(at, at + nr_pages)
        machine.unmap(place.mm, place.vma, pmd * PMD_PAGES + at, folio, first, nr_pages, Level.PTE)


def _in_mm(machine: Machine, mm: Mm, number: int) -> Iterator[Place]:
    for pmd in sorted(mm.tables):
        entry = mm.tables[pmd]
        first = pmd * PMD_PAGES
        if isinstance(entry, PmdEntry):
            if entry.folio == number:
                yield Place(mm, machine.vma_of(mm, first), first, 0, entry.nr_pages, entry.level)
        elif (entry.folio == number).any():
            for run in entry.runs(0, PMD_PAGES):
                if run.folio == number:
                    page = first + run.at
                    yield from _by_vma(machine, mm, page, run.first, run.nr_pages)


def _by_vma(machine: Machine, mm: Mm, page: int, first: int, nr_pages: int) -> Iterator[Place]:
    while nr_pages:
        vma = machine.vma_of(mm, page)
        here = min(nr_pages, vma.end - page)
        yield Place(mm, vma, page, first, here, Level.PTE)
        page, first, nr_pages = page + here, first + here, nr_pages - here
