"""Ranges of pages in a scenario text: `a[5]`, `a[0:16]`, `a` for the whole area, `f[4:20]` of a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mapcount.scenarios.steps import AREA_BYTES, AREAS, Span
from mapcount.scenarios.words import Mistake, Word, name_of, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.scenarios.steps import Mmap

AREA_PAGES = AREA_BYTES // 4096
_RANGE = re.compile(r"([^\[\]]*)(?:\[([^\[\]:]*)(?:(:)([^\[\]:]*))?\])?")


def split_range(word: Word) -> tuple[Word, int | None, int | None]:
    """Return the name, the first page and the end of a range; `a[5]` has no end, `a` alone neither."""
    found = _RANGE.fullmatch(word.text)
    if not found:
        raise Mistake(word, "a range of pages should look like a[5] or a[0:16], without blanks")
    name, first, colon, end = found.groups()
    first_at = _at(word, len(name) + 1, first)
    name_word = Word(name, word.line, word.column)
    if first is None:
        return name_word, None, None
    low = number_of(first_at, "a page", most=AREA_PAGES - 1)
    if colon is None:
        return name_word, low, None
    high = number_of(_at(word, len(name) + len(first) + 2, end), "the end of a range", most=AREA_PAGES)
    if high <= low:
        raise Mistake(word, f"the range [{low}:{high}) has no page: its end is the page after the last one")
    return name_word, low, high


def area_of(word: Word) -> str:
    """Parse the letter of an area."""
    if word.text not in tuple(AREAS):
        raise Mistake(word, f"{word.text!r} is no area; there are: {', '.join(AREAS)}")
    return word.text


def span_of(word: Word, mapped: Mapping[str, Mmap]) -> Span:
    """Parse pages of an area; the letter alone is all of it, as it was mmapped last."""
    name, first, end = split_range(word)
    area = area_of(name)
    if first is not None:
        return Span(area, first, first + 1 if end is None else end)
    if area not in mapped:
        raise Mistake(word, f"nothing was mmapped at {area} before: say which pages, as in {area}[0:16]")
    return mapped[area].span


def page_of(word: Word) -> tuple[str, int]:
    """Parse one page of an area, where something is to go; the letter alone is its first page."""
    name, first, end = split_range(word)
    if end is not None:
        raise Mistake(word, f"one page is enough, as in {name.text}[{first}]: the first one")
    return area_of(name), first or 0


def file_range_of(word: Word, nr_pages: int | None) -> tuple[str, int, int]:
    """
    Parse pages of a file: its name, the first page and the end.

    With `nr_pages`, `f` and `f[4]` are that many, and a range must be as long. Else it must be a range, or one page.
    """
    name, first, end = split_range(word)
    file = name_of(name, "a file")
    if nr_pages is None:
        if first is None:
            raise Mistake(word, f"say which pages of the file, as in {file}[0:16]")
        return file, first, first + 1 if end is None else end
    first = first or 0
    if end is not None and end - first != nr_pages:
        raise Mistake(
            word, f"{end - first} pages of the file are to go to {nr_pages} pages of memory; {file}[{first}] will do"
        )
    return file, first, first + nr_pages


def _at(word: Word, offset: int, text: str | None) -> Word:
    return Word(text or "", word.line, word.column + offset)
