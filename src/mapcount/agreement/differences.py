"""Two machines after the same step: which page-table entries, words, results and numbers of /proc differ.

Folios are matched by the addresses at which they are mapped, never by name or frame. Which is which is remembered, so that a
folio of a file that nobody maps any more is still compared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.scenarios.observation import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mapcount.scenarios.observation import Mapped, Observation, VmaReading

RESULT, TABLES, IDENTITY, FOLIOS = "result", "page tables", "identity", "folios"
"""Fields that are no words: what the step returned; entries; two folios here that are one there; folios without a partner."""


@dataclass(frozen=True)
class Difference:
    """One field of one thing after a step, on the left machine and on the right one."""

    step: int
    """From 0."""
    subject: str
    """A process, a folio by its name on the left, a VMA; empty for the step itself."""
    field: str
    left: object
    right: object


@dataclass
class Tally:
    """How often each field was compared, and which fields only one machine has."""

    compared: Counter[str] = field(default_factory=Counter)
    one_sided: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another one's counts."""
        self.compared.update(other.compared)
        self.one_sided.update(other.one_sided)


class Matcher:
    """Compares the observations of one scenario, in order."""

    def __init__(self) -> None:
        self._right: dict[str, str] = {}
        """Names on the right by names on the left."""
        self.tally = Tally()

    def compare(self, step: int, left: Observation, right: Observation) -> list[Difference]:
        """Return what differs; if page tables do, folios cannot be matched and are not compared."""
        found = []

        def check(subject: str, name: str, here: object, there: object) -> None:
            self.tally.compared[name] += 1
            if here != there:
                found.append(Difference(step, subject, name, here, there))

        check("", RESULT, left.result, right.result)
        processes = sorted({row.process for row in (*left.mappings, *right.mappings)})
        for process in processes:
            check(process, TABLES, _entries(left, process), _entries(right, process))
        if any(one.field == TABLES for one in found):
            return found
        found += self._match(step, left, right)
        for here, there in self._partners(left, right):
            words = left.folios[here].words, right.folios[there].words
            check(here, "order", left.folios[here].order, right.folios[there].order)
            check(here, "kind", left.folios[here].kind, right.folios[there].kind)
            for name in words[0].keys() & words[1].keys():
                check(here, name, words[0][name], words[1][name])
            self.tally.one_sided.update(words[0].keys() ^ words[1].keys())
            if here in left.kpagecount and there in right.kpagecount:
                check(here, "kpagecount", left.kpagecount[here], right.kpagecount[there])
        if left.proc and right.proc:
            for subject, name, one, other in _readings(left, right):
                check(subject, name, one, other)
        return found

    def _match(self, step: int, left: Observation, right: Observation) -> list[Difference]:
        """Learn which folios are the same, and forget those that are gone; return where that does not work out."""
        found = []
        self._right = {here: there for here, there in self._right.items() if here in left.folios}
        left_of = {there: here for here, there in self._right.items()}
        for one, other in zip(left.mappings, right.mappings, strict=True):
            known = self._right.setdefault(one.folio, other.folio), left_of.setdefault(other.folio, one.folio)
            if known != (other.folio, one.folio):
                place = f"{one.process}: {one.area}[{one.page}]"
                found.append(Difference(step, place, IDENTITY, one.folio, left_of.get(known[0], known[0])))
        alone = [name for name in left.folios if self._right.get(name) not in right.folios]
        strangers = [name for name in right.folios if left_of.get(name) not in left.folios]
        self.tally.compared[FOLIOS] += 1
        if alone or strangers:
            found.append(Difference(step, "", FOLIOS, alone, strangers))
        return found

    def _partners(self, left: Observation, right: Observation) -> Iterator[tuple[str, str]]:
        for here in left.folios:
            there = self._right.get(here)
            if there in right.folios:
                assert there is not None
                yield here, there


def _entries(seen: Observation, process: str) -> list[tuple[str, int, int, int, str]]:
    return [_told(row) for row in seen.mappings if row.process == process]


def _told(row: Mapped) -> tuple[str, int, int, int, str]:
    return (row.area, row.page, row.first, row.nr_pages, row.level.name.lower())


def _readings(left: Observation, right: Observation) -> Iterator[tuple[str, str, object, object]]:
    here, there = ({(one.process, one.area, one.first, one.end): one for one in seen.proc} for seen in (left, right))
    yield "", "VMAs", sorted(here), sorted(there)
    for key in sorted(here.keys() & there.keys()):
        process, area, first, end = key
        subject = f"{process}: {area}[{first}:{end}]"
        sizes = _with_sums(here[key]), _with_sums(there[key])
        for name in sorted(sizes[0].keys() & sizes[1].keys()):
            yield subject, name, sizes[0][name], sizes[1][name]
        yield subject, "bit 56", here[key].mapped_once, there[key].mapped_once


def _with_sums(reading: VmaReading) -> Mapping[str, int]:
    sizes = dict(reading.smaps_bytes)
    for name, parts in SUMS.items():
        if all(part in sizes for part in parts):
            sizes.setdefault(name, sum(sizes[part] for part in parts))
    return sizes
