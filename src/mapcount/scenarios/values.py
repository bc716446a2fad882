"""Values of words and counts as a scenario writes them: `5`, `1*16 2*496`, `p -` for a pair, yes and no."""

from __future__ import annotations

import enum
import re
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mapcount.scenarios.observation import Runs, WordValue

Value: TypeAlias = "bool | str | WordValue"
NO = "no"
"""What an Expect has as value that wants a yes-or-no quantity not to hold; the empty text wants it to."""
_NUMBER = re.compile(r"-?[0-9]{1,20}")
_RUN = re.compile(r"(-?[0-9]{1,20})\*([1-9][0-9]{0,6})")
_PART = re.compile(r"-|[A-Za-z_][A-Za-z0-9_]{0,14}")


class Form(enum.Enum):
    """How a value is written."""

    YES_NO = "alone, or with `not` before it"
    NUMBER = "a number"
    RUNS = "value*pages, all pages of the folio in order"
    NAME = "a name"
    STORED = "as stored: a number, value*pages, or two of a pair, `-` for a free slot"


def runs_of(values: Iterable[int]) -> Runs:
    """Return (value, pages) of the stretches of equal values."""
    return tuple((value, len(list(same))) for value, same in groupby(values))


def values_of(runs: Runs) -> list[int]:
    """Return one value a page: the inverse of `runs_of`."""
    return [value for value, pages in runs for _ in range(pages)]


def format_value(value: Value) -> str:
    """Return a value as text."""
    if isinstance(value, bool):
        return "yes" if value else NO
    if isinstance(value, tuple):
        return " ".join(map(_format_part, value))
    return str(value)


def normal(form: Form, words: Sequence[str]) -> str:
    """Return words as the one text that stands for their value. Raises ValueError that says what they should look like."""
    text = _NORMAL[form](words)
    if text is None:
        raise ValueError(f"the value should be {form.value}")
    return text


def equal(value: Value, text: str) -> bool:
    """Tell whether a value is the one that a normal text stands for. A single page's runs may be a bare number."""
    if isinstance(value, bool):
        return value == (text != NO)
    return format_value(value) == text or (format_value(value) == f"{text}*1")


def _format_part(part: tuple[int, int] | int | str | None) -> str:
    if isinstance(part, tuple):
        return f"{part[0]}*{part[1]}"
    return "-" if part is None else str(part)


def _yes_no(words: Sequence[str]) -> str | None:
    if len(words) > 1 or not set(words) <= {"yes", NO}:
        return None
    return NO if NO in words else ""


def _number(words: Sequence[str]) -> str | None:
    return str(int(words[0])) if len(words) == 1 and _NUMBER.fullmatch(words[0]) else None


def _name(words: Sequence[str]) -> str | None:
    return words[0] if len(words) == 1 else None


def _runs(words: Sequence[str]) -> str | None:
    runs: list[tuple[int, int]] = []
    for word in words:
        found = _RUN.fullmatch(word if "*" in word else f"{word}*1")
        if not found:
            return None
        value, pages = int(found[1]), int(found[2])
        before = runs.pop()[1] if runs and runs[-1][0] == value else 0
        runs.append((value, before + pages))
    return format_value(tuple(runs)) if runs else None


def _stored(words: Sequence[str]) -> str | None:
    if any("*" in word for word in words):
        return _runs(words)
    if len(words) == 2 and all(map(_NUMBER.fullmatch, words)):
        return " ".join(str(int(word)) for word in words)
    return " ".join(words) if len(words) == 2 and all(map(_PART.fullmatch, words)) else _number(words)


_NORMAL = {Form.YES_NO: _yes_no, Form.NUMBER: _number, Form.NAME: _name, Form.RUNS: _runs, Form.STORED: _stored}
