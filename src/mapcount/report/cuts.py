"""What if folios were cut: the waste of the same mappings with smaller folios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.survey.types import Survey


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the table of cuts, largest folio first; nothing if there are no anon folios."""
    rows = sorted(survey.cuts, key=lambda row: -row.order)
    if not rows:
        return
    yield heading("What if no anon folio were larger (same mappings)")
    yield from tables(
        [Column("at most", text=True), *map(Column, ("folios", "wasted", "freed"))],
        [
            [
                format_folio_size(row.order, survey.meta.page_size),
                format_count(row.folios),
                format_bytes(row.wasted_bytes),
                format_bytes(row.freed_bytes),
            ]
            for row in rows
        ],
        width=view.width,
    )
    yield note(
        "This is the half of waste that mappings show. The other half is underuse: pages that are mapped but hold only "
        "zeroes because they were never written. It cannot be seen from /proc."
    )
