"""docs/explanation/explain.md against the list of questions: every one, in order, by its title."""

from __future__ import annotations

from docs.pages import ROOT, blocks, sections, table
from explain.given import no_machine
from mapcount.explain.answer import answer
from mapcount.explain.catalogue import QUESTIONS, find
from mapcount.report.explanation import explanation
from mapcount.report.table import View
from mapcount.report.terminal import render


def test_every_question_has_a_row():
    rows = table(sections(ROOT / "docs" / "explanation" / "explain.md")["Questions and answers"])
    assert [row[0] for row in rows] == [f"`{question.id}` {question.title}" for question in QUESTIONS]


def test_the_answer_that_is_shown_is_what_is_answered():
    [shown] = blocks(ROOT / "docs" / "explain.md", "text")
    _, evidence, _ = shown.split("...\n")
    told = render(explanation(answer(find("whole-folio"), no_machine()), View()), width=80, colour=False)
    assert evidence in told
