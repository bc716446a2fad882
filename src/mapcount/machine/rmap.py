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
    """Return all places where a folio is mapped: by age of the address space, ascending, runs as long as they can be."""
    found: list[Place] = []
    missing = folio.entries
    for mm in machine.mms.values():
        for place in _in_mm(machine, mm, folio.number) if missing else ():
            found.append(place)
            missing -= 1 if place.level else place.nr_pages
    return found


def unmap_everywhere(machine: Machine, folio: Folio) -> None:
    """Empty all entries that map a folio: try_to_unmap(), mm/rmap.c. An anon folio that nothing else refers to is freed."""
    for place in places_of(machine, folio):
        pmd, at = divmod(place.page, PMD_PAGES)
        entry = place.mm.tables[pmd]
        if isinstance(entry, PmdEntry):
            del place.mm.tables[pmd]
        else:
            entry.clear(at, at + place.nr_pages)
        machine.unmap(place.mm, place.vma, place.page, folio, place.first, place.nr_pages, place.level)


def _in_mm(machine: Machine, mm: Mm, number: int) -> Iterator[Place]:
    for pmd in sorted(mm.tables):
        entry = mm.tables[pmd]
        first = pmd * PMD_PAGES
        if isinstance(entry, PmdEntry):
            if entry.folio == number:
                yield Place(mm, machine.vma_of(mm, first), first, 0, PMD_PAGES, Level.PMD)
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
