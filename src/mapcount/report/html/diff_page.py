"""The page of `diff`: two snapshots, what each number was and is, and by how much it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report import provenance
from mapcount.report.html.page import Chart, Column, Facts, Page, Section, Series, Table, Tone
from mapcount.report.text import plural
from mapcount.units import format_folio_size, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mapcount.mapping.snapshot import Metadata
    from mapcount.report.html.page import Unit
    from mapcount.survey.diff import Delta, Difference, ProcessDelta, SizeDelta

MOST_ROWS = 2_000
_TOP = 20
_LINES = 6
_TONES: tuple[Tone, ...] = ("whole", "part", "whole-shared", "waste", "plain", "third")
_SIZE = {
    "bytes": "memory", "mapped_bytes": "mapped", "wasted_bytes": "wasted", "pmd_mapped_bytes": "pmd-mapped",
    "folios": "folios", "partially_mapped": "part", "exclusive": "excl", "shared": "shared",
}  # fmt: skip
_PROCESS = {
    "rss_bytes": "rss", "pss_bytes": "pss", "uss_bytes": "uss", "anon_large_bytes": "anon-large",
    "file_large_bytes": "file-large", "wasted_bytes": "wasted", "large_folios": "folios", "partially_mapped": "part",
}  # fmt: skip


def diff_page(found: Difference, before: Metadata, after: Metadata) -> Page:
    """Return the page of two snapshots compared."""
    passed_s = after.started_at - before.started_at
    when = f"{format_seconds(abs(passed_s))} {'earlier' if passed_s < 0 else 'later'}"
    sizes = [row for row in found.sizes if _changed(row.values)]
    processes = [row for row in found.processes if _changed(row.values) or row.processes.delta]
    lead = [
        f"{before.host} at {before.kernel_release}, then {after.host} at {after.kernel_release}, {when}.",
        f"{plural(len(sizes), 'kind and size', 'kinds and sizes')} of folio and "
        f"{plural(len(processes), 'process', 'processes')} changed."
        if sizes or processes
        else "No difference.",
        *found.notes,
    ]
    sections = (
        _timeline(found.sizes, before, after),
        _sizes(sizes, after.page_size),
        _processes(processes),
        _obtained("before", "How the first was obtained", before),
        _obtained("after", "How the second was obtained", after),
    )
    title = f"What changed on {after.host or 'a machine'} in {format_seconds(abs(passed_s))}"
    return Page("diff", title, lead, [section for section in sections if section])


def _changed(values: Mapping[str, Delta]) -> bool:
    return any(value.delta for value in values.values())


def _name(row: SizeDelta, page_size: int) -> str:
    return f"{row.kind} {format_folio_size(row.order, page_size)}"


def _timeline(rows: Sequence[SizeDelta], before: Metadata, after: Metadata) -> Section | None:
    """Return a line for each of the largest kinds and sizes, from the one time to the other, and one for all waste."""
    if not rows:
        return None
    largest = sorted(rows, key=lambda row: -max(row.values["bytes"].before, row.values["bytes"].after))[:_LINES]
    names = [_name(row, after.page_size) for row in largest]
    waste = [row.values["wasted_bytes"] for row in rows]
    columns = [Column("when", "when", "text"), *(Column(name, name, "bytes") for name in names)]
    columns.append(Column("wasted", "wasted, all sizes", "bytes"))
    cells: list[list[str | int]] = []
    for end, meta in (("before", before), ("after", after)):
        sizes = [getattr(row.values["bytes"], end) for row in largest]
        cells.append([provenance.utc(meta.started_at), *sizes, sum(getattr(value, end) for value in waste)])
    series = [Series(name, name, _TONES[i]) for i, name in enumerate(names)]
    wasted = [Series("wasted", "wasted, all sizes", "waste")]
    return Section(
        "timeline",
        "Then and now",
        f"Each line is memory in one kind and size of folio, from the first snapshot to the second; the {_LINES} largest. "
        "Below: memory of anon folios that nobody maps.",
        [
            Chart("timeline-chart", "Memory by kind and size", "lines", "timeline-table", ("when",), series, "bytes"),
            Chart("timeline-waste", "Wasted memory", "lines", "timeline-table", ("when",), wasted, "bytes"),
            Table("timeline-table", "Then and now", columns, cells, folded=True),
        ],
    )


def _columns(names: Mapping[str, str]) -> list[Column]:
    columns = []
    for key, title in names.items():
        unit: Unit = "bytes" if key.endswith("_bytes") or key == "bytes" else "count"
        change: Unit = "change_bytes" if unit == "bytes" else "change_count"
        columns += [Column(key, title, unit, "in the second"), Column(f"{key}:change", f"{title} change", change)]
    return columns


def _values(values: Mapping[str, Delta], names: Mapping[str, str]) -> list[int]:
    return [number for key in names for number in (values[key].after, values[key].delta)]


def _sizes(rows: Sequence[SizeDelta], page_size: int) -> Section | None:
    if not rows:
        return None
    columns = [Column("name", "kind, size", "text"), *_columns(_SIZE)]
    cells = [[_name(row, page_size), *_values(row.values, _SIZE)] for row in rows]
    series = [Series("bytes:change", "memory", "whole"), Series("wasted_bytes:change", "wasted", "waste")]
    return Section(
        "sizes",
        "Sizes: the change",
        "Bars to the right: more than before; to the left: less. Kinds and sizes of which no number changed are left out.",
        [
            Chart("sizes-chart", "Change of memory", "bars", "sizes-table", ("name",), series, "change_bytes"),
            Table("sizes-table", "Folios by size", columns, cells),
        ],
    )


def _processes(rows: Sequence[ProcessDelta]) -> Section | None:
    if not rows:
        return None
    columns = [
        Column("pid", "pid", "text"),
        Column("comm", "process", "text"),
        Column("processes", "processes", "count", "1 for a process; for a program, how many there are in the second"),
        Column("processes:change", "processes change", "change_count"),
        *_columns(_PROCESS),
    ]
    cells = [
        [str(row.pid or "-"), row.comm, row.processes.after, row.processes.delta, *_values(row.values, _PROCESS)]
        for row in rows[:MOST_ROWS]
    ]
    series = [Series("rss_bytes:change", "rss", "whole"), Series("wasted_bytes:change", "wasted", "waste")]
    return Section(
        "processes",
        "Processes: the change",
        f"Bars are the change of Rss and of waste, the {_TOP} largest. Without a pid: all processes of that name that have no "
        "counterpart in the other snapshot.",
        [
            Chart(
                "processes-chart", "Change of Rss and waste", "bars", "processes-table", ("comm", "pid"), series,
                "change_bytes", top=_TOP,
            ),
            Table("processes-table", "Processes", columns, cells, left_out=len(rows) - len(cells)),
        ],
    )  # fmt: skip


def _obtained(name: str, title: str, meta: Metadata) -> Section:
    facts = Facts(f"{name}-facts", title, provenance.lines(meta))
    return Section(name, title, "", [facts], [f"Note: {words}" for words in meta.notes])
