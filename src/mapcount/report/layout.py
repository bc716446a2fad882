"""The parts of a section: a heading, a table, a sentence, and what was left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

_Row = TypeVar("_Row")


def heading(title: str) -> Text:
    """Return the heading of a section, a blank line before it."""
    return Text(f"\n{title}", style="bold")


def sentence(words: str) -> Text:
    """Return a sentence that is wrapped at the width of the page."""
    return Text(words)


def note(words: str) -> Text:
    """Return a caveat: dim where there is colour, the same words everywhere."""
    return Text(words, style="dim")


def first(rows: Sequence[_Row], top: int) -> Sequence[_Row]:
    """Return the first `top` rows; all if `top` is 0."""
    return rows[:top] if top else rows


def left_out(count: int, top: int) -> list[Text]:
    """Say how many of `count` rows were not shown, and how to see them; nothing if all were."""
    return [note(f"... {count - top:,} more (--top 0 for all)")] if top and count > top else []
