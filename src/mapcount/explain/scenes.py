"""Scenarios as evidence: a few steps on the model of a kernel, and what its words and /proc are after each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.machine.backend import ModelBackend
from mapcount.machine.export import log, snapshot
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import run
from mapcount.scenarios.text import step_text
from mapcount.scenarios.values import values_of

if TYPE_CHECKING:
    from mapcount.machine.machine import Machine
    from mapcount.mapping.log import Log
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.scenarios.observation import FolioState, Observation


class Seen(NamedTuple):
    """A step and the state after it."""

    step: str
    observation: Observation

    @property
    def folio(self) -> FolioState:
        """The folio that was there first. Raises LookupError if it is gone."""
        return next(iter(self.observation.folios.values()))

    def word(self, name: str) -> int:
        """Return a word of that folio, as stored."""
        value = self.folio.words[name]
        assert isinstance(value, int)
        return value

    def page_counts(self) -> list[int]:
        """Return `_mapcount` of each page of that folio, without the bias."""
        runs = self.folio.words["_mapcount"]
        assert isinstance(runs, tuple)
        return [value + 1 for value in values_of(runs)]  # type: ignore[arg-type]

    def pages_of(self, process: str) -> int:
        """Return how many pages a process maps."""
        return sum(entry.nr_pages for entry in self.observation.mappings if entry.process == process)


def play(text: str, release: str, *, page_mapcount: bool | None = None, proc: bool = False) -> list[Seen]:
    """Run the lines of a scenario on the model of a kernel; `proc` also reads its /proc."""
    backend = ModelBackend(release, page_mapcount=page_mapcount)
    return [Seen(step_text(step), seen) for step, seen in run(parse(text), backend, proc=proc)]


def log_of(text: str, release: str) -> Log:
    """Return what the lines of a scenario did to mappings, as the model of a kernel decided."""
    return log(_left(text, release))


def snapshot_of(text: str, release: str) -> Snapshot:
    """Return who maps what after the lines of a scenario, on the model of a kernel."""
    return snapshot(_left(text, release))


def _left(text: str, release: str) -> Machine:
    backend, scenario = ModelBackend(release), parse(text)
    backend.begin(scenario.settings)
    for step in scenario.steps:
        backend.do(step)
    return backend.machine
