"""Answering: a question with its evidence, found now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given
    from mapcount.explain.question import Question


@dataclass(frozen=True)
class Answer:
    """A question and what was found."""

    question: Question
    evidence: tuple[Part, ...]


def answer(question: Question, given: Given) -> Answer:
    """Find the evidence of a question. Raises what taking a machine's mappings raises."""
    return Answer(question, tuple(question.evidence(given)))
