"""MADV_FREE: anon folios that reclaim may drop without writing them anywhere, as long as nobody writes to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mapcount.machine.advised import advised_folios, is_exclusive
from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import NONE, SWAP, PmdEntry, Table, spans
from mapcount.machine.pmd_split import split_pmd
from mapcount.machine.rmap import places_of
from mapcount.machine.swap import free_swap, zap_entry
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    from mapcount.machine.advised import Advised
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.machine.rmap import Place
    from mapcount.machine.vmas import Vma
    from mapcount.scenarios.steps import Advice

EINVAL = -22


def free(machine: Machine, mm: Mm, vma: Vma, first: int, end: int, advice: Advice) -> int:
    """Let go of what anon memory in `[first, end)` holds: madvise_free_single_vma(), mm/madvise.c."""
    if vma.kind is not Kind.ANON:
        return EINVAL
    for pmd, at, until in spans(first, end):
        for advised in advised_folios(machine, mm, pmd, at, until, advice):
            _free_folio(machine, advised)
        entry = mm.tables.get(pmd)
        if isinstance(entry, Table):
            _zap_swap(machine, entry, at, until)
    return 0


def _free_folio(machine: Machine, advised: Advised) -> None:
    folio, entry = advised.folio, advised.entry
    if isinstance(entry, PmdEntry):
        entry.dirty = False
    else:
        # A folio that is dirty without its entries may hold what somebody else needs.
        if (folio.slot is not None or folio.dirty) and not is_exclusive(machine, folio):
            return
        if folio.slot is not None and not free_swap(machine, folio):
            return
        entry.dirty[advised.at : advised.at + folio.nr_pages] = False
    folio.dirty = False
    folio.lazyfree = True


def _zap_swap(machine: Machine, table: Table, at: int, until: int) -> None:
    slots = table.slots(at, until)
    here = slice(at, until)
    table.folio[here][table.folio[here] == SWAP] = NONE
    for slot in slots:
        zap_entry(machine, slot)


def discard(machine: Machine, folio: Folio) -> None:
    """
    Drop a folio after MADV_FREE, or find that it was written since; then that is over, and what is mapped still stays.

    try_to_unmap_one(), mm/rmap.c.
    """
    for found in places_of(machine, folio):
        place = found
        if found.level and not machine.era.policies.discards_pmd:
            split_pmd(machine, found.mm, found.page // PMD_PAGES)
            place = replace(found, level=Level.PTE)
        clean = _clean_pages(machine, place, folio)
        if clean:
            _unmap(machine, folio, replace(place, nr_pages=clean))
        if clean < place.nr_pages:
            folio.dirty, folio.lazyfree = True, False
            return


def _clean_pages(machine: Machine, place: Place, folio: Folio) -> int:
    """Return how many pages of a place are unmapped before one is found that was written."""
    entry = place.mm.tables[place.page // PMD_PAGES]
    if folio.dirty:
        return 0
    if isinstance(entry, PmdEntry):
        return 0 if entry.dirty else place.nr_pages
    here = slice(place.page % PMD_PAGES, place.page % PMD_PAGES + place.nr_pages)
    dirty = np.flatnonzero(entry.dirty[here])
    if not dirty.size:
        return place.nr_pages
    first = int(dirty[0])
    if not machine.era.policies.discards_in_batches:
        return first
    # A batch has entries that may all be written, or none.
    changes = np.flatnonzero(np.diff(entry.writable[here][: first + 1])) + 1
    return int(changes[-1]) if changes.size else 0


def _unmap(machine: Machine, folio: Folio, place: Place) -> None:
    pmd, at = divmod(place.page, PMD_PAGES)
    entry = place.mm.tables[pmd]
    if isinstance(entry, PmdEntry):
        del place.mm.tables[pmd]
    else:
        entry.clear(at, at + place.nr_pages)
    machine.unmap(place.mm, place.vma, place.page, folio, place.first, place.nr_pages, place.level)
