"""The deferred split queue, and the shrinker that splits what is queued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_PAGES

if TYPE_CHECKING:
    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine


def is_queued(machine: Machine, folio: Folio) -> bool:
    """Tell whether a folio is in the queue: since it was found partially mapped, or since its first fault."""
    return folio.queued or bool(machine.counts.flag("deferred", folio.number))


def shrink(machine: Machine) -> None:
    """
    Split what is queued and partially mapped, or mostly zero; the rest leaves the queue.

    deferred_split_scan(), mm/huge_memory.c. Nobody else refers to a folio of the model, so that every split succeeds.
    """
    for folio in [folio for folio in machine.folios.values() if is_queued(machine, folio)]:
        if is_partially_mapped(machine, folio) or _is_underused(machine, folio):
            split_folio(machine, folio)
        else:
            folio.queued = False
            machine.counts.set_flag("deferred", folio.number, 0)


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
