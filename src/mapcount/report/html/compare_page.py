"""The page of `compare`: the same mappings counted in several ways, each number beside the truth."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from mapcount.report import comparison as printed
from mapcount.report.html.page import Chart, Column, Page, Section, Series, Table, Tone
from mapcount.report.html.report_page import obtained, title_of
from mapcount.report.text import plural
from mapcount.units import format_bytes, format_folio_size
from mapcount.views.answers import Answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.report.html.page import Block
    from mapcount.views.comparison import Comparison, Found, Number

_TONES: tuple[Tone, ...] = ("whole", "part", "whole-shared", "waste", "plain", "third", "part-shared", "second")
_TOP = 20
_SCHEME = Column("scheme", "scheme", "text")
MOST_ROWS = 2_000


def compare_page(comparison: Comparison) -> Page:
    """Return the page of one comparison."""
    sections = (
        _numbers(comparison),
        _by_past(comparison),
        _processes(comparison),
        _cgroups(comparison),
        _found(comparison),
        _answers(comparison),
        obtained(comparison.meta),
    )
    return Page(
        command="compare",
        title=f"{title_of(comparison.meta)}: counted in several ways",
        lead=_lead(comparison),
        sections=[section for section in sections if section],
    )


def _lead(comparison: Comparison) -> list[str]:
    told = [f"The kernel that these mappings are from counts by {comparison.running}."]
    for scheme in printed.shown_schemes(comparison):
        differing = [row for row in comparison.numbers if row.values[scheme] != row.truth]
        words = "every number is the truth" if not differing else f"{plural(len(differing), 'number')} off the truth"
        told.append(f"Under {scheme} {words}.")
    return [*told, *comparison.notes]


def _numbers(comparison: Comparison) -> Section:
    shown = printed.shown_schemes(comparison)
    columns = [
        Column("name", "number", "text", "as /proc names it"),
        Column("unit", "unit", "text"),
        Column("truth", "truth", "by_unit", "from page tables alone, mappings seen"),
        *(Column(scheme, scheme, "by_unit") for scheme in shown),
        *(Column(f"{scheme}:percent", f"{scheme}, off by", "percent", "of the truth") for scheme in shown),
    ]
    rows = [
        [row.name, row.unit, row.truth, *(row.values[s] for s in shown), *(_percent(row, s) for s in shown)]
        for row in comparison.numbers
    ]
    series = [Series(f"{scheme}:percent", scheme, _TONES[i % len(_TONES)]) for i, scheme in enumerate(shown)]
    return Section(
        "numbers",
        "What user space would read",
        "For each number of /proc, and each way of counting, a bar is how far it is off the truth, in percent of the truth. "
        "No bar: it is the truth.",
        [
            Chart("numbers-chart", "Off the truth, in percent", "bars", "numbers-table", ("name",), series, "percent"),
            Table("numbers-table", "Numbers by way of counting", columns, rows),
        ],
    )


def _percent(row: Number, scheme: str) -> float:
    return round(100 * (row.values[scheme] - row.truth) / row.truth, 2) if row.truth else 0.0


def _by_past(comparison: Comparison) -> Section | None:
    rows = [
        [row.name, scheme, row.unit, row.truth, row.values[scheme], row.least[scheme], row.most[scheme]]
        for row in comparison.numbers
        for scheme in printed.shown_schemes(comparison)
        if row.least[scheme] != row.most[scheme]
    ]
    if not rows:
        return None
    columns = (
        Column("name", "number", "text"),
        Column("scheme", "scheme", "text"),
        Column("unit", "unit", "text"),
        Column("truth", "truth", "by_unit"),
        Column("value", "after the usual past", "by_unit"),
        Column("least", "at least", "by_unit"),
        Column("most", "at most", "by_unit"),
    )
    return Section(
        "pasts",
        "If it came about otherwise",
        "A snapshot has no past. Above, folios are taken to have been mapped whole, shared by fork and trimmed last; here are "
        f"the extremes over {plural(len(comparison.histories), 'past')} that lead to the same mappings.",
        [Table("pasts-table", "Numbers that depend on the past", columns, rows)],
    )


def _processes(comparison: Comparison) -> Section:
    title = "Processes furthest from the truth"
    if not comparison.processes:
        how = "None: every number of every process is the truth under all of these, whatever the past."
        return Section("processes", title, how, [])
    who = (Column("pid", "pid", "number"), Column("comm", "process", "text"))
    return _owned("processes", title, "one process", who, comparison.processes, comparison)


def _cgroups(comparison: Comparison) -> Section | None:
    if not comparison.cgroups:
        return None
    title = "Cgroups furthest from the truth"
    who = (Column("cgroup", "cgroup", "text"),)
    return _owned("cgroups", title, "one cgroup, without its children's", who, comparison.cgroups, comparison)


def _owned(
    name: str, title: str, whose: str, who: Sequence[Column], numbers: Sequence[Number], comparison: Comparison
) -> Section:
    """Return numbers that are somebody's: `who` are the fields that say whose."""
    shown = printed.shown_schemes(comparison)
    columns = [
        *who,
        Column("name", "number", "text"),
        Column("unit", "unit", "text"),
        Column("truth", "truth", "by_unit"),
        *(Column(scheme, scheme, "by_unit") for scheme in shown),
        *(Column(f"{scheme}:off", f"{scheme}, off by", "change_by_unit") for scheme in shown),
    ]
    rows = [
        [*(getattr(row, column.key) for column in who), row.name, row.unit, row.truth]
        + [row.values[scheme] for scheme in shown]
        + [row.values[scheme] - row.truth for scheme in shown]
        for row in numbers[:MOST_ROWS]
    ]
    series = [Series(f"{scheme}:off", scheme, _TONES[i % len(_TONES)]) for i, scheme in enumerate(shown)]
    chart = Chart(
        f"{name}-chart", f"Off the truth, the {_TOP} furthest of those in bytes", "bars", f"{name}-table",
        [*reversed([column.key for column in who]), "name"], series, "change_bytes", top=_TOP, only="bytes",
    )  # fmt: skip
    table = Table(f"{name}-table", title, columns, rows, left_out=len(numbers) - len(rows))
    how = f"A bar is a number of {whose}: to the right the kernel would say more than is true, to the left less."
    return Section(name, title, how, [chart, table])


_FOUND = (
    Column("missed", "missed"),
    Column("missed_bytes", "bytes missed", "bytes"),
    Column("missed_least_bytes", "at least", "bytes", "over all pasts"),
    Column("missed_most_bytes", "at most", "bytes", "over all pasts"),
    Column("mistaken", "mistaken", "count", "whole folios that are queued to be split"),
)


def _found(comparison: Comparison) -> Section:
    title = "Would partial mapping be noticed?"
    rows = [row for row in comparison.found if row.order is None]
    if not rows or not rows[0].folios:
        return Section("found", title, "No anon folio above order 1 is mapped in part, outside of the swap cache.", [])
    blocks: list[Block] = [
        Chart(
            "found-chart", "Memory that is not noticed", "bars", "found-table", ("scheme",),
            [
                Series("missed_bytes", "missed after the usual past", "waste"),
                Series("missed_most_bytes", "at most", "unknown"),
            ],
            "bytes",
        ),
        Table("found-table", "What the deferred split would miss", [_SCHEME, *_FOUND], _found_rows(rows)),
    ]  # fmt: skip
    sized = [row for row in comparison.found if row.order is not None]
    if sized:
        columns = [_SCHEME, Column("size", "size", "text"), Column("folios", "folios"), *_FOUND]
        cells = [
            [row.scheme, format_folio_size(row.order or 0, comparison.meta.page_size), row.folios, *values[1:]]
            for row, values in zip(sized, _found_rows(sized), strict=True)
        ]
        blocks.append(Table("found-sizes", "The same by size of folio", columns, cells, folded=True))
    return Section(
        "found",
        title,
        f"{plural(rows[0].folios, 'folio')} mapped in part, with {format_bytes(rows[0].unmapped_bytes)} that nobody maps. A "
        "bar is what of it a way of counting does not notice: it stays until the folio is unmapped whole, collapsed or "
        "swapped out.",
        blocks,
    )


def _found_rows(rows: Sequence[Found]) -> list[list[Any]]:
    return [[row.scheme, *(getattr(row, column.key) for column in _FOUND)] for row in rows]


def _answers(comparison: Comparison) -> Section | None:
    if not comparison.answers:
        return None
    by_scheme = printed.answers_by_scheme(comparison)
    columns = [Column("scheme", "scheme", "text"), *(Column(reader, reader, "text") for reader in printed.READERS)]
    rows = [
        [scheme, *(printed.verdict(printed.chosen(given, readers)) for readers in printed.READERS.values())]
        for scheme, given in by_scheme.items()
    ]
    detail = [Column(field.name, field.name.replace("_", " "), _unit(field.type)) for field in fields(Answers)]
    details = [[getattr(row, column.key) for column in detail] for row in comparison.answers]
    return Section(
        "answers",
        "Who answers what",
        f"A row is a way of counting, a column a question that the kernel asks of it. {printed.WORDS}",
        [
            Table("answers-table", "Who answers what", columns, rows),
            Table("answers-detail", "Answers beside the truth", detail, details, folded=True),
        ],
        ["A design that no kernel could be held against says so: mapcount schemes."],
    )


def _unit(annotation: Any) -> Any:
    return "text" if annotation == "str" else "change_count"
