"""What is to be seen of the model: page tables as runs, and every folio's words as the era's kernel stores them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.machine.deferred_split import is_queued
from mapcount.machine.folios import PMD_PAGES
from mapcount.machine.page_tables import PmdEntry
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation
from mapcount.scenarios.steps import place_of
from mapcount.scenarios.values import runs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.machine.folios import Folio
    from mapcount.machine.machine import Machine, Mm
    from mapcount.scenarios.observation import WordValue

_SLOTS = ("_mm_id", "_mm_id_mapcount")


def observe(machine: Machine, result: int) -> Observation:
    """Return the state of a machine: folios that are mapped, and those of files that were. They are named by their numbers."""
    rows = sorted(row for mm in machine.mms.values() for row in _mapped(mm))
    folios = {name_of(folio): FolioState(folio.order, folio.kind, _words(machine, folio)) for folio in _alive(machine)}
    return Observation(result, tuple(rows), folios)


def name_of(folio: Folio) -> str:
    """Return a folio's name."""
    return f"f{folio.number}"


def _alive(machine: Machine) -> Iterator[Folio]:
    for folio in machine.folios.values():
        folio.was_seen = folio.was_seen or folio.entries > 0
        # A file leads to what it holds; nothing leads to anon memory in the swap cache that no page table maps.
        if folio.entries or (folio.was_seen and folio.file is not None):
            yield folio


def _mapped(mm: Mm) -> Iterator[Mapped]:
    for pmd, entry in mm.tables.items():
        if isinstance(entry, PmdEntry):
            if entry.folio >= 0:
                yield Mapped(mm.process, *place_of(pmd * PMD_PAGES), f"f{entry.folio}", 0, entry.nr_pages, entry.level)
            continue
        for run in entry.runs(0, PMD_PAGES):
            area, page = place_of(pmd * PMD_PAGES + run.at)
            yield Mapped(mm.process, area, page, f"f{run.folio}", run.first, run.nr_pages, Level.PTE)


def _words(machine: Machine, folio: Folio) -> dict[str, WordValue]:
    counts, number = machine.counts, folio.number
    absent = _absent(folio, counts_pages=not folio.order or "page_mapcount" in counts.scheme.functions)
    words: dict[str, WordValue] = {}
    for place_ in counts.scheme.scheme.places:
        name = place_.word.name
        if name in absent or "[" in name or name.startswith("FOLIO_MM_IDS"):
            continue
        if counts.is_page_word(name):
            words[name] = runs_of(counts.pages(name, number))
        elif folio.order:
            words[name] = counts.word(name, number)
    if folio.order:
        words |= _slots(machine, folio)
    if folio.order > 1 and folio.kind is Kind.ANON:
        words["deferred"] = int(is_queued(machine, folio))
        if machine.era.policies.partially_mapped_flag:
            words["PG_partially_mapped"] = counts.flag("partially_mapped", number)
    words["_refcount"] = machine.refcount(folio)
    return words


def _absent(folio: Folio, *, counts_pages: bool) -> set[str]:
    """Return the words of the scheme that mean nothing for this folio: a kernel has something else there, or nothing."""
    absent = set()
    if folio.kind is not Kind.ANON:
        absent.add("PG_anon_exclusive")
    if folio.kind is Kind.HUGETLB:
        absent |= {"_mapcount", "PG_double_map"}
    if not counts_pages:
        absent.add("_mapcount")
    return absent


def _slots(machine: Machine, folio: Folio) -> dict[str, WordValue]:
    counts, number = machine.counts, folio.number
    if not counts.has("_mm_id[0]"):
        return {}
    names = {mm.number + 1: mm.process for mm in machine.mms.values()}
    ids = [counts.word(f"_mm_id[{slot}]", number) for slot in (0, 1)]
    return {
        "_mm_id": (names.get(ids[0]), names.get(ids[1])),
        "_mm_id_mapcount": (
            counts.word("_mm_id_mapcount[0]", number),
            counts.word("_mm_id_mapcount[1]", number),
        ),
        "shared": counts.word("FOLIO_MM_IDS_SHARED", number),
    }
