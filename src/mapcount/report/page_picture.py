"""A picture of which processes map which pages of a folio: a bar for each process, then the exact ranges."""

from __future__ import annotations

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Level
from mapcount.scenarios.scenario import FIRST_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.scenarios.observation import Mapped

CELLS = 32
LEGEND = "Bars are a folio's pages: = mapped by a PMD, # by PTEs, + in part, . not."


def picture(entries: Sequence[Mapped], order: int, *, width: int, indent: str) -> Iterator[str]:
    """Yield lines of at most `width` columns: `p |====| PMD 0:512 at a[0]`. A range, `first:end`, is never cut."""
    for process, theirs in by_process(entries):
        own = list(theirs)
        head = f"{indent}{process} |{bar(own, order)}|"
        ranges = [_range(entry) for entry in sorted(own, key=lambda entry: (entry.first, entry.area, entry.page))]
        yield from _hang(f"{head} ", ranges, width)


def by_process(entries: Sequence[Mapped]) -> Iterator[tuple[str, Iterator[Mapped]]]:
    """Yield processes with their entries, sorted by address: the first process of the scenario, then by name."""
    in_order = sorted(entries, key=lambda entry: (entry.process != FIRST_PROCESS, entry))
    yield from groupby(in_order, key=lambda entry: entry.process)


def bar(entries: Sequence[Mapped], order: int) -> str:
    """Return one character for each page of a folio, or for several pages if it has more than CELLS."""
    mapped = [""] * (1 << order)
    for entry in entries:
        mark = "#" if entry.level is Level.PTE else "="
        for page in range(entry.first, entry.first + entry.nr_pages):
            mapped[page] = mark if mapped[page] in {"", mark} else "+"
    cell = max(1, len(mapped) // CELLS)
    return "".join(_cell(mapped[at : at + cell]) for at in range(0, len(mapped), cell))


def _cell(marks: Sequence[str]) -> str:
    kinds = set(marks)
    if kinds == {""}:
        return "."
    return kinds.pop() if len(kinds) == 1 else "+"


def _range(entry: Mapped) -> str:
    return f"{entry.level.name} {entry.first}:{entry.first + entry.nr_pages} at {entry.area}[{entry.page}]"


def _hang(head: str, parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield the parts separated by commas, wrapped between parts, below each other behind the head."""
    # What must stay together is tied by a character that textwrap does not break at.
    tied = ", ".join(part.replace(" ", "\0") for part in parts)
    room = width - len(head)
    longest = max(map(len, parts)) + 1
    if room < longest:
        yield head.rstrip()
        head, room = " " * max(0, width - longest - 1), longest + 1
    for line in textwrap.wrap(tied, room, break_long_words=False, break_on_hyphens=False):
        yield (head + line.replace("\0", " ")).rstrip()
        head = " " * len(head)
