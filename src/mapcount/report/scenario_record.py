"""A run of a scenario as records, for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.scenarios.expectations import judge
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import step_text, text
from mapcount.scenarios.values import format_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.scenarios.observation import Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step

RUN_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ScenarioRun:
    """A scenario, the machine it ran on, and what was seen: as many of its steps as were done."""

    scenario: Scenario
    machine: str
    release: str
    page_mapcount: bool
    done: Sequence[tuple[Step, Observation]]
    command: str = ""
    """What to type to see it again."""


@dataclass(frozen=True)
class EntryRecord:
    """Consecutive pages of a folio mapped at consecutive addresses."""

    process: str
    area: str
    page: int
    folio: str
    first: int
    nr_pages: int
    level: str


@dataclass(frozen=True)
class FolioRecord:
    """A folio and its words, as text."""

    order: int
    kind: str
    words: dict[str, str]


@dataclass(frozen=True)
class StepRecord:
    """A step and what was seen after it."""

    text: str
    line: int | None
    result: int
    mappings: list[EntryRecord]
    folios: dict[str, FolioRecord]


@dataclass(frozen=True)
class ExpectRecord:
    """An expectation, and what became of it."""

    text: str
    line: int | None
    after_step: int
    verdict: str
    found: str


@dataclass(frozen=True)
class RunRecord:
    """A run."""

    schema_version: int
    scenario: str
    says: str
    text: str
    machine: str
    release: str
    page_mapcount: bool
    steps: list[StepRecord]
    expectations: list[ExpectRecord]


def record(run: ScenarioRun) -> RunRecord:
    """Return a run as a record."""
    steps: list[StepRecord] = []
    expectations: list[ExpectRecord] = []
    for index, (step, observation) in enumerate(run.done):
        line = run.scenario.lines[index] if run.scenario.lines else None
        if isinstance(step, Expect):
            verdict = verdict_of(step, observation)
            expectations.append(ExpectRecord(step_text(step), line, len(steps), *verdict))
        else:
            steps.append(_step(step, line, observation))
    scenario = run.scenario
    return RunRecord(
        RUN_SCHEMA_VERSION,
        scenario.name,
        scenario.says,
        text(scenario),
        run.machine,
        run.release,
        run.page_mapcount,
        steps,
        expectations,
    )


def verdict_of(expect: Expect, observation: Observation) -> tuple[str, str]:
    """Return `holds`, `fails` or `untold`, and what was found or why it cannot be told."""
    verdict = judge(expect, observation)
    return {True: "holds", False: "fails", None: "untold"}[verdict.holds], verdict.found


def _step(step: Step, line: int | None, observation: Observation) -> StepRecord:
    entries = [
        EntryRecord(
            entry.process, entry.area, entry.page, entry.folio, entry.first, entry.nr_pages, entry.level.name.lower()
        )
        for entry in observation.mappings
    ]
    folios = {
        name: FolioRecord(
            state.order,
            state.kind.name.lower(),
            {word: format_value(value) for word, value in state.words.items()},
        )
        for name, state in observation.folios.items()
    }
    return StepRecord(step_text(step), line, observation.result, entries, folios)
