"""Tables that never cut a number: names give way first, and what is still too wide goes on in a second table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from mapcount.report.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_WIDTH = 80
WASTE = "yellow"
"""Colour of waste. It only repeats what the heading says."""
_LEAST_TEXT = 8
"""Cells below which a name says nothing any more."""


@dataclass(frozen=True)
class Column:
    """The heading of a column. Numbers are right-aligned and whole; text may be shortened in the middle."""

    title: str
    text: bool = False
    style: str = ""


@dataclass(frozen=True)
class View:
    """What the reader asked for: cells per line, rows per list (0: all), and whether everything is spelled out."""

    width: int = DEFAULT_WIDTH
    top: int = 10
    verbose: bool = False


def tables(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, width: int, totals: Sequence[str] | None = None
) -> list[Table]:
    """
    Return the rows as one table of at most `width` cells, or as several that repeat the first column.

    `totals` is one more row, below a rule. No number is shortened, whatever the width.
    """
    cells = [[printable(cell) for cell in row] for row in [*rows, *([totals] if totals else [])]]
    wanted = [max([cell_len(column.title), *(cell_len(row[i]) for row in cells)]) for i, column in enumerate(columns)]
    widths = _give_way(columns, wanted, width)
    return [_one(columns, widths, cells, part, width=width, totals=bool(totals)) for part in _parts(widths, width)]


def _give_way(columns: Sequence[Column], wanted: Sequence[int], width: int) -> list[int]:
    """Take cells from the widest text column until the table fits or no name has any to spare."""
    widths = list(wanted)
    least = [min(w, max(_LEAST_TEXT, cell_len(c.title))) if c.text else w for c, w in zip(columns, wanted, strict=True)]
    spare = sum(widths) + len(widths) - 1 - width
    while spare > 0:
        widest = max(range(len(widths)), key=lambda i: widths[i] - least[i])
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
        spare -= 1
    return widths


def _parts(widths: Sequence[int], width: int) -> list[list[int]]:
    """Split the columns into tables that fit; each begins with column 0. A part has at least one more column."""
    parts = [[0]]
    for column in range(1, len(widths)):
        part = [*parts[-1], column]
        if sum(widths[i] for i in part) + len(part) - 1 <= width or len(part) == 2:
            parts[-1] = part
        else:
            parts.append([0, column])
    return parts


def _one(
    columns: Sequence[Column],
    widths: Sequence[int],
    cells: Sequence[Sequence[str]],
    part: Sequence[int],
    *,
    width: int,
    totals: bool,
) -> Table:
    gap = 1 if sum(widths[i] for i in part) + 2 * (len(part) - 1) <= width else 0
    table = Table(
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, gap, 0, 0),
        show_footer=totals,
        header_style="bold",
    )
    for i in part:
        column = columns[i]
        table.add_column(
            Text(column.title),
            footer=Text(shorten(cells[-1][i], widths[i])) if totals else "",
            justify="left" if column.text else "right",
            width=widths[i],
            no_wrap=True,
            style=column.style,
        )
    for row in cells[: len(cells) - totals]:
        table.add_row(*(Text(shorten(row[i], widths[i]) if columns[i].text else row[i]) for i in part))
    return table
