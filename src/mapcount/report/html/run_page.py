"""The page of `run`: a scenario step by step, who maps which pages after each, and what every word of a folio became."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapcount.mapping.schema import Kind
from mapcount.report.html.page import Chart, Column, Custom, Facts, Page, Section, Series, Table, Text
from mapcount.report.page_picture import by_process
from mapcount.report.scenario_record import verdict_of
from mapcount.report.text import plural
from mapcount.scenarios.changes import changes, words_text
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import step_text, text
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.report.scenario_record import ScenarioRun
    from mapcount.scenarios.observation import Mapped, Observation


def run_page(run: ScenarioRun) -> Page:
    """Return the page of a run: as many of its steps as were done."""
    steps = [(step_text(step), seen) for step, seen in run.done if not isinstance(step, Expect)]
    name = run.scenario.name or "A scenario"
    sections = (_steps() if steps else None, _timeline(steps), _words(steps), _expectations(run), _scenario(run))
    lead = [run.scenario.says, f"{plural(len(steps), 'step')}, on: {run.machine}.", *_expected(run)]
    return Page(
        command="run",
        title=f"{name}, on: {run.machine}",
        lead=[words for words in lead if words],
        sections=[section for section in sections if section],
        packed={"steps": list(_states(steps))} if steps else None,
    )


def _steps() -> Section:
    return Section(
        "steps",
        "Step by step",
        "Choose a step, or move with the arrow keys: on the right is the state after it. A strip is the pages of a folio, from "
        "left to right, as one process maps them: high where by a PMD, low where by PTEs. What the step changed is marked.",
        [Custom("steps", "steps-player", "Steps", None)],
        [
            "Words are as stored: the kernel keeps some counts off by one. A value*pages is a stretch of pages with one value."
        ],
    )


def _states(steps: Sequence[tuple[str, Observation]]) -> Iterator[dict[str, Any]]:
    """Yield the state after each step for js/steps.js: folios with their words, and entries by process."""
    before: Observation | None = None
    for words, seen in steps:
        changed = {change.folio: change for change in changes(before, seen)}
        entries = _entries(seen)
        folios = [
            {
                "name": name,
                "order": state.order,
                "title": f"{name}: {state.kind.name.lower()} {format_folio_size(state.order)}",
                "new": name in changed and changed[name].new,
                "moved": name in changed and changed[name].moved,
                "words": words_text(state, entries.get(name, [])),
                "changed": [word.name for word in changed[name].words] if name in changed else [],
                "entries": [_entry(entry) for _, theirs in by_process(entries.get(name, [])) for entry in theirs],
            }
            for name, state in seen.folios.items()
        ]
        gone = [name for name, change in changed.items() if change.gone]
        yield {"text": words, "result": seen.result, "folios": folios, "gone": gone}
        before = seen


def _entries(seen: Observation) -> dict[str, list[Mapped]]:
    entries: dict[str, list[Mapped]] = {}
    for entry in seen.mappings:
        entries.setdefault(entry.folio, []).append(entry)
    return entries


def _entry(entry: Mapped) -> list[Any]:
    return [entry.process, entry.area, entry.page, entry.first, entry.first + entry.nr_pages, entry.level.name]


def _timeline(steps: Sequence[tuple[str, Observation]]) -> Section | None:
    if not steps:
        return None
    columns = (
        Column("step", "step", "number"),
        Column("text", "what it did", "text"),
        Column("mapped", "pages mapped", "count", "by somebody, each once"),
        Column("mappings", "page mappings", "count", "a PMD counts one for each page"),
        Column("unmapped", "anon pages mapped by nobody", "count", "of large anon folios of which some page is mapped"),
        Column("large", "large folios"),
        Column("small", "order-0 folios"),
    )
    cells = [[number, words, *_counts(seen)] for number, (words, seen) in enumerate(steps, 1)]
    pages = [
        Series("mapped", "pages mapped", "whole"),
        Series("mappings", "page mappings", "whole-shared"),
        Series("unmapped", "anon pages mapped by nobody", "waste"),
    ]
    folios = [Series("large", "large folios", "plain"), Series("small", "order-0 folios", "third")]
    return Section(
        "timeline",
        "Over the steps",
        "From left to right the steps; a point is the state after one. Where mappings lie above pages mapped, pages are "
        "shared; anon pages that nobody maps are wasted.",
        [
            Chart("timeline-chart", "Pages, by step", "lines", "timeline-table", ("step",), pages, "count"),
            Chart("folios-chart", "Folios, by step", "lines", "timeline-table", ("step",), folios, "count"),
            Table("timeline-table", "Over the steps", columns, cells, folded=True),
        ],
    )


def _counts(seen: Observation) -> list[int]:
    mapped: dict[str, set[int]] = {}
    for entry in seen.mappings:
        mapped.setdefault(entry.folio, set()).update(range(entry.first, entry.first + entry.nr_pages))
    large = [name for name, state in seen.folios.items() if state.order]
    anon = [name for name in large if seen.folios[name].kind is Kind.ANON and name in mapped]
    return [
        sum(map(len, mapped.values())),
        sum(entry.nr_pages for entry in seen.mappings),
        sum((1 << seen.folios[name].order) - len(mapped[name]) for name in anon),
        len(large),
        len(seen.folios) - len(large),
    ]


def _words(steps: Sequence[tuple[str, Observation]]) -> Section | None:
    columns = (
        Column("step", "step", "number"),
        Column("text", "what it did", "text"),
        Column("folio", "folio", "text"),
        Column("size", "size", "text"),
        Column("word", "word", "text"),
        Column("before", "before", "text"),
        Column("after", "after", "text"),
    )
    cells: list[list[Any]] = []
    before: Observation | None = None
    for number, (words, seen) in enumerate(steps, 1):
        for change in changes(before, seen):
            head = [number, words, change.folio, format_folio_size(change.order)]
            cells += [[*head, word.name, word.before, word.after] for word in change.words]
        before = seen
    if not cells:
        return None
    return Section(
        "words",
        "Every change of a word",
        "A row is a word of a folio that a step changed; empty before: the folio was not there. Filter by a folio or a word.",
        [Table("words-table", "Changes of words", columns, cells)],
    )


def _expected(run: ScenarioRun) -> list[str]:
    told = [verdict_of(step, seen)[0] for step, seen in run.done if isinstance(step, Expect)]
    if not told:
        return []
    untold = f", {told.count('untold')} cannot be told on this machine" if "untold" in told else ""
    return [f"Of {plural(len(told), 'expectation')} {told.count('holds')} hold{untold}."]


def _expectations(run: ScenarioRun) -> Section | None:
    cells: list[list[Any]] = []
    number = 0
    for step, seen in run.done:
        if isinstance(step, Expect):
            cells.append([number, step_text(step), *verdict_of(step, seen)])
        else:
            number += 1
    if not cells:
        return None
    columns = (
        Column("step", "after step", "number"),
        Column("text", "expected", "text"),
        Column("verdict", "verdict", "text"),
        Column("found", "found", "text"),
    )
    how = "What the scenario expects after a step: it holds, fails, or cannot be told on this machine."
    return Section("expectations", "Expectations", how, [Table("expectations-table", "Expectations", columns, cells)])


def _scenario(run: ScenarioRun) -> Section:
    lines = [("machine", f"{run.machine} ({run.release})"), ("page mapcounts", "yes" if run.page_mapcount else "no")]
    if run.command:
        lines.append(("command", run.command))
    facts = Facts("scenario-facts", "Where it ran", lines)
    written = Text("scenario-text", "The scenario", text(run.scenario).splitlines())
    return Section("scenario", "The scenario", "Save this to a file, and mapcount run FILE runs it.", [facts, written])
