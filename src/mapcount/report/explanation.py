"""An answered question for people: as asked, in plain words, the evidence, what history did, the sources; and their list."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.padding import Padding

from mapcount.check.cells import model_of
from mapcount.check.trace import trace
from mapcount.explain.evidence import Figures, Race, Says, Verdicts
from mapcount.explain.words import WORDS
from mapcount.report.interleaving import drawing
from mapcount.report.layout import heading, note, sentence
from mapcount.report.races import matrix
from mapcount.report.table import Column, View, tables
from mapcount.report.text import printable
from mapcount.units import format_bytes, format_count, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.explain.answer import Answer
    from mapcount.explain.evidence import Cell, Part, Unit
    from mapcount.explain.question import Asked, Question

_INDENT = (0, 0, 0, 2)


def explanation(answer: Answer, view: View) -> Iterator[RenderableType]:
    """Yield an answer whole, for a page of the view's width."""
    question = answer.question
    yield heading(f"{question.id}: {question.title}")
    for asked in question.asked:
        yield _indented(f"\n{_as_asked(asked)}")
    yield from _paragraphs("In plain words", question.answer)
    yield heading("Evidence, found just now")
    for before, part in zip((None, *answer.evidence), answer.evidence, strict=False):
        # Sentences follow one another; what is drawn stands by itself.
        if before and not (isinstance(before, Says) and isinstance(part, Says)):
            yield sentence("")
        yield from _part(part, view)
    if any(isinstance(part, Race | Verdicts) for part in answer.evidence):
        yield note(
            "Verdicts hold for models of 2 or 4 pages and their writers; what that leaves out: docs/explanation/check.md."
        )
    yield from _paragraphs("What history did", question.history)
    yield from _list("Words", [f"{word}: {WORDS[word]}" for word in question.words], view)
    yield from _list("Sources", question.sources, view)
    yield from _list("Further", question.again, view)


def listing(questions: Sequence[Question]) -> Iterator[RenderableType]:
    """Yield the questions, each with the words that it was asked in."""
    for question in questions:
        yield heading(f"{question.id}: {question.title}")
        for asked in question.asked:
            yield _indented(_as_asked(asked))
    yield note("\nmapcount explain QUESTION answers one, with evidence; --search WORDS finds one.")


def _as_asked(asked: Asked) -> str:
    if not asked.by:
        return f"{asked.words}\n(not asked in the thread)"
    words = f'"{asked.words}"' if asked.verbatim else asked.words
    who = ", ".join(filter(None, (asked.by, asked.when)))
    return f"{words}\n{who}{'' if asked.verbatim else ' (our words)'}"


def _indented(words: str) -> RenderableType:
    return Padding(note(words), _INDENT)


def _paragraphs(title: str, paragraphs: Sequence[str]) -> Iterator[RenderableType]:
    yield heading(title)
    for number, words in enumerate(paragraphs):
        yield sentence(f"\n{words}" if number else words)


def _list(title: str, lines: Sequence[str], view: View) -> Iterator[RenderableType]:
    """Yield lines, what is too long for one going on a little to the right."""
    if lines:
        yield heading(title)
        for line in lines:
            yield note(textwrap.fill(line, view.width, subsequent_indent="  ", break_long_words=False))


def _part(part: Part, view: View) -> Iterator[RenderableType]:
    if isinstance(part, Says):
        yield sentence(printable(part.words))
    elif isinstance(part, Figures):
        yield sentence(f"{printable(part.title)}\n")
        columns = [Column(one.title, text=one.unit == "text") for one in part.columns]
        rows = [[_cell(cell, one.unit) for cell, one in zip(row, part.columns, strict=True)] for row in part.rows]
        yield from tables(columns, rows, width=view.width)
    elif isinstance(part, Verdicts):
        yield sentence(f"{part.title}\n")
        yield from matrix(part.verdicts, view)
    else:
        yield from _race(part, view)


def _race(part: Race, view: View) -> Iterator[RenderableType]:
    yield sentence(f"{part.title}:\n")
    model = model_of(part.verdict.cell)
    yield from drawing(model, trace(model, part.violation.schedule), view)
    yield sentence(f"{part.violation.sentence[:1].upper()}{part.violation.sentence[1:]}.")
    yield note(f"mapcount check --replay {part.verdict.replay_id(part.violation)}")


def _cell(cell: Cell, unit: Unit) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if unit == "bytes":
        return format_bytes(int(cell))
    return format_share(cell, 1) if unit == "share" else format_count(int(cell))
