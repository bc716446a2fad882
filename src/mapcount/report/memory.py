"""Where the machine's memory is: what was found and what the kernel says, adding up to MemTotal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_kib, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.survey.types import Survey

_COLUMNS = [Column("memory", text=True), *map(Column, ("size", "KiB", "share")), Column("from", text=True)]


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the parts of memory, each followed by the parts within it; nothing if MemTotal is not known."""
    if not survey.memory:
        return
    whole = survey.meta.mem_total_bytes or sum(row.size_bytes for row in survey.memory if not row.within)
    rows = []
    for part in (row for row in survey.memory if not row.within):
        rows.append((part.name, part))
        rows += [(f"  of it {inner.name}", inner) for inner in survey.memory if inner.within == part.name]
    yield heading("Where memory is")
    yield from tables(
        _COLUMNS,
        [
            [
                name,
                format_bytes(row.size_bytes),
                format_kib(row.size_bytes),
                format_share(row.size_bytes, whole),
                row.source,
            ]
            for name, row in rows
        ],
        width=view.width,
        totals=["MemTotal", format_bytes(whole), format_kib(whole), format_share(whole, whole), "kernel"],
    )
    if any(row.size_bytes < 0 for _, row in rows):
        yield note("A part below 0: the kernel's counters and our reading are not of the same instant.")
