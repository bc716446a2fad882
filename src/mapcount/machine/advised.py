"""Which folios advice on a range is about: those that it covers whole; of others the part is split off where that may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.machine.folio_split import split_folio
from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import PmdEntry, Table
from mapcount.scenarios.steps import Advice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm


@dataclass(frozen=True)
class Advised:
    """A folio that a range covers whole, and the entry that maps it, or the table of those that do, from `at` on."""

    folio: Folio
    entry: PmdEntry | Table
    at: int


def advised_folios(machine: Machine, mm: Mm, pmd: int, at: int, until: int, advice: Advice) -> Iterator[Advised]:
    """
    Yield the folios that entries `[at, until)` of a page table map whole, and perhaps others map as well.

    A large folio that is mapped in part, or by PTEs on kernels up to 6.9, is split unless others seem to map it; then it is
    left out: madvise_cold_or_pageout_pte_range(), madvise_free_pte_range(), mm/madvise.c.
    """
    entry = mm.tables.get(pmd)
    if isinstance(entry, PmdEntry):
        folio = machine.folios.get(entry.folio)
        if folio is None or _is_pmd_shared(machine, folio, advice):
            return
        if until - at == PMD_PAGES:
            yield Advised(folio, entry, 0)
            return
        split_folio(machine, folio)
        if folio.number in machine.folios and advice is not Advice.FREE:
            return
        entry = mm.tables.get(pmd)
    if isinstance(entry, Table):
        yield from _of_table(machine, entry, at, until, advice)


def _of_table(machine: Machine, table: Table, at: int, until: int, advice: Advice) -> Iterator[Advised]:
    splits = machine.era.policies.advice_splits
    asks_first = advice is Advice.FREE and machine.era.policies.free_asks_first_page
    while at < until:
        folio = machine.folios.get(int(table.folio[at]))
        if folio is None:
            at += 1
            continue
        nr_pages = next(table.runs(at, until)).nr_pages
        if folio.order and (nr_pages < folio.nr_pages or splits):
            if not _is_shared(machine, folio, 0 if asks_first else int(table.page[at])):
                split_folio(machine, folio)
                if folio.number not in machine.folios:
                    continue
            if splits:
                return
        else:
            yield Advised(folio, table, at)
        at += nr_pages


def _is_pmd_shared(machine: Machine, folio: Folio, advice: Advice) -> bool:
    # madvise_free_huge_pmd() was more careful: total_mapcount().
    if advice is Advice.FREE and machine.era.policies.advice_asks_page:
        return machine.counts.ask("folio_mapcount", folio.number) != 1
    return _is_shared(machine, folio, 0)


def _is_shared(machine: Machine, folio: Folio, page: int) -> bool:
    if machine.era.policies.advice_asks_page:
        return machine.counts.ask("page_mapcount", folio.number, page) != 1
    return bool(machine.counts.ask("mapped_shared", folio.number))


def is_exclusive(machine: Machine, folio: Folio) -> bool:
    """Tell whether a folio that one process maps whole is mapped by nobody else, as advice asks before it takes it away."""
    return machine.counts.ask("folio_mapcount", folio.number) == folio.nr_pages
