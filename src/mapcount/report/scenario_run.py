"""A run of a scenario, step by step: what changed in every folio, for a terminal, a mail of 72 columns, or a program."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mapcount.report.encoding import indented
from mapcount.report.page_picture import LEGEND, picture
from mapcount.scenarios.changes import changes
from mapcount.scenarios.expectations import judge
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import settings_lines, step_text, text
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.scenarios.changes import FolioChange, WordChange
    from mapcount.scenarios.observation import Mapped, Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step

RUN_SCHEMA_VERSION = 1
MAIL_COLUMNS = 72
_INDENT = " " * 6
_NAME_CELLS = 20
"""The longest name of a word, and a blank."""


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


def lines(run: ScenarioRun, *, width: int) -> Iterator[str]:
    """Yield the run as lines of at most `width` columns, at least 60. Numbers are never cut."""
    yield from _head(run, width)
    before: Observation | None = None
    number = 0
    for step, observation in run.done:
        if isinstance(step, Expect):
            yield from _wrapped(f"{step_text(step)}: {_verdict(step, observation)[1]}", width, _INDENT)
            continue
        number += 1
        yield ""
        yield from _wrapped(f"{step_text(step)}  = {observation.result}", width, f"{number:4}  ")
        for alike in _grouped(changes(before, observation)):
            yield from _folios(alike, width)
        before = observation
    yield ""
    yield from _wrapped(_summary(run), width, "")


def _head(run: ScenarioRun, width: int) -> Iterator[str]:
    yield from _wrapped(f"{run.scenario.name or 'A scenario'}, on: {run.machine}", width, "")
    if run.scenario.says:
        yield from _wrapped(run.scenario.says, width, "")
    if said := settings_lines(run.scenario.settings):
        yield from _wrapped("; ".join(said), width, "")
    if run.command:
        yield from _wrapped(f"$ {run.command}", width, "")
    yield from _wrapped(f"{LEGEND} Words are as stored.", width, "")


def _grouped(found: Sequence[FolioChange]) -> Iterator[list[FolioChange]]:
    """Yield folios one by one, but order-0 folios that changed alike together."""
    alike = groupby(
        found, key=lambda one: one.folio if one.order else (one.kind, one.new, one.gone, one.words, _who(one))
    )
    for _, group in alike:
        yield list(group)


def _who(change: FolioChange) -> tuple[str, ...]:
    return tuple(entry.process for entry in change.entries)


def _folios(alike: Sequence[FolioChange], width: int) -> Iterator[str]:
    one = alike[0]
    state = ", gone" if one.gone else ", new" if one.new else ""
    name = one.folio if len(alike) == 1 else f"{one.folio} ... {alike[-1].folio}, {len(alike)} folios,"
    yield f"      {name} {format_folio_size(one.order)} {one.kind.name.lower()}{state}"
    for word in one.words:
        yield from _word(word, width)
    if not one.moved:
        return
    if one.order:
        yield from picture(one.entries, one.order, width=width, indent=f"{_INDENT}  ")
    else:
        yield from _places([entry for change in alike for entry in change.entries], width)


def _word(change: WordChange, width: int) -> Iterator[str]:
    value = f"{change.before} -> {change.after}" if change.before else change.after
    yield from _wrapped(value, width, f"{_INDENT}  {change.name:{_NAME_CELLS}}")


def _places(entries: Sequence[Mapped], width: int) -> Iterator[str]:
    """Yield where small folios are mapped, process by process, ranges joined."""
    for process, theirs in groupby(sorted(entries), key=lambda entry: entry.process):
        joined: list[tuple[str, int, int]] = []
        for entry in theirs:
            if joined and joined[-1][::2] == (entry.area, entry.page):
                joined[-1] = (entry.area, joined[-1][1], entry.page + 1)
            else:
                joined.append((entry.area, entry.page, entry.page + 1))
        places = ", ".join(f"{area}[{first}:{end}]" for area, first, end in joined)
        yield from _wrapped(f"PTE at {places}", width, f"{_INDENT}  {process} ")


def _verdict(expect: Expect, observation: Observation) -> tuple[str, str]:
    verdict = judge(expect, observation)
    if verdict.holds is None:
        return "untold", f"cannot be told ({verdict.found})"
    return ("holds", "holds") if verdict.holds else ("fails", f"does not hold, found {verdict.found}")


def _summary(run: ScenarioRun) -> str:
    told = [_verdict(step, observation)[0] for step, observation in run.done if isinstance(step, Expect)]
    words = f"{len(run.done) - len(told)} steps"
    if told:
        words += f"; of {len(told)} expectations {told.count('holds')} hold"
        if told.count("untold"):
            words += f", {told.count('untold')} cannot be told on this machine"
    return f"{words}."


def _wrapped(words: str, width: int, head: str) -> list[str]:
    return textwrap.wrap(
        words,
        width,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]


def document(run: ScenarioRun) -> bytes:
    """Return the run as indented JSON: docs/json.md says what is in it."""
    number = 0
    steps: list[dict[str, Any]] = []
    for index, (step, observation) in enumerate(run.done):
        line = run.scenario.lines[index] if run.scenario.lines else None
        about: dict[str, Any] = {"text": step_text(step), "line": line}
        if isinstance(step, Expect):
            verdict, _ = _verdict(step, observation)
            steps.append({"number": number, **about, "verdict": verdict, "found": judge(step, observation).found})
            continue
        number += 1
        steps.append({"number": number, **about, **_observed(observation)})
    scenario = {"name": run.scenario.name, "says": run.scenario.says, "text": text(run.scenario)}
    machine = {"name": run.machine, "release": run.release, "page_mapcount": run.page_mapcount}
    return indented({"schema_version": RUN_SCHEMA_VERSION, "scenario": scenario, "machine": machine, "steps": steps})


def _observed(observation: Observation) -> dict[str, Any]:
    return {
        "result": observation.result,
        "mappings": [
            {
                "process": entry.process,
                "area": entry.area,
                "page": entry.page,
                "folio": entry.folio,
                "first": entry.first,
                "nr_pages": entry.nr_pages,
                "level": entry.level.name.lower(),
            }
            for entry in observation.mappings
        ],
        "folios": {
            name: {"order": state.order, "kind": state.kind.name.lower(), "words": dict(state.words)}
            for name, state in observation.folios.items()
        },
        "kpagecount": dict(observation.kpagecount),
        "proc": list(observation.proc),
    }
