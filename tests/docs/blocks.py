"""The fenced blocks of the pages that are to be run: what is typed, what is shown, and why some are not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from docs.pages import PAGES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>not run|exit status (?P<code>\d+)): (?P<why>[^\n]*) -->\n)?"
    r"^```(?P<language>console|python)\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_COMMENT = re.compile(r"\s{2,}# .*$")
_ANYTHING = "..."


@dataclass(frozen=True)
class Command:
    """A command as it is typed, and the lines that the page shows of its output; none: it shows nothing."""

    typed: str
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """A block of a page. `why` is the reason not to run it; `code` the exit status that its commands are said to have."""

    name: str
    language: str
    body: str
    why: str
    code: int

    @property
    def commands(self) -> list[Command]:
        """What a console block types, in order."""
        found: list[Command] = []
        for part in re.split(r"^\$ ", self.body, flags=re.MULTILINE)[1:]:
            typed, *shown = part.rstrip("\n").splitlines()
            found.append(Command(_COMMENT.sub("", typed), tuple(shown)))
        return found


def blocks_of(page: Path) -> list[Block]:
    """Return the console and Python blocks of a page, with the marks that stand on the line before them."""
    text = page.read_text()
    return [
        Block(
            name=f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start('language')) + 1}",
            language=found["language"],
            body=found["body"],
            why=found["why"] if found["mark"] == "not run" else "",
            code=int(found["code"] or 0),
        )
        for found in _BLOCK.finditer(text)
    ]


def all_blocks() -> list[Block]:
    """Return those of all pages."""
    return [block for page in PAGES for block in blocks_of(page)]


def missing(shown: tuple[str, ...], output: str) -> str:
    """
    Return the first shown line that the output lacks, or nothing.

    Lines stand in the order shown, each right after the one before. A line `...` stands for any lines between; `...` at the
    end of a line for the rest of it. Spaces at the ends do not count.
    """
    lines = [line.rstrip() for line in output.splitlines()]
    at, anywhere = 0, True
    for line in map(str.rstrip, shown):
        if line == _ANYTHING:
            anywhere = True
            continue
        places = range(at, len(lines)) if anywhere else range(at, at + 1)
        place = next((place for place in places if place < len(lines) and _fits(line, lines[place])), None)
        if place is None:
            return line
        at, anywhere = place + 1, False
    return ""


def _fits(shown: str, line: str) -> bool:
    if shown.endswith(_ANYTHING):
        return line.startswith(shown.removesuffix(_ANYTHING).rstrip())
    return line == shown
