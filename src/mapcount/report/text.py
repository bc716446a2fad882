"""Text that other people chose (names, paths) made safe and short enough for a table."""

from __future__ import annotations

from rich.cells import cell_len

_ELLIPSIS = "…"


def printable(text: str) -> str:
    """Return `text` with what a terminal would obey written out: a process may choose escape sequences as its name."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def shorten(text: str, cells: int) -> str:
    """Return `text` in at most `cells` terminal cells, an ellipsis in its middle if something had to go."""
    if cell_len(text) <= cells:
        return text
    if cells <= 1:
        return _ELLIPSIS[:cells]
    head, tail = cells // 2, cells - 1 - cells // 2
    return _clip(text, head) + _ELLIPSIS + _clip(text[::-1], tail)[::-1]


def _clip(text: str, cells: int) -> str:
    taken = 0
    for position, character in enumerate(text):
        taken += cell_len(character)
        if taken > cells:
            return text[:position]
    return text


def plural(count: int, one: str, many: str = "") -> str:
    """Return the count with its noun: `1 folio`, `1,234 folios`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
