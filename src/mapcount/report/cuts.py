"""What if folios were cut: the waste of the same mappings with smaller folios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.survey.types import CutRow, Survey


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the cuts that free something more, largest folio first; one sentence if none does, nothing without anon."""
    rows = sorted(survey.cuts, key=lambda row: -row.order)
    if not rows:
        return
    yield heading("What if no anon folio were larger (same mappings)")
    # A cut that frees no more than one at a larger size only makes more folios.
    rows = [row for row, larger in zip(rows, [None, *rows[:-1]], strict=True) if not larger or _frees_more(row, larger)]
    if len(rows) == 1:
        wasted = rows[0].wasted_bytes
        yield sentence(
            f"None of the {format_bytes(wasted)} wasted would be free at any size."
            if wasted
            else "Nothing is wasted, so smaller folios would free nothing."
        )
    else:
        yield from _table(rows, survey, view)
    yield note(
        "This is the half of waste that mappings show. The other half is underuse: pages that are mapped but hold only "
        "zeroes because they were never written. It cannot be seen from /proc."
    )


def _frees_more(row: CutRow, larger: CutRow) -> bool:
    return row.freed_bytes != larger.freed_bytes


def _table(rows: Sequence[CutRow], survey: Survey, view: View) -> Iterator[RenderableType]:
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
