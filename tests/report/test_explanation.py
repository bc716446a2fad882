"""Answers for people and for programs: every one fits, holds what was found, and cuts no number."""

from __future__ import annotations

import json

import pytest

from explain.given import GIVEN
from mapcount.explain.answer import Answer, answer
from mapcount.explain.catalogue import QUESTIONS
from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.report.explanation import explanation, listing
from mapcount.report.explanation_record import answer_record, document
from mapcount.report.table import View
from mapcount.report.terminal import render


@pytest.fixture(scope="module", params=QUESTIONS, ids=[question.id for question in QUESTIONS])
def answered(request):
    return answer(request.param, GIVEN)


@pytest.mark.parametrize("width", [80, 72])
def test_it_fits_and_no_name_is_cut(answered, width):
    text = render(explanation(answered, View(width=width)), width=width, colour=False)

    assert max(map(len, text.splitlines())) <= width
    for part in answered.evidence:
        if isinstance(part, Figures):
            for row in part.rows:
                for cell in row:
                    assert not isinstance(cell, str) or cell in text, cell
                    assert type(cell) is not int or f"{cell:,}" in text or "bytes" in {c.unit for c in part.columns}
    order = ["In plain words", "Evidence", "What history did", "Words", "Sources", "Further"]
    places = [text.index(f"\n{title}") for title in order]
    assert places == sorted(places)


def test_the_record_holds_all(answered):
    told = json.loads(document(answered))

    assert len(told["evidence"]) == len(answered.evidence) >= 1
    assert told["answer"] == list(answered.question.answer)
    assert {one["kind"] for one in told["evidence"]} <= {"sentence", "figures", "verdicts", "race"}


def test_units():
    part = Figures(
        "T",
        (Heading("a", "text"), Heading("b", "bytes"), Heading("c", "share"), Heading("d")),
        (("x", 2048, 0.5, None),),
    )
    made = Answer(QUESTIONS[0], (part, Says("so")))

    text = render(explanation(made, View()), width=80, colour=False)
    assert "x  2 KiB  50.0%  -" in text
    assert answer_record(made).evidence[0].rows == [{"a": "x", "b": 2048, "c": 0.5, "d": None}]


def test_only_what_was_said_stands_in_quotes():
    for question in QUESTIONS:
        text = " ".join(render(listing([question]), width=200, colour=False).split())
        for asked in question.asked:
            assert (f'"{asked.words}"' in text) == asked.verbatim
            assert (f"{asked.by}, {asked.when}" if asked.by else "not asked in the thread") in text


def test_a_snapshot_may_come_from_anyone():
    hostile = "a kernel named \x1b[31mred"
    parts = (Says(hostile), Figures(hostile, (Heading("a", "text"),), ((hostile,),)))

    text = render(explanation(Answer(QUESTIONS[0], parts), View()), width=80, colour=False)

    assert "\x1b" not in text
    assert text.count("\\x1b[31mred") == 3
