"""An answered question, and the list of them, as records for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mapcount.explain.evidence import Figures, Race, Says, Verdicts
from mapcount.report.encoding import indented
from mapcount.report.races_record import RaceModel
from mapcount.report.races_record import record as race_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.explain.answer import Answer
    from mapcount.explain.evidence import Part
    from mapcount.explain.question import Question

EXPLANATION_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class AskedRecord:
    """How a question was asked."""

    words: str
    by: str
    when: str
    verbatim: bool


@dataclass(frozen=True)
class QuestionRecord:
    """A question, without its answer."""

    id: str
    title: str
    asked: list[AskedRecord]


@dataclass(frozen=True)
class ColumnRecord:
    """A column of a table."""

    title: str
    unit: str


@dataclass(frozen=True)
class EvidenceRecord:
    """One piece of evidence."""

    kind: str
    text: str
    columns: list[ColumnRecord] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    models: list[RaceModel] = field(default_factory=list)


@dataclass(frozen=True)
class AnswerRecord:
    """A question, its answer, and what was found."""

    schema_version: int
    question: QuestionRecord
    answer: list[str]
    evidence: list[EvidenceRecord]
    history: list[str]
    words: list[str]
    sources: list[str]
    again: list[str]


@dataclass(frozen=True)
class QuestionList:
    """The questions."""

    schema_version: int
    questions: list[QuestionRecord]


def document(answer: Answer) -> bytes:
    """Return an answer as indented JSON: docs/reference/json.md says what is in it."""
    return indented(answer_record(answer))


def list_document(questions: Sequence[Question]) -> bytes:
    """Return the list of questions as indented JSON."""
    return indented(QuestionList(EXPLANATION_SCHEMA_VERSION, [_question(question) for question in questions]))


def answer_record(answer: Answer) -> AnswerRecord:
    """Return an answer as a record."""
    question = answer.question
    return AnswerRecord(
        EXPLANATION_SCHEMA_VERSION,
        _question(question),
        list(question.answer),
        [_evidence(part) for part in answer.evidence],
        list(question.history),
        list(question.words),
        list(question.sources),
        list(question.again),
    )


def _question(question: Question) -> QuestionRecord:
    asked = [AskedRecord(one.words, one.by, one.when, one.verbatim) for one in question.asked]
    return QuestionRecord(question.id, question.title, asked)


def _evidence(part: Part) -> EvidenceRecord:
    if isinstance(part, Says):
        return EvidenceRecord("sentence", part.words)
    if isinstance(part, Figures):
        columns = [ColumnRecord(one.title, one.unit) for one in part.columns]
        titles = [one.title for one in part.columns]
        rows = [dict(zip(titles, row, strict=True)) for row in part.rows]
        return EvidenceRecord("figures", part.title, columns=columns, rows=rows)
    if isinstance(part, Verdicts):
        return EvidenceRecord("verdicts", part.title, models=[race_record(one) for one in part.verdicts])
    assert isinstance(part, Race)
    return EvidenceRecord("race", part.title, models=[race_record(part.verdict)])
