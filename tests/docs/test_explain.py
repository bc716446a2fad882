"""docs/explanation/explain.md against the list of questions: every one, in order, by its title."""

from __future__ import annotations

from docs.pages import ROOT, sections, table
from mapcount.explain.catalogue import QUESTIONS


def test_every_question_has_a_row():
    rows = table(sections(ROOT / "docs" / "explanation" / "explain.md")["Questions and answers"])
    assert [row[0] for row in rows] == [f"`{question.id}` {question.title}" for question in QUESTIONS]
