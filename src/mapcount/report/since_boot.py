"""What the kernel counted since boot, per folio size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note
from mapcount.report.table import Column, View, tables
from mapcount.units import format_count, format_kernel_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.survey.types import Survey

_COUNTERS = {
    "faulted": "anon_fault_alloc",
    "fallback": "anon_fault_fallback",
    "split": "split",
    "deferred": "split_deferred",
    "swapped": "swpout",
    "now": "nr_anon",
    "part now": "nr_anon_partially_mapped",
}


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the counters of every size at which something happened; nothing where the kernel keeps none."""
    rows = [
        (row.size, [getattr(row, counter) for counter in _COUNTERS.values()])
        for row in survey.since_boot
        if any(getattr(row, counter) > 0 for counter in _COUNTERS.values())
    ]
    if not rows:
        return
    yield heading("Since boot, by size (folios; the kernel's own counters)")
    yield from tables(
        [Column("size", text=True), *map(Column, _COUNTERS)],
        [
            [format_kernel_size(size), *("-" if count < 0 else format_count(count) for count in counts)]
            for size, counts in rows
        ],
        width=view.width,
    )
    yield note(
        "deferred counts a folio once, however often it is unmapped in part, and also those that were exiting anyway. "
        "faulted does not contain what khugepaged collapsed or swap-in brought. now includes folios that nothing maps; "
        "a folio stays in part now until it is split or freed."
    )
