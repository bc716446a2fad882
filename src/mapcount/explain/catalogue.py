"""All questions, in the order of the thread. Adding one: a file, a line here, a test, and a line in the page explain.md."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.explain.questions import (
    batching,
    breaks,
    next_kernels,
    partial,
    places,
    pmd_count,
    race,
    refcount,
    removal,
    short_loop,
    slower,
    struct_page,
    total,
    trust,
    usual_case,
    waste,
    whole_folio,
    wrap,
)

if TYPE_CHECKING:
    from mapcount.explain.question import Question

QUESTIONS: tuple[Question, ...] = (
    race.QUESTION,
    breaks.QUESTION,
    short_loop.QUESTION,
    total.QUESTION,
    pmd_count.QUESTION,
    whole_folio.QUESTION,
    usual_case.QUESTION,
    removal.QUESTION,
    slower.QUESTION,
    batching.QUESTION,
    places.QUESTION,
    wrap.QUESTION,
    partial.QUESTION,
    waste.QUESTION,
    struct_page.QUESTION,
    refcount.QUESTION,
    trust.QUESTION,
    next_kernels.QUESTION,
)


def find(name: str) -> Question:
    """Return the question of an id. Raises UsageError with the nearest one if there is none."""
    for question in QUESTIONS:
        if question.id == name:
            return question
    near = difflib.get_close_matches(name, [question.id for question in QUESTIONS], 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"There is no question {name!r}: {hint}`mapcount explain` lists them, --search WORDS finds one")


def search(words: str) -> list[Question]:
    """Return the questions that have all these words somewhere, in capitals or not; those that have them in the title first."""
    wanted = words.lower().split()
    found = [question for question in QUESTIONS if all(word in question.text().lower() for word in wanted)]
    return sorted(found, key=lambda one: not all(word in f"{one.id} {one.title}".lower() for word in wanted))
