"""The written pages as tests need them: sections by heading, tables, fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TABLE = re.compile(r"(?:^\|.*\|\n?)+", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def sections(page):
    """Return what follows each heading, up to the next heading of any level."""
    parts = _HEADING.split(_FENCED.sub("", page.read_text()))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table(text):
    """Return the cells of the first table in `text`, its two rows of heading left out; no rows without a table."""
    found = _TABLE.search(text)
    rows = found[0].splitlines()[2:] if found else []
    return [[cell.strip() for cell in row[1:-1].split("|")] for row in rows]


def blocks(page, language):
    """Return the fenced blocks of a language."""
    return [body for of, body in _FENCED.findall(page.read_text()) if of == language]


def plain(cell):
    """Return a cell without links and code marks."""
    return _LINK.sub(r"\1", cell).replace("`", "")
