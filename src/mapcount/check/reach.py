"""A condition on a word, as text: `_nr_pages_mapped>=0x1000000`; and the shortest way to a state that fulfils it."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_TEXT = re.compile(
    r"\s*(?P<word>[A-Za-z_][\w\[\]]*?)\s*(?P<than>[<>=!]=|<|>)\s*(?P<value>-?(0x[0-9a-fA-F]+|[0-9]+))\s*"
)


@dataclass(frozen=True)
class Reach:
    """Some value of a word compares so with a number; of a page's word, that of any page."""

    word: str
    than: str
    value: int

    def __call__(self, words: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether a state, its words by name, fulfils it."""
        return any(_COMPARE[self.than](value, self.value) for value in words[self.word])

    def __str__(self) -> str:
        return f"{self.word}{self.than}{self.value}"


def parse_reach(text: str, known: tuple[str, ...]) -> Reach:
    """Return the condition of a text. Raises UsageError for anything else, and for a word that is not one of `known`."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no condition: a word, a comparison and a number, like _nr_pages_mapped>=0x1000000"
        )
    if found["word"] not in known:
        raise UsageError(f"there is no word {found['word']!r} here; there are: {', '.join(known)}")
    return Reach(found["word"], found["than"], int(found["value"], 0))
