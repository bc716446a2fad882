"""Who has the memory: processes, programs, cgroups, and what each of them wastes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.html.page import Chart, Column, Section, Series, Table
from mapcount.report.processes import by_waste, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.report.html.page import Block
    from mapcount.survey.types import OwnerRow, ProcessRow, Survey

MOST_ROWS = 2_000
"""As many rows of a table are in a page: those that hold most waste, then most memory in large folios."""
_TOP = 20

_FOLIO_COLUMNS = (
    Column("anon_large_bytes", "anon-large", "bytes", "mapped pages of large anon folios"),
    Column("file_large_bytes", "file-large", "bytes", "mapped pages of large file and shmem folios"),
    Column("pmd_mapped_bytes", "pmd", "bytes", "mapped by PMDs or PUDs"),
    Column("large_folios", "folios", "count", "large folios of which it maps at least one page"),
    Column("partially_mapped", "part", "count", "of these, anon folios of which nobody maps some page"),
    Column("wasted_bytes", "wasted", "bytes", "what nobody maps of anon folios, divided among those who map the rest"),
)
_PROCESS = (
    Column("pid", "pid", "number"),
    Column("comm", "process", "text", "! after a name: not read in full"),
    Column("cgroup", "cgroup", "text"),
    Column("rss_bytes", "rss", "bytes", "as the kernel's Rss: no zero pages, no hugetlb"),
    Column("pss_bytes", "pss", "bytes", "each page divided by its mappings"),
    Column("uss_bytes", "uss", "bytes", "pages with exactly one mapping"),
    *_FOLIO_COLUMNS,
    Column("partial_view", "view", "count", "anon folios that are mapped whole, but not by it alone"),
    Column("swap_bytes", "swap", "bytes"),
    Column("hugetlb_bytes", "hugetlb", "bytes"),
)
_OWNER = (
    Column("name", "name", "text"),
    Column("mms", "mms", "count", "address spaces"),
    Column("mapped_bytes", "mapped", "bytes", "distinct pages, small ones included"),
    *_FOLIO_COLUMNS,
)


def processes(rows: Sequence[ProcessRow]) -> Section | None:
    """Return the table of all processes, most waste first; none if none was seen."""
    if not rows:
        return None
    ranked = by_waste(rows)[:MOST_ROWS]
    cells = [[*(name_of(row) if c.key == "comm" else getattr(row, c.key) for c in _PROCESS)] for row in ranked]
    table = Table(
        "processes-table", "Processes", _PROCESS, cells, sort="wasted_bytes", picks="mm",
        keys=[row.mm_id for row in ranked], left_out=len(rows) - len(ranked),
    )  # fmt: skip
    return Section(
        "processes",
        "Processes",
        "A row is an address space, which several processes may share. Click a heading to sort, a row to see its folios in "
        "the map. The filter takes words of any name, and conditions such as wasted>1M or folios>=100; all must hold.",
        [table],
        ["Waste of a folio that several map is divided among them, rounded down."],
    )


def programs(rows: Sequence[OwnerRow]) -> Section | None:
    """Return the table of programs: all processes of one name."""
    return _owners(
        rows, "programs", "Programs", "program",
        "A row is all processes of one name. A folio counts once in each row that maps it, however many of its processes do.",
    )  # fmt: skip


def cgroups(rows: Sequence[OwnerRow]) -> Section | None:
    """Return the table of the cgroups that memory is charged to."""
    return _owners(
        rows, "cgroups", "Cgroups", "cgroup",
        "A row is a memory cgroup and what is charged to it, whoever maps it: a folio is charged once, and whole.",
    )  # fmt: skip


def _owners(rows: Sequence[OwnerRow], name: str, title: str, picks: str, how: str) -> Section | None:
    if not rows:
        return None
    shown = rows[:MOST_ROWS]
    cells = [[row.name or "(none)", *(getattr(row, column.key) for column in _OWNER[1:])] for row in shown]
    table = Table(
        f"{name}-table", title, _OWNER, cells, sort="wasted_bytes", picks=picks, keys=[row.name for row in shown],
        left_out=len(rows) - len(shown),
    )  # fmt: skip
    return Section(name, title, how, [table])


def waste(survey: Survey) -> Section:
    """Return who holds how much of the waste, as bars over the tables of processes, programs and cgroups."""
    wasted = [Series("wasted_bytes", "wasted", "waste")]
    charts: list[Block] = []
    owners: tuple[tuple[str, str, tuple[str, ...], Sequence[ProcessRow | OwnerRow]], ...] = (
        ("processes", "Waste by process", ("comm", "pid"), survey.processes),
        ("programs", "Waste by program", ("name",), survey.programs),
        ("cgroups", "Waste by cgroup", ("name",), survey.cgroups),
    )
    for name, caption, category, rows in owners:
        if any(row.wasted_bytes for row in rows):
            chart = Chart(f"waste-{name}", caption, "bars", f"{name}-table", category, wasted, "bytes", top=_TOP)
            charts.append(chart)
    how = (
        f"Bars are anon memory that nothing maps and that is not in the swap cache, the {_TOP} largest of each. It comes "
        "back when the folio is split or freed."
        if charts
        else "Nothing is wasted: every page of the anon folios seen is mapped, or in the swap cache."
    )
    return Section("waste", "Waste by owner", how, charts)
