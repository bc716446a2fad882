"""The page of `check`: the matrix of schemes and callers, what is violated, and the shortest interleavings drawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mapcount.check.cells import model_of
from mapcount.check.contexts import CONTEXTS
from mapcount.check.harm import Class
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES
from mapcount.check.trace import trace
from mapcount.report.html.page import Chart, Column, Facts, Page, Section, Series, Table, Text
from mapcount.report.interleaving import interleaving
from mapcount.report.races import MEANINGS, mark_of, matrix_rows
from mapcount.report.table import View
from mapcount.report.terminal import render
from mapcount.report.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.contexts import Context
    from mapcount.check.verdicts import Verdict, Violation
    from mapcount.report.html.page import Tone

MOST_DRAWN = 60
_WIDTH = 100
_SEVERITY = list(Class)
_TONES: dict[str, Tone] = {
    "true": "whole",
    "stale": "whole-shared",
    "fine": "plain",
    "guess": "part",
    "TORN": "part-shared",
    "recheck": "second",
    "bound": "unknown",
    "HARM": "waste",
}


def check_page(verdicts: Sequence[Verdict]) -> Page:
    """Return the page of these verdicts; the first MOST_DRAWN violations have their interleaving."""
    found = [(verdict, broken) for verdict in verdicts for broken in verdict.violations]
    found.sort(key=lambda one: -_SEVERITY.index(one[0].kind_of(one[1])))
    models = [verdict for verdict in verdicts if not verdict.cannot]
    sections = (
        _matrix(verdicts),
        _by_scheme(models),
        _violations(found),
        _drawings(found[:MOST_DRAWN]),
        _names(),
    )
    states = sum(verdict.states for verdict in models)
    ways = len({one.cell.scheme for one in models})
    size = (
        f"{plural(len(models), 'model')} of {plural(ways, 'way')} of counting, {states:,} states: every interleaving."
    )
    return Page(
        command="check",
        title="What a reader may see while others map and unmap",
        lead=[
            size,
            "A verdict holds for the pages, writers, locks and memory model of its model.",
        ],
        sections=[section for section in sections if section.blocks],
    )


def _matrix(verdicts: Sequence[Verdict]) -> Section:
    contexts, rows = matrix_rows(verdicts)
    columns = [
        Column("scheme", "scheme", "text"),
        Column("pages", "pages", "text", "of the folio; two sizes where every mark is the same"),
    ]
    columns += [
        Column(context, context, "text", CONTEXTS[context].function if context in CONTEXTS else "")
        for context in contexts
    ]
    return Section(
        "matrix",
        "Scheme and caller",
        "A row is a way of counting and the pages of a folio, a column a caller that reads.",
        [
            Table("matrix", "Verdicts", columns, rows),
            Facts("marks", "What the words mean", list(MEANINGS.items())),
        ],
    )


def _by_scheme(models: Sequence[Verdict]) -> Section:
    counts: dict[str, Counter[str]] = {}
    for verdict in models:
        counts.setdefault(verdict.cell.scheme, Counter())[mark_of(verdict)] += 1
    met = [mark for mark in _TONES if any(marks[mark] for marks in counts.values())]
    rows = [[scheme, *(marks[mark] for mark in met)] for scheme, marks in counts.items()]
    table = Table(
        "by-scheme",
        "Models by verdict",
        [Column("scheme", "scheme", "text"), *(Column(m, m) for m in met)],
        rows,
        folded=True,
    )
    series = [Series(mark, mark, _TONES[mark]) for mark in met]
    chart = Chart("verdicts", "Models by verdict", "bars", "by-scheme", ["scheme"], series, "count", stacked=True)
    return Section(
        "by-scheme",
        "How many of each",
        "A bar is a way of counting, its parts are models by their verdict; the longer true and stale are, the better.",
        [chart, table] if rows else [],
    )


def _violations(found: Sequence[tuple[Verdict, Violation]]) -> Section:
    columns = [
        Column("model", "model", "text", "scheme/caller/writers/pages"),
        Column("property", "property", "text"),
        Column("class", "class", "text", "what it amounts to"),
        Column("steps", "steps", "count", "of the shortest interleaving"),
        Column("told", "what went wrong", "text"),
        Column("replay", "replay", "text", "mapcount check --replay"),
    ]
    rows = [
        [
            str(verdict.cell),
            broken.property,
            verdict.kind_of(broken).value,
            len(broken.schedule),
            broken.sentence,
            verdict.replay_id(broken),
        ]
        for verdict, broken in found
    ]
    return Section(
        "violations",
        "What is violated",
        "A row is a property that a caller relies on and that does not hold; the text on the right replays it.",
        [Table("violations", "Violations", columns, rows)] if rows else [],
    )


def _drawings(found: Sequence[tuple[Verdict, Violation]]) -> Section:
    blocks = [
        Text(
            f"drawing-{number}",
            f"{verdict.cell}: {broken.property}",
            _drawing(verdict, broken),
        )
        for number, (verdict, broken) in enumerate(found)
    ]
    return Section(
        "drawings",
        "Interleavings",
        "A column is a CPU, a line one access to a shared word, from top to bottom in time; on the right what was true then.",
        blocks,
        [f"The first {MOST_DRAWN} violations at most are drawn; the others are replayed on the command line."],
    )


def _drawing(verdict: Verdict, broken: Violation) -> list[str]:
    model = model_of(verdict.cell)
    parts = interleaving(model, trace(model, broken.schedule), View(width=_WIDTH))
    drawn = render(parts, width=_WIDTH, colour=False).splitlines()
    return [f"{verdict.cell}: {broken.property}", broken.sentence, *drawn]


def _relies(context: Context) -> str:
    return "; ".join(f"{name} ({harm.kind.value}): {harm.damage}" for name, harm in context.relies.items())


def _names() -> Section:
    callers = [
        (
            one.id,
            f"{one.function}; locks: {', '.join(one.locks) or 'none'}. {_relies(one)}. {one.source}",
        )
        for one in CONTEXTS.values()
    ]
    properties = [(one.id, one.meaning) for one in READER_PROPERTIES.values()]
    properties += [(one.id, one.meaning) for one in REST_PROPERTIES.values()]
    return Section(
        "names",
        "Callers and properties",
        "Who reads, under which locks and what for; and what each property means.",
        [Facts("callers", "Callers", callers), Facts("properties", "Properties", properties)],
    )
