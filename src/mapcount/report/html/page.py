"""What a page is made of: sections of tables, charts and pictures, as plain records that know nothing of HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Unit = Literal[
    "text", "count", "bytes", "change_bytes", "change_count", "by_unit", "change_by_unit", "percent", "number"
]
"""
How a value is written: `number` as it is (a pid), `by_unit` as the column `unit` of its row says (bytes, or a count),
`change_*` and `percent` with the sign. All but text are right-aligned.
"""
Tone = Literal["whole", "whole-shared", "part", "part-shared", "unknown", "waste", "plain", "second", "third"]
"""A colour and a glyph by meaning; css/tones.css gives it one value for light and one for dark."""


@dataclass(frozen=True)
class Column:
    """A column of a table: the key of its data, its heading, its unit, and what it means in a sentence or less."""

    key: str
    title: str
    unit: Unit = "count"
    says: str = ""


@dataclass(frozen=True)
class Table:
    """Rows that can be sorted, filtered and downloaded as CSV and JSON."""

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    """A value for each column: text, or a raw integer."""
    sort: str = ""
    """Key of the column it is sorted by at first, the largest first; empty: as given."""
    picks: str = ""
    """What a click on a row picks of the folio map: `mm`, `program` or `cgroup`, by the row's key."""
    keys: Sequence[Any] = ()
    left_out: int = 0
    """Rows that are not in the page."""
    folded: bool = False
    """Behind a line that opens it: the data of a chart."""
    kind: str = "table"


@dataclass(frozen=True)
class Series:
    """Numbers of a chart: the column they are in, their name, and how they look."""

    key: str
    title: str
    tone: Tone


@dataclass(frozen=True)
class Chart:
    """A picture of a table of the same page: its rows as bars, or along a line."""

    id: str
    caption: str
    form: Literal["bars", "lines"]
    table: str
    """Id of the table that holds its data."""
    category: Sequence[str]
    """Keys of the columns that together name a bar, or a place along the line."""
    series: Sequence[Series]
    unit: Unit
    stacked: bool = False
    top: int = 0
    """As many rows are drawn, the largest first; 0: all, as given."""
    only: str = ""
    """Only rows whose column `unit` says this are drawn; empty: all."""
    kind: str = "chart"


@dataclass(frozen=True)
class Custom:
    """A picture with a script of its own (js/), by the name of its kind, and its data."""

    kind: str
    id: str
    caption: str
    data: Any


@dataclass(frozen=True)
class Facts:
    """Names and texts, one below the other. They stand in the page as they are, without a script."""

    id: str
    caption: str
    lines: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Text:
    """Lines that are shown as they are, as a scenario is written."""

    id: str
    caption: str
    lines: Sequence[str]
    kind: str = "text"


Block = Table | Chart | Custom | Facts | Text


@dataclass(frozen=True)
class Section:
    """A part of the page: a title, a sentence on how to read it, what is in it, and what must be known of it."""

    id: str
    title: str
    how: str
    blocks: Sequence[Block]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """One HTML file."""

    command: str
    """The sub-command it is from: `report`."""
    title: str
    lead: Sequence[str]
    """What to know first, a sentence each."""
    sections: Sequence[Section]
    packed: Any = None
    """Data of which there is much (the folio map): embedded compressed, unpacked by the browser when it is needed."""
