"""Two snapshots compared, for people and programs: what is there now, and by how much it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mapcount.report.encoding import indented
from mapcount.report.layout import first, heading, left_out, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import printable
from mapcount.units import format_bytes, format_count, format_folio_size, format_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import RenderableType

    from mapcount.mapping.snapshot import Metadata
    from mapcount.survey.diff import Delta, Difference, ProcessDelta, SizeDelta

DIFF_SCHEMA_VERSION = 1
_SIZE_COUNTS = {"folios": "folios", "part": "partially_mapped"}
_SIZE_BYTES = {"size": "bytes", "wasted": "wasted_bytes"}
_PROCESS_BYTES = {"rss": "rss_bytes", "anon-large": "anon_large_bytes", "wasted": "wasted_bytes"}


def section(difference: Difference, before: Metadata, after: Metadata, view: View) -> Iterator[RenderableType]:
    """Yield what changed; rows without a change are left out."""
    passed_s = after.started_at - before.started_at
    when = f"{format_seconds(abs(passed_s))} {'earlier' if passed_s < 0 else 'later'}"
    yield sentence(f"{before.host} at {before.kernel_release}, then {after.host} at {after.kernel_release}, {when}.")
    yield from (note(f"Note: {printable(words)}") for words in difference.notes)
    sizes = [row for row in difference.sizes if _changed(row.values)]
    processes = [row for row in difference.processes if _changed(row.values) or row.processes.delta]
    if not sizes and not processes:
        yield sentence("No difference.")
        return
    if sizes:
        yield heading("Folios by size: now, and the change")
        yield from tables(
            [Column("kind, size", text=True), *_pairs([*_SIZE_COUNTS, *_SIZE_BYTES])],
            [_size_cells(row, after.page_size) for row in sizes],
            width=view.width,
        )
    if processes:
        yield heading("Processes, largest change of rss first: now, and the change")
        yield from tables(
            [Column("pid"), Column("process", text=True), *_pairs(_PROCESS_BYTES)],
            [_process_cells(row) for row in first(processes, view.top)],
            width=view.width,
        )
        yield from left_out(len(processes), view.top)
        if any(not row.pid for row in processes):
            yield note(
                "Without a pid: all processes of that name that have no counterpart; their number and its change."
            )


def differs(difference: Difference) -> bool:
    """Say whether anything changed, and be it the number of processes."""
    rows: list[Any] = [*difference.sizes, *difference.processes]
    return any(_changed(row.values) for row in rows) or any(row.processes.delta for row in difference.processes)


def document(difference: Difference, before: Metadata, after: Metadata) -> bytes:
    """Return the difference as indented JSON: `schema_version`, `before` and `after` (metadata), and its records."""
    fields = {name: getattr(difference, name) for name in ("same_boot", "sizes", "processes", "notes")}
    whole = {"schema_version": DIFF_SCHEMA_VERSION, "before": before, "after": after, **fields}
    return indented(whole)


def _pairs(titles: Any) -> list[Column]:
    return [column for title in titles for column in (Column(title), Column("change"))]


def _changed(values: Mapping[str, Delta]) -> bool:
    return any(value.delta for value in values.values())


def _both(value: Delta, form: Callable[[int], str]) -> list[str]:
    sign = "+" if value.delta > 0 else ""
    return [form(value.after), f"{sign}{form(value.delta)}"]


def _size_cells(row: SizeDelta, page_size: int) -> list[str]:
    cells = [f"{row.kind} {format_folio_size(row.order, page_size)}"]
    for name in _SIZE_COUNTS.values():
        cells += _both(row.values[name], format_count)
    for name in _SIZE_BYTES.values():
        cells += _both(row.values[name], format_bytes)
    return cells


def _process_cells(row: ProcessDelta) -> list[str]:
    number = row.processes
    name = row.comm if row.pid else f"{row.comm} ({number.after}, {number.delta:+d})"
    cells = [str(row.pid) if row.pid else "-", name]
    for field in _PROCESS_BYTES.values():
        cells += _both(row.values[field], format_bytes)
    return cells
