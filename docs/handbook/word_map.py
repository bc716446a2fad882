"""A picture of a way of counting: where each of its words lies in struct page, drawn from what the scheme declares."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.schemes.describe import Description, WordRow

ROW_BYTES = 4
ROWS = STRUCT_PAGE_BYTES // ROW_BYTES
LINE, COLUMN, GAP, LEFT, TOP = 16, 216, 14, 30, 26
"""Pixels: a line of text, the width of a struct page, between two of them, the byte offsets, the headings."""
EVERY_PAGE = -1
"""The column of words that every page has: its own struct page."""


@dataclass(frozen=True)
class Box:
    """A word or flag in its column: rows of four bytes, half-open, and how it is to look."""

    column: int
    first: int
    end: int
    label: str
    look: str
    """`page`, `folio`, `flag`, or `small` for a page word that only folios of one page use"""


def boxes(words: Sequence[WordRow]) -> list[Box]:
    """Return what is drawn of the words: a flag lies in the four bytes that hold its bit."""
    return [_box(word) for word in words]


def word_map(described: Description) -> str:
    """Return the picture as SVG, for a page whose style has furo's colours; it is text, and says what it shows."""
    drawn = boxes(described.words)
    columns = sorted({box.column for box in drawn})
    tops = _tops(drawn)
    width = LEFT + len(columns) * (COLUMN + GAP)
    says = f"Words of {described.id} in struct page: " + "; ".join(map(_in_words, described.words))
    parts = [
        f'<svg class="word-map" role="img" viewBox="0 0 {width} {tops[ROWS] + 8}" width="{width}">',
        f"<title>{escape(says)}</title>",
        *_offsets(tops),
    ]
    for place, column in enumerate(columns):
        x = LEFT + place * (COLUMN + GAP)
        parts.append(f'<text class="head" x="{x}" y="18">{_heading(column)}</text>')
        parts += _column(x, tops, [box for box in drawn if box.column == column])
    return "\n".join([*parts, "</svg>"])


def _box(word: WordRow) -> Box:
    column = EVERY_PAGE if word.scope in {"page", "small"} else word.struct_page
    first = (word.offset + (word.bit // 8 if word.flag_of else 0)) // ROW_BYTES
    if word.flag_of:
        return Box(column, first, first + 1, f"{word.name}, bit {word.bit}", "flag")
    size = "" if word.bits in {32, 64} else f", {word.bits} bits"
    bias = f", from {word.bias}" if word.bias else ""
    look = {"page": "page", "small": "small"}.get(word.scope, "folio")
    return Box(column, first, first + max(1, word.bits // 8 // ROW_BYTES), f"{word.name}{size}{bias}", look)


def _in_words(word: WordRow) -> str:
    where = "every page" if word.scope in {"page", "small"} else f"struct page {word.struct_page} of the folio"
    return f"{word.name} at byte {word.offset} of {where}"


def _heading(column: int) -> str:
    if column == EVERY_PAGE:
        return "each page"
    return f"folio, struct page {column}" + (" (the head)" if column == 0 else "")


def _tops(drawn: Sequence[Box]) -> list[int]:
    """Return where each row begins, and last where the last one ends: as many lines as the fullest column needs."""
    lines: defaultdict[tuple[int, int], int] = defaultdict(int)
    for box in drawn:
        lines[box.column, box.first] += 1
    tops = [TOP]
    for row in range(ROWS):
        tops.append(tops[-1] + LINE * max([1, *(count for (_, first), count in lines.items() if first == row)]))
    return tops


def _offsets(tops: Sequence[int]) -> Iterator[str]:
    for row in range(0, ROWS, 2):
        yield f'<text class="offset" x="{LEFT - 8}" y="{tops[row] + 12}">{row * ROW_BYTES}</text>'


def _column(x: int, tops: Sequence[int], drawn: Sequence[Box]) -> Iterator[str]:
    """Draw one struct page: its frame, a rule every four bytes, and the boxes, those of one row below each other."""
    yield f'<rect class="frame" x="{x}" y="{tops[0]}" width="{COLUMN}" height="{tops[ROWS] - tops[0]}"/>'
    for row in range(1, ROWS):
        yield f'<path class="rule" d="M{x} {tops[row]}h{COLUMN}"/>'
    used: defaultdict[int, int] = defaultdict(int)
    for box in drawn:
        y = tops[box.first] + LINE * used[box.first]
        used[box.first] += 1
        height = LINE if used[box.first] > 1 or _shares(box, drawn) else tops[box.end] - tops[box.first]
        yield f'<rect class="{box.look}" x="{x}" y="{y}" width="{COLUMN}" height="{height}" rx="2"/>'
        yield f'<text x="{x + 6}" y="{y + 12}">{escape(box.label)}</text>'


def _shares(box: Box, drawn: Sequence[Box]) -> bool:
    return sum(other.first == box.first for other in drawn) > 1
