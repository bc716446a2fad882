"""The deferred split queue, and the shrinkers that split: what is queued, and what reaches behind the end of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_PAGES

if TYPE_CHECKING:
    from mapcount.machine.folios import File, Folio
    from mapcount.machine.machine import Machine


def is_queued(machine: Machine, folio: Folio) -> bool:
    """Tell whether a folio is in the queue: since it was found partially mapped, or since its first fault."""
    return folio.queued or bool(machine.counts.flag("deferred", folio.number))


def shrink(machine: Machine) -> None:
    """
    Split what is queued and partially mapped, or mostly zero, and what reaches behind the end of its file.

    Other folios leave the queue, and so do those that are mostly zero but cannot be split. deferred_split_scan(),
    mm/huge_memory.c; shmem_unused_huge_shrink(), mm/shmem.c.
    """
    for file in {folio.file: None for folio in machine.folios.values() if folio.file is not None}:
        _shrink_file(machine, file)
    queued = [folio for folio in machine.folios.values() if is_queued(machine, folio)]
    while queued:
        queued = [folio for folio in queued if _stays_queued(machine, folio)]


def _stays_queued(machine: Machine, folio: Folio) -> bool:
    """Split a folio if that is called for; tell whether it is to be tried again, as drop_slab() does that goes on and on."""
    is_split = False
    if is_partially_mapped(machine, folio) or _is_underused(machine, folio):
        split_folio(machine, folio)
        is_split = folio.number not in machine.folios
    if is_split or is_partially_mapped(machine, folio):
        return not is_split
    folio.queued = False
    machine.counts.set_flag("deferred", folio.number, 0)
    return False


def _shrink_file(machine: Machine, file: File) -> None:
    """Split the folio that the end of a file lies in, once after such a folio was allocated."""
    folio = file.pages.get(file.nr_pages)
    if file.reaches_behind and folio is not None and folio.file_page < file.nr_pages:
        split_folio(machine, folio)
    file.reaches_behind = False


def is_partially_mapped(machine: Machine, folio: Folio) -> bool:
    """Tell whether a folio that is queued was found partially mapped."""
    # Before there was a flag for it, nothing else was queued.
    if not machine.era.policies.partially_mapped_flag:
        return True
    return bool(machine.counts.flag("partially_mapped", folio.number))


def _is_underused(machine: Machine, folio: Folio) -> bool:
    most = machine.settings.max_ptes_none
    zero = folio.nr_pages - folio.data.bit_count()
    return most < PMD_PAGES - 1 and zero > most
