"""Whether a kernel's counters agree with its page tables: what was observed is held against itself, without any model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np

from mapcount.mapping.schema import Kind, Level
from mapcount.schemes.pages_mapped import ENTIRELY_MAPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mapcount.mapping.schema import I64
    from mapcount.scenarios.observation import FolioState, Mapped, Observation, Runs

_BIAS = 1
"""Most counters are stored one less than they count."""
_SLOTS = 2


@dataclass(frozen=True)
class Disagreement:
    """A word of a folio that is not what follows from the page tables; both as stored."""

    folio: str
    word: str
    kernel: object
    tables: object


@dataclass
class _Truth:
    """What page tables say of one folio."""

    nr_pages: int
    rows: list[Mapped] = field(default_factory=list)
    """Of entries of PTE level."""
    pmds: int = 0
    entries_of: Counter[str] = field(default_factory=Counter)
    """By process; an entry of PMD level is one."""

    @property
    def entries(self) -> int:
        return self.entries_of.total()

    @cached_property
    def ptes(self) -> I64:
        """Of each page, entries of PTE level."""
        ptes = np.zeros(self.nr_pages, np.int64)
        for row in self.rows:
            ptes[row.first : row.first + row.nr_pages] += 1
        return ptes

    @cached_property
    def pages_mapped(self) -> int:
        return int(np.count_nonzero(self.ptes))


class SelfCheck:
    """
    Checks the observations of one scenario, in order.

    What depends on more than page tables is not judged: PG_partially_mapped, the deferred split queue, which of several
    processes has a slot, and whether a folio that more than two processes have mapped is `shared`.
    """

    def __init__(self, *, swap: bool = False) -> None:
        """With `swap` an anon folio may be in the swap cache, which holds a reference for each page."""
        self._swap = swap
        self._crowded: set[str] = set()
        """Folios that more than two processes mapped at a time, since they were last unmapped."""
        self.folios = 0
        """How many states were checked."""

    def check(self, seen: Observation) -> list[Disagreement]:
        """Return what does not agree."""
        truths = _truths(seen.folios, seen.mappings)
        found = []
        for name, folio in seen.folios.items():
            truth = truths[name]
            found += [Disagreement(name, *row) for row in self._rows(name, folio, truth)]
        self._crowded &= seen.folios.keys()
        self.folios += len(seen.folios)
        return found

    def _rows(self, name: str, folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
        yield from self._references(folio, truth)
        if not folio.order:
            yield from _of_one_page(folio, truth)
            return
        self._remember(name, truth)
        yield from _per_page(folio, truth)
        yield from _totals(folio, truth)
        yield from self._shared(name, folio, truth)
        yield from _slots(folio, truth)
        yield from _exclusive(folio, truth)

    def _remember(self, name: str, truth: _Truth) -> None:
        if len(truth.entries_of) > _SLOTS:
            self._crowded.add(name)
        elif not truth.entries:
            self._crowded.discard(name)

    def _references(self, folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
        count = cast("int", folio.words["_refcount"])
        cached = 1 << folio.order
        if folio.kind is Kind.HUGETLB:
            # The page cache holds one reference, later one for each page; a private one is not in it.
            wanted = {truth.entries, truth.entries + 1, truth.entries + cached}
        elif folio.kind in {Kind.SHMEM, Kind.FILE}:
            wanted = {truth.entries + cached}
        else:
            wanted = {truth.entries, truth.entries + cached} if self._swap else {truth.entries}
        if count not in wanted:
            yield "_refcount", count, min(wanted)

    def _shared(self, name: str, folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
        if "shared" not in folio.words:
            return
        shared, processes = folio.words["shared"], len(_in_slots(folio, truth))
        # Never clear with several; without a third one in its past, never set with one.
        if (processes > 1 and not shared) or (processes <= 1 and shared and name not in self._crowded):
            yield "shared", shared, int(processes > 1)


def _truths(folios: Mapping[str, FolioState], mappings: Iterable[Mapped]) -> dict[str, _Truth]:
    truths = {name: _Truth(1 << folio.order) for name, folio in folios.items()}
    for row in mappings:
        truth = truths[row.folio]
        if row.level is Level.PTE:
            truth.rows.append(row)
            truth.entries_of[row.process] += row.nr_pages
        else:
            truth.pmds += 1
            truth.entries_of[row.process] += 1
    return truths


def _of_one_page(folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
    """Check what a large folio has for each page: there are many of these, and little to it."""
    wanted = truth.entries - _BIAS
    if folio.words["_mapcount"] != ((wanted, 1),):
        yield "_mapcount of page 0", folio.words["_mapcount"], wanted
    if truth.entries > 1 and folio.words.get("PG_anon_exclusive") == ((1, 1),):
        yield "PG_anon_exclusive of page 0", 1, 0


def _per_page(folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
    if "_mapcount" not in folio.words:
        return
    wanted = truth.ptes - _BIAS
    if "compound_mapcount" in folio.words:
        # Up to 6.1: each page of a PMD-mapped file folio counts that too; of an anon one, once, if it is double-mapped.
        wanted = wanted + (truth.pmds if folio.kind is not Kind.ANON else cast("int", folio.words["PG_double_map"]))
    kernel = _flat(cast("Runs", folio.words["_mapcount"]))
    if not np.array_equal(kernel, wanted):
        page = int(np.flatnonzero(kernel != wanted)[0])
        yield f"_mapcount of page {page}", int(kernel[page]), int(wanted[page])


def _totals(folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
    wanted = {
        "compound_mapcount": truth.pmds - _BIAS,
        "_entire_mapcount": truth.pmds - _BIAS,
        "_large_mapcount": truth.entries - _BIAS,
    }
    if folio.kind is not Kind.HUGETLB:  # include/linux/rmap.h of 6.12, hugetlb_*_rmap()
        wanted["_nr_pages_mapped"] = truth.pages_mapped + (ENTIRELY_MAPPED if truth.pmds else 0)
    for word, value in wanted.items():
        if word in folio.words and folio.words[word] != value:
            yield word, folio.words[word], value
    if folio.kind is Kind.ANON and "PG_double_map" in folio.words:
        # Set when both levels map; taken back when the last PMD goes, not when the last PTE does (mm/rmap.c of 6.1).
        double = folio.words["PG_double_map"]
        if (double and not truth.pmds) or (truth.pmds and truth.pages_mapped and not double):
            yield "PG_double_map", double, int(not double)


def _in_slots(folio: FolioState, truth: _Truth) -> Counter[str]:
    """Return the entries of each process that the slots are about: hugetlb does without (include/linux/rmap.h of 7.3)."""
    return Counter() if folio.kind is Kind.HUGETLB else truth.entries_of


def _slots(folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
    """A slot counts mappings of its process, perhaps not all: one that had no slot before was not counted then."""
    if "_mm_id" not in folio.words:
        return
    entries_of = _in_slots(folio, truth)
    names = cast("tuple[str | None, str | None]", folio.words["_mm_id"])
    counts = cast("tuple[int, int]", folio.words["_mm_id_mapcount"])
    for name, stored in zip(names, counts, strict=True):
        count, most = stored + _BIAS, entries_of[name] if name else 0
        if not (min(1, most) <= count <= most) or (name and not most):
            yield f"_mm_id_mapcount of {name}", stored, most - _BIAS


def _exclusive(folio: FolioState, truth: _Truth) -> Iterator[tuple[str, object, object]]:
    """A page that is exclusive has one mapping at most; of a folio mapped by a PMD alone the first page stands for all."""
    if "PG_anon_exclusive" not in folio.words:
        return
    exclusive = _flat(cast("Runs", folio.words["PG_anon_exclusive"])) != 0
    if truth.pmds and not truth.pages_mapped and exclusive[1:].any():
        yield "PG_anon_exclusive of tail pages", 1, 0
    several = exclusive & (truth.ptes + truth.pmds > 1)
    if several.any():
        yield f"PG_anon_exclusive of page {int(np.flatnonzero(several)[0])}", 1, 0


def _flat(runs: Runs) -> I64:
    values, lengths = np.array(runs, np.int64).T
    return np.repeat(values, lengths)
