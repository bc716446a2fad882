"""Two machines after the same step: which page-table entries, words, results and numbers of /proc differ.

Folios are matched by the addresses at which they are mapped, never by name or frame. Which is which is remembered, so that a
folio of a file that nobody maps any more is still compared.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mapcount.scenarios.observation import SUMS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mapcount.mapping.schema import Level
    from mapcount.scenarios.observation import FolioState, Mapped, Observation, VmaReading

RESULT, TABLES, IDENTITY, FOLIOS = "result", "page tables", "identity", "folios"
"""Fields that are no words: what the step returned; entries; two folios here that are one there; folios without a partner."""
ORDER, KIND, VMAS, BIT56, KPAGECOUNT = "order", "kind", "VMAs", "bit 56", "kpagecount"
_Pair: TypeAlias = "tuple[Mapped, Mapped]"
_Place: TypeAlias = "tuple[str, int, int, int, Level]"
_Pages: TypeAlias = "dict[tuple[str, int], _Maps]"
"""By area and page, what maps it."""


class _Maps(NamedTuple):
    """The row that has a page's entry, and which page of the folio it is."""

    row: Mapped
    page: int


@dataclass(frozen=True)
class Difference:
    """One field of one thing after a step, on the left machine and on the right one."""

    step: int
    """From 0."""
    subject: str
    """A folio by its name on the left; pages or a VMA of a process, as `c: a[0:16]`; empty for the step itself."""
    field: str
    left: object
    right: object


@dataclass
class Tally:
    """How often each field was compared, and how often only one of the machines had it."""

    compared: Counter[str] = field(default_factory=Counter)
    only_left: Counter[str] = field(default_factory=Counter)
    only_right: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Add another one's counts."""
        self.compared.update(other.compared)
        self.only_left.update(other.only_left)
        self.only_right.update(other.only_right)


class Matcher:
    """Compares the observations of one scenario, in order."""

    def __init__(self) -> None:
        self._right: dict[str, str] = {}
        """Names on the right by names on the left."""
        self.tally = Tally()
        self._step = 0
        self._found: list[Difference] = []

    def compare(self, step: int, left: Observation, right: Observation) -> list[Difference]:
        """Return what differs after a step. Folios are matched by the entries that both machines have."""
        self._step, self._found = step, []
        self._check("", RESULT, left.result, right.result)
        self._match(left, right, list(self._tables(left, right)))
        for here, there in self._right.items():
            if here in left.folios and there in right.folios:
                self._folio(here, left.folios[here], right.folios[there])
                if here in left.kpagecount and there in right.kpagecount:
                    self._check(here, KPAGECOUNT, left.kpagecount[here], right.kpagecount[there])
        if left.proc and right.proc:
            self._proc(left, right)
        return self._found

    def _check(self, subject: str, name: str, here: object, there: object) -> None:
        self.tally.compared[name] += 1
        if here != there:
            self._differs(subject, name, here, there)

    def _differs(self, subject: str, name: str, here: object, there: object) -> None:
        self._found.append(Difference(self._step, subject, name, here, there))

    def _tables(self, left: Observation, right: Observation) -> Iterator[_Pair]:
        """Compare the page tables; yield the rows that map the same pages of a folio at the same addresses."""
        rows = _by_process(left.mappings), _by_process(right.mappings)
        for process in sorted(rows[0].keys() | rows[1].keys()):
            self.tally.compared[TABLES] += 1
            here, there = ({_place(row): row for row in side.get(process, ())} for side in rows)
            yield from ((here[place], there[place]) for place in here if place in there)
            pages = _pages(here.keys() - there.keys(), here), _pages(there.keys() - here.keys(), there)
            yield from self._pages(process, *pages)

    def _pages(self, process: str, here: _Pages, there: _Pages) -> Iterator[_Pair]:
        """Compare page by page what is mapped by rows that the other machine has not."""
        differing = []
        for at in sorted(here.keys() | there.keys()):
            one, other = here.get(at), there.get(at)
            if one and other and (one.page, one.row.level) == (other.page, other.row.level):
                yield one.row, other.row
            else:
                differing.append(at)
        for area, first, end in _stretches(differing, here, there):
            told = (_told(side.get((area, first)), end - first) for side in (here, there))
            self._differs(f"{process}: {span(area, first, end)}", TABLES, *told)

    def _match(self, left: Observation, right: Observation, pairs: Iterable[_Pair]) -> None:
        """Learn which folios are the same, and forget those that are gone; tell where that does not work out."""
        self._right = {here: there for here, there in self._right.items() if here in left.folios}
        left_of = {there: here for here, there in self._right.items()}
        told = set()
        for one, other in pairs:
            here, there = one.folio, other.folio
            if here not in self._right and there not in left_of:
                self._right[here], left_of[there] = there, here
            elif self._right.get(here) != there and (here, there) not in told:
                told.add((here, there))
                subject = f"{one.process}: {span(one.area, one.page, one.page + one.nr_pages)}"
                self._differs(subject, IDENTITY, here, left_of.get(there, "another folio"))
        alone = [name for name in left.folios if self._right.get(name) not in right.folios]
        strangers = [name for name in right.folios if left_of.get(name) not in left.folios]
        self.tally.compared[FOLIOS] += 1
        if alone or strangers:
            self._differs("", FOLIOS, _named(alone, left.folios), _named(strangers, right.folios))

    def _folio(self, subject: str, here: FolioState, there: FolioState) -> None:
        self._check(subject, ORDER, here.order, there.order)
        self._check(subject, KIND, here.kind, there.kind)
        self._fields(subject, here.words, there.words)

    def _fields(self, subject: str, here: Mapping[str, object], there: Mapping[str, object]) -> None:
        for name in here:
            if name in there:
                self._check(subject, name, here[name], there[name])
        self.tally.only_left.update(here.keys() - there.keys())
        self.tally.only_right.update(there.keys() - here.keys())

    def _proc(self, left: Observation, right: Observation) -> None:
        here, there = (
            {(one.process, one.area, one.first, one.end): one for one in seen.proc} for seen in (left, right)
        )
        self._check("", VMAS, *(tuple(_vma(*key) for key in sorted(side)) for side in (here, there)))
        for key in sorted(here.keys() & there.keys()):
            self._fields(_vma(*key), _with_sums(here[key]), _with_sums(there[key]))
            self._check(_vma(*key), BIT56, here[key].mapped_once, there[key].mapped_once)


def span(area: str, first: int, end: int) -> str:
    """Return pages as `a[5]` or `a[0:16]`."""
    return f"{area}[{first}]" if end == first + 1 else f"{area}[{first}:{end}]"


def _vma(process: str, area: str, first: int, end: int) -> str:
    return f"{process}: {span(area, first, end)}"


def _by_process(rows: Iterable[Mapped]) -> dict[str, list[Mapped]]:
    found: dict[str, list[Mapped]] = {}
    for row in rows:
        found.setdefault(row.process, []).append(row)
    return found


def _place(row: Mapped) -> _Place:
    return (row.area, row.page, row.first, row.nr_pages, row.level)


def _pages(places: Iterable[_Place], rows: Mapping[_Place, Mapped]) -> _Pages:
    return {
        (rows[place].area, rows[place].page + i): _Maps(rows[place], rows[place].first + i)
        for place in places
        for i in range(rows[place].nr_pages)
    }


def _stretches(pages: Iterable[tuple[str, int]], here: _Pages, there: _Pages) -> Iterator[tuple[str, int, int]]:
    """Yield (area, first, end) of consecutive pages that, on both sides, consecutive pages of one folio map, or nothing."""
    stretch: tuple[str, int, int] | None = None
    for area, page in pages:
        if (
            stretch
            and (area, page) == (stretch[0], stretch[2])
            and _go_on((area, page), here)
            and _go_on((area, page), there)
        ):
            stretch = (area, stretch[1], page + 1)
            continue
        if stretch:
            yield stretch
        stretch = (area, page, page + 1)
    if stretch:
        yield stretch


def _go_on(at: tuple[str, int], side: _Pages) -> bool:
    """Tell whether what maps a page follows on what maps the page before."""
    one, other = side.get((at[0], at[1] - 1)), side.get(at)
    if one is None or other is None:
        return one is other
    return (one.row.folio, one.page + 1, one.row.level) == (other.row.folio, other.page, other.row.level)


def _told(maps: _Maps | None, nr_pages: int) -> str:
    """Return what maps a stretch, as `f0[3:5] pte`."""
    if maps is None:
        return "not mapped"
    return f"{span(maps.row.folio, maps.page, maps.page + nr_pages)} {maps.row.level.name.lower()}"


def _named(names: list[str], folios: Mapping[str, FolioState]) -> tuple[str, ...]:
    return tuple(f"{name} ({folios[name].kind.name.lower()}, order {folios[name].order})" for name in names)


def _with_sums(reading: VmaReading) -> dict[str, int]:
    sizes = dict(reading.smaps_bytes)
    for name, parts in SUMS.items():
        if all(part in sizes for part in parts):
            sizes.setdefault(name, sum(sizes[part] for part in parts))
    return sizes
