"""The model as a backend: one function a verb. A new verb is one line here and one file beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mapcount.machine.access import access
from mapcount.machine.deferred_split import shrink
from mapcount.machine.fork import fork
from mapcount.machine.machine import Machine
from mapcount.machine.madvise import madvise
from mapcount.machine.migration import migrate
from mapcount.machine.mmap import fallocate, memfd, mmap
from mapcount.machine.mprotect import mprotect
from mapcount.machine.mremap import mremap
from mapcount.machine.observe import observe
from mapcount.machine.readings import read_proc
from mapcount.machine.zap import exit_mm, munmap
from mapcount.scenarios import steps
from mapcount.scenarios.scenario import FIRST_PROCESS, Settings
from mapcount.scenarios.steps import page_number
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.machine.machine import Mm
    from mapcount.scenarios.observation import Observation


class ModelBackend:
    """
    The model of a kernel release: its policies, and its way of counting (or `scheme_id`, which then decides as well).

    Raises UsageError for a release that is not known, or a scheme that does not exist.
    """

    def __init__(self, release: str, *, page_mapcount: bool | None = None, scheme_id: str | None = None) -> None:
        self.release = release
        self.era = era_of(release, page_mapcount=page_mapcount)
        self.page_mapcount = page_mapcount is not False
        self.scheme = find_scheme(scheme_id or self.era.scheme)
        self.machine = Machine(self.era, self.scheme)

    @property
    def name(self) -> str:
        """`model of 6.12`, and how it counts if not as its era does."""
        version = ".".join(map(str, self.era.version))
        other = f" counting by {self.scheme.id}" if self.scheme.id != self.era.scheme else ""
        return f"model of {version}{'' if self.page_mapcount else ' without page mapcounts'}{other}"

    def begin(self, settings: Settings) -> None:
        """Start anew with one process."""
        self.machine = Machine(self.era, self.scheme, settings)
        self.machine.new_mm(FIRST_PROCESS)

    def do(self, step: steps.Step) -> int:
        """Carry out a step; return its result."""
        machine = self.machine
        machine.batch += 1
        if isinstance(step, steps.Reclaim):
            shrink(machine)
            return 0
        return _VERBS[type(step)](machine, machine.mms[step.process], step)

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return the state; UsageError if `proc` is asked of a scheme that cannot answer what this era's /proc asks."""
        seen = observe(self.machine, result)
        if not proc:
            return seen
        readings, kpagecount = read_proc(self.machine)
        return replace(seen, proc=readings, kpagecount=kpagecount)

    def end(self) -> None:
        """End all processes."""
        for mm in list(self.machine.mms.values()):
            exit_mm(self.machine, mm)


def _ends(span: steps.Span) -> tuple[int, int]:
    first = page_number(span.area, span.first)
    return first, first + span.nr_pages


def _munmap(machine: Machine, mm: Mm, step: steps.Munmap) -> int:
    munmap(machine, mm, *_ends(step.span))
    return 0


def _fork(machine: Machine, mm: Mm, step: steps.Fork) -> int:
    fork(machine, mm, step.child)
    return 0


def _exit(machine: Machine, mm: Mm, _step: steps.Exit) -> int:
    exit_mm(machine, mm)
    return 0


_VERBS: dict[type, Callable[[Machine, Mm, Any], int]] = {
    steps.Mmap: lambda machine, mm, step: mmap(machine, mm, step, _ends(step.span)[0]),
    steps.Memfd: lambda _machine, mm, step: memfd(mm, step.file, step.nr_pages),
    steps.Fallocate: fallocate,
    steps.Access: lambda machine, mm, step: access(machine, mm, *_ends(step.span), write=step.write),
    steps.Munmap: _munmap,
    steps.Madvise: lambda machine, mm, step: madvise(machine, mm, *_ends(step.span), step.advice),
    steps.Mprotect: lambda machine, mm, step: mprotect(machine, mm, *_ends(step.span), step.protection),
    steps.Mremap: lambda machine, mm, step: mremap(
        machine, mm, *_ends(step.span), page_number(step.to_area, step.to_page)
    ),
    steps.Migrate: lambda machine, mm, step: migrate(machine, mm, *_ends(step.span), step.node),
    steps.Fork: _fork,
    steps.Exit: _exit,
}
