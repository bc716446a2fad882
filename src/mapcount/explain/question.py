"""A question: who asked it, the answer in plain words, how to find the evidence, what history did, and the sources."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mapcount.explain.words import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

    Evidence: TypeAlias = Callable[[Given], Iterator[Part]]


def prose(text: str) -> tuple[str, ...]:
    """Return the paragraphs of a text, each as one line: a blank line ends one."""
    return tuple(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


@dataclass(frozen=True)
class Asked:
    """A question, or the remark that raises it."""

    words: str
    by: str
    """who; empty: nobody in the thread, it follows from what was said there"""
    when: str
    verbatim: bool = True
    """else these are our words for it"""


@dataclass(frozen=True)
class Question:
    """
    One question. `answer` and `history` are paragraphs; `words` are keys of WORDS that a newcomer may not know.

    `of_a_machine`: the evidence is in the mappings of one, `given.taken`. `again` are commands that go further than the
    evidence. Raises ValueError for a word that is not explained.
    """

    id: str
    title: str
    asked: tuple[Asked, ...]
    answer: tuple[str, ...]
    evidence: Evidence
    history: tuple[str, ...]
    sources: tuple[str, ...]
    words: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    of_a_machine: bool = False

    def __post_init__(self) -> None:
        missing = [word for word in self.words if word not in WORDS]
        if missing:
            raise ValueError(f"{self.id}: no explanation of {', '.join(missing)} in words.py")

    def text(self) -> str:
        """Return all that can be searched."""
        asked = " ".join(f"{one.words} {one.by} {one.when}" for one in self.asked)
        return " ".join((self.id, self.title, asked, *self.answer, *self.history, *self.sources, *self.words))
