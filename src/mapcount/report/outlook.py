"""What would change if the kernel stopped counting per page, in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.views.outlook import OutlookRow


def section(rows: Sequence[OutlookRow] | None, view: View) -> Iterator[RenderableType]:
    """Yield the numbers that would change; nothing if they are not known."""
    if rows is None:
        return
    yield heading("If this kernel stopped counting per page (CONFIG_NO_PAGE_MAPCOUNT)")
    changed = [row for row in rows if row.without != row.now]
    if not changed:
        yield sentence("No number of /proc would change, with these mappings.")
        return
    yield from tables(
        [Column("number", text=True), *map(Column, ("truth", "now", "then", "change"))],
        [
            [row.name, *(_value(value, row.unit) for value in (row.truth, row.now, row.without)), _change(row)]
            for row in changed
        ],
        width=view.width,
    )
    yield note(
        "Of the mappings seen, after the usual past; by process, by folio, in other ways of counting: mapcount compare."
    )


def _value(value: int, unit: str) -> str:
    return format_bytes(value) if unit == "bytes" else format_count(value)


def _change(row: OutlookRow) -> str:
    difference = row.without - row.now
    sign = "+" if difference > 0 else "-"
    share = f" {sign}{format_share(abs(difference), row.now)}" if row.now else ""
    return f"{sign}{_value(abs(difference), row.unit)}{share}"
