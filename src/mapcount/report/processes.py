"""Processes: who holds most waste, who has most memory in large folios, and all of them in detail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import first, heading, left_out, note
from mapcount.report.table import WASTE, Column, View, tables
from mapcount.units import format_bytes, format_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.survey.types import ProcessRow, Survey

_SHORT = [
    Column("pid"),
    Column("process", text=True),
    *map(Column, ("rss", "anon-large", "file-large", "pmd", "folios", "part")),
    Column("wasted", style=WASTE),
]
_MEMORY = [
    Column("pid"),
    Column("process", text=True),
    *map(Column, ("rss", "pss", "uss", "swap", "hugetlb", "anon-large", "file-large")),
]
_FOLIOS = [
    Column("pid"),
    Column("process", text=True),
    Column("cgroup", text=True),
    *map(Column, ("folios", "pmd", "part", "view")),
    Column("wasted", style=WASTE),
]


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the two short lists of the report."""
    wasteful = [row for row in by_waste(survey.processes) if row.wasted_bytes]
    yield heading("Processes that hold most waste")
    if wasteful:
        yield from _short(wasteful, view)
    else:
        yield note("None: every page of the anon folios seen is mapped, or in the swap cache.")
    large = [row for row in by_large_bytes(survey.processes) if row.large_folios]
    if large:
        yield heading("Processes with most memory in large folios")
        yield from _short(large, view)
    yield note(
        "Waste of a folio that several map is divided among them. part: its anon folios of which nobody maps some page."
    )


def detail(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield all that is known of each process, most waste first: its memory, then its large folios."""
    rows = by_waste(survey.processes)
    shown = first(rows, view.top)
    yield heading("Memory of processes")
    yield from tables(_MEMORY, [_memory(row) for row in shown], width=view.width)
    yield heading("Large folios of processes")
    yield from tables(_FOLIOS, [_folios(row) for row in shown], width=view.width)
    yield from left_out(len(rows), view.top)
    yield note(
        "part: anon folios of which nobody maps some page. view: anon folios that are mapped whole, but not by this "
        "process alone. rss without zero pages and hugetlb, as the kernel counts it; ! after a name: not read in full."
    )


def by_waste(rows: Sequence[ProcessRow]) -> list[ProcessRow]:
    """Sort by waste, then by memory in large folios; the order of equals is that of their pids."""
    return sorted(rows, key=lambda row: (-row.wasted_bytes, -row.anon_large_bytes - row.file_large_bytes, row.pid))


def by_large_bytes(rows: Sequence[ProcessRow]) -> list[ProcessRow]:
    """Sort by memory in large folios, anon and file together."""
    return sorted(rows, key=lambda row: (-row.anon_large_bytes - row.file_large_bytes, row.pid))


def _short(rows: Sequence[ProcessRow], view: View) -> Iterator[RenderableType]:
    yield from tables(
        _SHORT,
        [
            [
                str(row.pid),
                name_of(row),
                format_bytes(row.rss_bytes),
                format_bytes(row.anon_large_bytes),
                format_bytes(row.file_large_bytes),
                format_bytes(row.pmd_mapped_bytes),
                format_count(row.large_folios),
                format_count(row.partially_mapped),
                format_bytes(row.wasted_bytes),
            ]
            for row in first(rows, view.top)
        ],
        width=view.width,
    )
    yield from left_out(len(rows), view.top)


def _memory(row: ProcessRow) -> list[str]:
    sizes = (row.rss_bytes, row.pss_bytes, row.uss_bytes, row.swap_bytes, row.hugetlb_bytes)
    return [str(row.pid), name_of(row), *map(format_bytes, (*sizes, row.anon_large_bytes, row.file_large_bytes))]


def _folios(row: ProcessRow) -> list[str]:
    return [
        str(row.pid),
        name_of(row),
        row.cgroup,
        format_count(row.large_folios),
        format_bytes(row.pmd_mapped_bytes),
        format_count(row.partially_mapped),
        format_count(row.partial_view),
        format_bytes(row.wasted_bytes),
    ]


def name_of(row: ProcessRow) -> str:
    """Return the name of a process, marked if not all of it was read."""
    return row.comm if row.complete else f"{row.comm} !"
