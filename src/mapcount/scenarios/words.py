"""Words of a scenario text with the place where they stand, and mistakes that point at it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,14}")
"""Of a process or a file: what fits a kernel's task name."""
MAX_NUMBER = (1 << 31) - 1
_NUMBER = re.compile(r"[0-9]{1,10}")
_SIZE = re.compile(r"([0-9]{1,10})([kmg])", re.IGNORECASE)
_PAGES_OF = {"k": 1 / 4, "m": 256, "g": 256 << 10}
_CONTEXT = 60
"""Characters of a long line that are shown before the mistake, and after it."""


@dataclass(frozen=True)
class Word:
    """Characters without a blank between them. Line and column count from 1."""

    text: str
    line: int
    column: int


class Mistake(Exception):  # noqa: N818 - never leaves the parser, which knows the lines and makes a ScenarioError of it
    """What is wrong, and with which word."""

    def __init__(self, word: Word, message: str) -> None:
        super().__init__(message)
        self.word = word
        self.message = message

    def error(self, file: str, lines: Sequence[str]) -> ScenarioError:
        """Return the error for people: `file:line:column: message`, the line, and carets below the word."""
        word = self.word
        line = _shown(lines[word.line - 1])
        start = max(0, word.column - 1 - _CONTEXT)
        shown = line[start : word.column - 1 + max(len(word.text), _CONTEXT)]
        carets = "^" * max(1, min(len(word.text), len(shown) - (word.column - 1 - start)))
        return ScenarioError(
            f"{file}:{word.line}:{word.column}: {self.message}\n    {shown}\n    {' ' * (word.column - 1 - start)}{carets}"
        )


def words_of(line: str, number: int) -> list[Word]:
    """Return the words of a line up to its comment. `p:` is a word of its own, whatever follows it."""
    words: list[Word] = []
    for found in re.finditer(r"\S+", line.partition("#")[0]):
        text, column = found[0], found.start() + 1
        process = re.match(r"[^\[:]*:", text) if not words or words[-1].text == "expect" else None
        if process and process.end() < len(text):
            words.append(Word(process[0], number, column))
            text, column = text[process.end() :], column + process.end()
        words.append(Word(text, number, column))
    return words


def end_of(words: Sequence[Word]) -> Word:
    """Return the place behind the last word: where one is missing."""
    last = words[-1]
    return Word("", last.line, last.column + len(last.text) + 1)


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return `; did you mean munmap?`, or what there is if nothing resembles it."""
    known = list(known)
    near = difflib.get_close_matches(text[:40].lower(), known, 1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(known)}"


def number_of(word: Word, what: str, *, least: int = 0, most: int = MAX_NUMBER) -> int:
    """Parse a number in `[least, most]`."""
    if not _NUMBER.fullmatch(word.text) or not least <= int(word.text) <= most:
        raise Mistake(word, f"{what} should be a number from {least} to {most}")
    return int(word.text)


def pages_of(word: Word, what: str) -> int:
    """Parse a size such as 64k, 2M or 1G: pages of 4 KiB, at least one."""
    found = _SIZE.fullmatch(word.text)
    pages = int(found[1]) * _PAGES_OF[found[2].lower()] if found else 0
    if pages < 1 or pages != int(pages):
        raise Mistake(word, f"{what} should be a size in whole pages of 4k, such as 64k or 2M")
    return int(pages)


def name_of(word: Word, what: str) -> str:
    """Parse the name of a process or a file."""
    if not NAME.fullmatch(word.text):
        raise Mistake(word, f"the name of {what} should be at most 15 letters, digits and underscores, a letter first")
    return word.text


def _shown(line: str) -> str:
    return "".join(c if c.isprintable() else " " for c in line)
