"""The list of questions: the thread's own, whole, as asked; finding one; texts that fit and stand alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mapcount.errors import UsageError
from mapcount.explain.catalogue import QUESTIONS, find, search
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.words import WORDS

THREAD = " ".join((Path(__file__).parent / "thread.txt").read_text().split())
ASKED_FOR = (
    "race",
    "breaks",
    "pmd-count",
    "whole-folio",
    "usual-case",
    "total",
    "removal",
    "slower",
    "partial",
    "waste",
    "struct-page",
    "next-kernels",
    "refcount",
    "trust",
)
IDS = [question.id for question in QUESTIONS]


def test_what_the_thread_asked_is_there_once():
    assert set(ASKED_FOR) <= set(IDS)
    assert len(set(IDS)) == len(IDS)


def test_a_file_a_question():
    folder = Path(__file__).parents[2] / "src" / "mapcount" / "explain" / "questions"
    files = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    assert files == set(IDS)
    for question in QUESTIONS:
        assert Path(question.evidence.__code__.co_filename).stem == question.id.replace("-", "_")


@pytest.mark.parametrize("question", QUESTIONS, ids=IDS)
def test_what_looks_at_a_machine_says_so(question):
    text = Path(question.evidence.__code__.co_filename).read_text()
    assert question.of_a_machine == ("given.taken" in text)


@pytest.mark.parametrize("question", QUESTIONS, ids=IDS)
def test_quotes_are_the_threads_own_words(question):
    for asked in question.asked:
        if asked.verbatim and asked.by:
            assert asked.words in THREAD, asked.words


def test_every_question_mark_of_the_thread_is_quoted_somewhere():
    quoted = " ".join(asked.words for question in QUESTIONS for asked in question.asked)
    asked = [sentence for sentence in re.split(r"(?<=[.?])\s", THREAD) if sentence.endswith("?")]
    assert len(asked) == 4
    for sentence in asked:
        assert sentence.removeprefix("- ")[-40:] in quoted, sentence


@pytest.mark.parametrize("question", QUESTIONS, ids=IDS)
def test_an_answer_is_whole(question):
    assert question.answer and question.history and question.sources and question.again
    for command in question.again:
        assert command.startswith("mapcount ")
        if command.startswith("mapcount explain "):
            find(command.split()[2])
    # A screen: the answer is read before anything else.
    assert sum(len(words) for words in question.answer) < 80 * 20


def test_words_are_explained_where_they_are_used():
    for question in QUESTIONS:
        for word in question.words:
            assert re.search(rf"\b{re.escape(word)}", question.text(), re.IGNORECASE), (question.id, word)
    assert {word for question in QUESTIONS for word in question.words} <= WORDS.keys()
    with pytest.raises(ValueError, match="blurb"):
        Question("x", "x", (Asked("x", "", ""),), (), lambda _: iter(()), (), (), words=("blurb",))


def test_a_name_that_is_nearly_right_is_told():
    assert find("race") is QUESTIONS[0]
    with pytest.raises(UsageError, match="did you mean whole-folio"):
        find("whole-folios")


def test_search_wants_all_words_and_puts_titles_first():
    assert next(one.id for one in search("Cache LINE")) == "places"
    assert {one.id for one in search("khugepaged")} == {"breaks", "trust"}
    assert search("khugepaged zebra") == []
    assert len(search("")) == len(QUESTIONS)


def test_prose_joins_lines_and_keeps_paragraphs():
    assert prose("""
        One
        line.

        Another.
        """) == ("One line.", "Another.")
