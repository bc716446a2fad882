"""A hole is punched into a file: whole folios go, large ones that are hit in part are split or zeroed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folio_split import split_cached, split_folio
from mapcount.machine.rmap import unmap_everywhere
from mapcount.schemes.eras import Punch

if TYPE_CHECKING:
    from mapcount.machine.folios import File, Folio
    from mapcount.machine.machine import Machine


def punch(machine: Machine, file: File, first: int, end: int) -> None:
    """
    Take pages `[first, end)` out of a file; copies that private mappings have of them stay.

    shmem_fallocate(), mm/shmem.c; truncate_inode_partial_folio(), mm/truncate.c.
    """
    for folio in _folios(file, first, end):
        if first > folio.file_page or folio.file_page + folio.nr_pages > end:
            _cut(machine, folio, first - folio.file_page, end - folio.file_page)
    for index in [index for index in file.swapped if first <= index < end]:
        machine.swap.put(file.swapped.pop(index).slot)
    for folio in _folios(file, first, end):
        unmap_everywhere(machine, folio, max(0, first - folio.file_page), end - folio.file_page)
        if first <= folio.file_page and folio.file_page + folio.nr_pages <= end:
            machine.drop_cached(folio)


def halves(order: int, page: int) -> list[tuple[int, int]]:
    """Return what is left of a folio that is halved around one of its pages until that is alone: (first page, order)."""
    parts, first = [], 0
    for smaller in range(order - 1, -1, -1):
        middle = first + (1 << smaller)
        if page < middle:
            parts.append((middle, smaller))
        else:
            parts.append((first, smaller))
            first = middle
    return sorted([*parts, (first, 0)])


def _folios(file: File, first: int, end: int) -> list[Folio]:
    cached = [file.pages[page] for page in range(first, min(end, file.nr_pages)) if page in file.pages]
    return list(dict.fromkeys(cached))


def _cut(machine: Machine, folio: Folio, first: int, end: int) -> None:
    """Split a folio of which pages `[first, end)` are to go, and others are not."""
    how = machine.era.policies.punch
    if how is Punch.PAGES:
        split_folio(machine, folio)
    elif how is Punch.HALVES:
        parts = split_cached(machine, folio, halves(folio.order, max(first, 0)))
        for start, part in parts.items():
            if part.order and start <= end < start + part.nr_pages:
                split_cached(machine, part, halves(part.order, end - start))
