"""A run of a scenario, step by step: what changed in every folio, for a terminal, a mail of 72 columns, or a program."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from mapcount.report.encoding import indented
from mapcount.report.page_picture import LEGEND, by_process, picture
from mapcount.report.scenario_record import ScenarioRun, record, verdict_of
from mapcount.scenarios.changes import changes
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import settings_lines, step_text
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.scenarios.changes import FolioChange, WordChange
    from mapcount.scenarios.observation import Mapped, Observation

MAIL_COLUMNS = 72
LEAST_COLUMNS = 60
_INDENT = " " * 6
_NAME_CELLS = 20
"""The longest name of a word, and a blank."""


def lines(run: ScenarioRun, *, width: int) -> Iterator[str]:
    """Yield the run as lines of at most `width` columns, which is LEAST_COLUMNS or more. Numbers are never cut."""
    yield from _head(run, width)
    before: Observation | None = None
    number = 0
    for step, observation in run.done:
        if isinstance(step, Expect):
            yield from _wrapped(f"{step_text(step)}: {_verdict(step, observation)}", width, _INDENT)
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
    for process, theirs in by_process(entries):
        joined: list[tuple[str, int, int]] = []
        for entry in theirs:
            if joined and joined[-1][::2] == (entry.area, entry.page):
                joined[-1] = (entry.area, joined[-1][1], entry.page + 1)
            else:
                joined.append((entry.area, entry.page, entry.page + 1))
        places = ", ".join(f"{area}[{first}:{end}]" for area, first, end in joined)
        yield from _wrapped(f"PTE at {places}", width, f"{_INDENT}  {process} ")


def _verdict(expect: Expect, observation: Observation) -> str:
    verdict, found = verdict_of(expect, observation)
    return {"holds": "holds", "untold": f"cannot be told ({found})"}.get(verdict, f"does not hold, found {found}")


def _summary(run: ScenarioRun) -> str:
    told = [verdict_of(step, observation)[0] for step, observation in run.done if isinstance(step, Expect)]
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
    """Return the run as indented JSON: docs/reference/json.md says what is in it."""
    return indented(record(run))
