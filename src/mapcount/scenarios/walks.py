"""Random walks: steps drawn by a seed, most of which change what is mapped. The same on every version of Python."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from mapcount.mapping.schema import Kind
from mapcount.scenarios.headers import MAX_NODES
from mapcount.scenarios.ranges import AREA_PAGES
from mapcount.scenarios.scenario import FIRST_PROCESS, Scenario, Settings
from mapcount.scenarios.standing import Process, Standing, Stretch
from mapcount.scenarios.steps import (
    AREAS,
    Access,
    Advice,
    Exit,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mapcount.scenarios.steps import Step

    Draw = Callable[["_Walk", str, Process], list[Step]]

_T = TypeVar("_T")

PROCESSES = ("p", "c", "d", "e", "g")
PMD_PAGES = 512
_SPREAD = 2 * PMD_PAGES
"""mremap moves to one of the first pages of an area: page tables are shared, and crossed."""
_SIZES = (1, 1, 1, 2, 2, 3, 5, 8, 16, 33, 100, 256, 512)
_TAKING = {"mprotect": 9, "mremap": 8, "reclaim": 10, "free": 11}
"""How often a folio is taken apart in which way."""
_REMEMBERED = 12
"""Pages touched lately: what is done to others changes little."""
_TRIES = 64
"""Draws that may come to nothing before a step that always does something is taken."""


class _Walk:
    """Where a walk is, and its dice."""

    def __init__(self, seed: int, standing: Standing) -> None:
        self.standing = standing
        self.models = dict(standing.mapped)
        """By area, what is to be mapped there."""
        self.touched: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def below(self, end: int) -> int:
        """Draw a number in `[0, end)`. Of random.Random only randrange gives the same in every version."""
        return self._random.randrange(end)

    def one_of(self, things: Sequence[_T]) -> _T:
        """Draw one of several."""
        return things[self.below(len(things))]

    def weighted(self, weights: Mapping[str, int]) -> str:
        """Draw a key by its weight."""
        at = self.below(sum(weights.values()))
        for name, weight in weights.items():
            at -= weight
            if at < 0:
                return name
        raise AssertionError

    def part(self, stretch: Stretch) -> Span:
        """Draw pages of a stretch, mostly with one among them that was touched lately: of hugetlb whole folios."""
        span, unit = stretch.span, PMD_PAGES if stretch.kind is Kind.HUGETLB else 1
        units = span.nr_pages // unit
        if self.below(8) == 0:
            return span
        size = min(self.one_of(_SIZES), units)
        first = self.below(units - size + 1)
        inside = [page for area, page in self.touched if area == span.area and span.first <= page < span.end]
        if inside and self.below(8):
            at = (self.one_of(inside) - span.first) // unit
            first = max(0, min(at - self.below(size), units - size))
        return Span(span.area, span.first + unit * first, span.first + unit * (first + size))


def walk(seed: int, nr_steps: int, standing: Standing, weights: Mapping[str, int] | None = None) -> Iterator[Step]:
    """
    Yield `nr_steps` steps from here on, over what was mmapped last in each area, and apply each of them to `standing`.

    `weights` says how often a verb of DRAWS is drawn, those left out never (default: WEIGHTS). Something must have been
    mmapped, and a process must be alive.
    """
    state = _Walk(seed, standing)
    waiting: list[Step] = []
    for _ in range(nr_steps):
        if not waiting:
            waiting = _draw(state, WEIGHTS if weights is None else weights)
        step = waiting.pop(0)
        if isinstance(step, Access):
            state.touched.append((step.span.area, step.span.first))
        standing.apply(step)
        yield step


def _draw(state: _Walk, weights: Mapping[str, int]) -> list[Step]:
    for _ in range(_TRIES):
        name = state.one_of(list(state.standing.processes))
        steps = DRAWS[state.weighted(weights)](state, name, state.standing.processes[name])
        if steps:
            return steps
    name, process = next(iter(state.standing.processes.items()))
    return _mmap(state, name, process) or _protect(state, name, process)


def _mmap(state: _Walk, name: str, process: Process) -> list[Step]:
    """Map a hole in what was mapped there last."""
    holes = [
        (hole, model)
        for model in state.models.values()
        if not model.file or model.file in process.files
        for hole in process.holes(model.span)
    ]
    if not holes:
        return []
    hole, model = state.one_of(holes)
    page = model.file_page + hole.first - model.span.first if model.file else 0
    return [Mmap(name, hole, model.kind, model.shared, model.advice, model.file, page)]


def _renew(state: _Walk, name: str, process: Process) -> list[Step]:
    """Map an area anew and write to it: whole folios again, of which parts were gone."""
    model = state.one_of(list(state.models.values()))
    if model.file and model.file not in process.files:
        return []
    steps: list[Step] = [Munmap(name, model.span)] if process.inside(model.span) else []
    page = model.span.first + state.below(model.span.nr_pages)
    anew = Mmap(name, model.span, model.kind, model.shared, model.advice, model.file, model.file_page)
    return [*steps, anew, Access(name, Span(model.span.area, page, page + 1), write=True)]


def _access(state: _Walk, name: str, process: Process, *, write: bool) -> list[Step]:
    usable = (Protection.WRITE,) if write else (Protection.WRITE, Protection.READ)
    stretches = [one for one in process.stretches if one.protection in usable]
    if not stretches:
        return []
    span = state.one_of(stretches).span
    size = min(span.nr_pages, state.one_of((1, 1, 1, 2, 3)))
    first = span.first + state.below(span.nr_pages - size + 1)
    return [Access(name, Span(span.area, first, first + size), write=write)]


def _write(state: _Walk, name: str, process: Process) -> list[Step]:
    return _access(state, name, process, write=True)


def _read(state: _Walk, name: str, process: Process) -> list[Step]:
    return _access(state, name, process, write=False)


def _fork(state: _Walk, name: str, process: Process) -> list[Step]:
    free = [child for child in PROCESSES if child not in state.standing.processes]
    return [Fork(name, free[0])] if free and process.stretches else []


def _exit(state: _Walk, name: str, _process: Process) -> list[Step]:
    return [Exit(name)] if len(state.standing.processes) > 1 else []


def _part(state: _Walk, process: Process) -> Span | None:
    return state.part(state.one_of(process.stretches)) if process.stretches else None


def _munmap(state: _Walk, name: str, process: Process) -> list[Step]:
    span = _part(state, process)
    return [Munmap(name, span)] if span else []


def _madvise(advice: Advice) -> Draw:
    def draw(state: _Walk, name: str, process: Process) -> list[Step]:
        span = _part(state, process)
        return [Madvise(name, span, advice)] if span else []

    return draw


def _collapse(state: _Walk, name: str, process: Process) -> list[Step]:
    """Put together pieces of PMD size: all of a stretch, or one where something was touched lately."""
    found = [(one.span.area, _pieces(one.span)) for one in process.stretches if one.kind is not Kind.HUGETLB]
    found = [(area, pieces) for area, pieces in found if pieces]
    if not found:
        return []
    area, pieces = state.one_of(found)
    if state.below(4):
        touched = {page // PMD_PAGES for of, page in state.touched if of == area}
        pieces = [state.one_of([piece for piece in pieces if piece in touched] or pieces)]
    return [Madvise(name, _whole(area, pieces[0], pieces[-1]), Advice.COLLAPSE)]


def _apart(state: _Walk, name: str, process: Process) -> list[Step]:
    """Map an area anew and write all of it; then take each piece of PMD size apart."""
    model = state.one_of([one for one in state.models.values() if one.kind is Kind.ANON])
    steps: list[Step] = [Munmap(name, model.span)] if process.inside(model.span) else []
    steps += [replace(model, process=name), Access(name, model.span, write=True)]
    for piece in _pieces(model.span):
        steps += _take(state, name, _whole(model.span.area, piece))
    return steps


def _take(state: _Walk, name: str, whole: Span) -> list[Step]:
    """
    Take a folio that a PMD maps apart, then put it together again or not.

    Most of it is given back before it is split: 512 folios of one page would make every later step a long one.
    """
    area, first = whole.area, whole.first
    size = 2 + state.below(7)
    few, rest = Span(area, first, first + size), Span(area, first + size, whole.end)
    part = Span(area, first, first + 1 + state.below(size - 1))
    join = [Madvise(name, whole, Advice.COLLAPSE)] if state.below(3) else []
    how = state.weighted(_TAKING)
    if how == "mprotect":
        return [Mprotect(name, part, Protection.READ)]
    if how == "mremap":
        return [Mremap(name, part, _spare(state), part.first % PMD_PAGES)]
    give_back = Madvise(name, rest, Advice.DONTNEED)
    if how == "reclaim":
        return [give_back, Reclaim(), *join]
    return [give_back, Madvise(name, few, Advice.FREE), Madvise(name, part, Advice.PAGEOUT), *join]


def _whole(area: str, first: int, last: int | None = None) -> Span:
    """Return pieces of PMD size, by their numbers in the area."""
    return Span(area, PMD_PAGES * first, PMD_PAGES * ((first if last is None else last) + 1))


def _pieces(span: Span) -> Sequence[int]:
    """Return the pieces of PMD size that lie within a span, by their number in the area."""
    return range(-(-span.first // PMD_PAGES), span.end // PMD_PAGES)


def _protect(state: _Walk, name: str, process: Process) -> list[Step]:
    if not process.stretches:
        return []
    stretch = state.one_of(process.stretches)
    others = [one for one in (Protection.READ, Protection.WRITE, Protection.NONE) if one is not stretch.protection]
    # What may not be accessed at all is of less interest than what may only be read.
    return [Mprotect(name, state.part(stretch), others[0] if state.below(4) else others[1])]


def _mremap(state: _Walk, name: str, process: Process) -> list[Step]:
    movable = [one for one in process.stretches if one.kind is not Kind.HUGETLB]
    if not movable:
        return []
    span = state.part(state.one_of(movable))
    area = state.one_of([*state.models, _spare(state)])
    # Every second time to the same place within a page table, where a PMD can move as it is.
    page = span.first % PMD_PAGES if state.below(2) else state.below(_SPREAD)
    overlaps = area == span.area and page < span.end and span.first < page + span.nr_pages
    if overlaps or page + span.nr_pages > AREA_PAGES:
        return []
    return [Mremap(name, span, area, page)]


def _migrate(state: _Walk, name: str, process: Process) -> list[Step]:
    span = _part(state, process)
    return [Migrate(name, span, state.below(MAX_NODES))] if span else []


def _spare(state: _Walk) -> str:
    """Return an area where nothing was mmapped."""
    return next(area for area in AREAS if area not in state.models or area == AREAS[-1])


def _file_pages(*, punch: bool) -> Draw:
    def draw(state: _Walk, name: str, process: Process) -> list[Step]:
        if not process.files:
            return []
        file = state.one_of(sorted(process.files))
        pages = state.standing.file_pages[file]
        size = min(state.one_of(_SIZES), pages)
        first = state.below(pages - size + 1)
        touched = _touched_of_file(state, file) if punch else []
        if touched and state.below(8):
            first = max(0, min(state.one_of(touched) - state.below(size), pages - size))
        return [Fallocate(name, file, first, first + size, punch=punch)]

    return draw


def _touched_of_file(state: _Walk, file: str) -> list[int]:
    """Return the pages of a file that were touched lately, where it was mapped last."""
    found = []
    for area, page in state.touched:
        model = state.models.get(area)
        if model and model.file == file and model.span.first <= page < model.span.end:
            found.append(model.file_page + page - model.span.first)
    return found


def _reclaim(_state: _Walk, _name: str, _process: Process) -> list[Step]:
    return [Reclaim()]


DRAWS: Mapping[str, Draw] = {
    "mmap": _mmap,
    "renew": _renew,
    "write": _write,
    "read": _read,
    "fork": _fork,
    "exit": _exit,
    "munmap": _munmap,
    "mprotect": _protect,
    "mremap": _mremap,
    "migrate": _migrate,
    "fallocate": _file_pages(punch=False),
    "punch": _file_pages(punch=True),
    "reclaim": _reclaim,
    **{advice.value: _madvise(advice) for advice in Advice},
    "collapse": _collapse,
    "apart": _apart,
}
"""What a walk can do, drawn for one process: the steps, none if there is nothing to do it to."""

WEIGHTS: Mapping[str, int] = {
    "write": 24,
    "read": 8,
    "fork": 12,
    "exit": 9,
    "munmap": 12,
    "dontneed": 12,
    "mprotect": 12,
    "mremap": 6,
    "mmap": 8,
    "renew": 4,
}


@dataclass(frozen=True)
class Profile:
    """A kind of walk: what is switched on, what is mapped at first, and how often each verb is drawn."""

    says: str
    opening: tuple[Step, ...]
    settings: Settings = Settings()
    weights: Mapping[str, int] = field(default_factory=lambda: WEIGHTS)
    needs: tuple[int, int] = (0, 0)


def _opening(nr_pages: int, area: str = "a", file: str = "", first: int = 0) -> Mmap:
    span = Span(area, first, first + nr_pages)
    kind, advice = Kind.SHMEM if file else Kind.ANON, Advice.HUGEPAGE
    return Mmap(FIRST_PROCESS, span, kind, shared=bool(file), advice=advice, file=file)


_SHMEM_OPENING = (
    Memfd(FIRST_PROCESS, "f", PMD_PAGES),
    _opening(PMD_PAGES, file="f"),
    Access(FIRST_PROCESS, Span("a", 0, 1), write=True),
    _opening(67, "b", "f", 3),
)
_SHMEM_OPENING_AT_C = (Memfd(FIRST_PROCESS, "f", PMD_PAGES), _opening(PMD_PAGES, "c", "f"))
_MIGRATE_WEIGHTS = {**WEIGHTS, "fork": 6, "exit": 9, "migrate": 24, "reclaim": 1}
_FILE_WEIGHTS = {**WEIGHTS, "write": 40, "read": 20, "fork": 8, "exit": 6}
PROFILES: Mapping[str, Profile] = {
    "small": Profile("folios of one page", (Mmap(FIRST_PROCESS, Span("a", 0, 23)),)),
    "2M": Profile("folios of PMD size", (_opening(PMD_PAGES),), weights={**WEIGHTS, "reclaim": 2}),
    "64k": Profile("folios of 64k", (_opening(37),), Settings(anon={4: "madvise"}), needs=(6, 8)),
    "mixed": Profile(
        "folios of PMD size, of 64k and of one page",
        (_opening(PMD_PAGES + 37), Mmap(FIRST_PROCESS, Span("b", 5, 18))),
        Settings(anon={4: "madvise"}),
        needs=(6, 8),
    ),
    "shmem": Profile("a file in memory, mapped twice", _SHMEM_OPENING, Settings(shmem={9: "always"}), _FILE_WEIGHTS),
    "file": Profile(
        "a file in memory, of which parts are taken away",
        _SHMEM_OPENING,
        Settings(shmem={9: "always"}),
        {**_FILE_WEIGHTS, "munmap": 4, "dontneed": 4, "mprotect": 3, "fork": 4, "exit": 4, "fallocate": 4, "punch": 36},
    ),
    "hugetlb": Profile(
        "hugetlb pages",
        (Mmap(FIRST_PROCESS, Span("a", 0, 3 * PMD_PAGES), Kind.HUGETLB),),
        Settings(hugetlb_pages=24),
        {name: weight for name, weight in WEIGHTS.items() if name not in {"mremap", "mprotect"}},
    ),
    "swap": Profile(
        "folios that are swapped out, given back and put together again",
        (_opening(PMD_PAGES + 37),),
        Settings(swap=True),
        {**WEIGHTS, "pageout": 8, "free": 6, "collapse": 6},
    ),
    "migrate": Profile(
        "folios of PMD size, of one page and of a file that are moved between two NUMA nodes",
        (_opening(PMD_PAGES + 37), *_SHMEM_OPENING_AT_C),
        Settings(shmem={9: "always"}, nodes=2),
        _MIGRATE_WEIGHTS,
    ),
    "migrate-64k": Profile(
        "folios of 64k that are moved between two NUMA nodes",
        (_opening(53),),
        Settings(anon={4: "madvise"}, nodes=2),
        _MIGRATE_WEIGHTS,
        needs=(6, 8),
    ),
    "pieces": Profile(
        "folios of PMD size that are taken apart, and put together again",
        (_opening(7 * PMD_PAGES),),
        weights={"write": 6, "apart": 10},
    ),
}


def walk_scenario(profile: str, seed: int, nr_steps: int) -> Scenario:
    """Return a walk of a profile as a scenario; the steps of its opening come on top. KeyError if there is no such profile."""
    about, standing = PROFILES[profile], Standing()
    for step in about.opening:
        standing.apply(step)
    steps = (*about.opening, *walk(seed, nr_steps, standing, about.weights))
    says = f"A random walk of {nr_steps} steps by seed {seed}: {about.says}."
    return Scenario(f"walk-{profile}-{seed}", says, steps, about.settings, about.needs)
