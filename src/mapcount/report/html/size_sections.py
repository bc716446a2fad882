"""What does not belong to one owner: sizes in detail, another way of counting, smaller folios, the machine's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.html.page import Chart, Column, Section, Series, Table
from mapcount.units import format_folio_size, format_kernel_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.survey.types import MemoryRow, SinceBootRow, Survey
    from mapcount.views.outlook import OutlookRow

_SIZE = (
    Column("kind", "kind", "text"),
    Column("size", "size", "text"),
    Column("folios", "folios"),
    Column("bytes", "memory", "bytes"),
    Column("mapped_bytes", "mapped", "bytes", "pages with at least one mapping, each once"),
    Column("fully_mapped", "full", "count", "folios all of whose pages are mapped by somebody"),
    Column("partially_mapped", "part", "count", "folios of which some page is mapped by nobody"),
    Column("exclusive", "excl", "count", "folios all of whose mappings belong to one address space"),
    Column("shared", "shared"),
    Column("unknown", "unknown", "count", "not every process was read and the kernel keeps no exact counts"),
    Column("unmapped_bytes", "unmapped", "bytes"),
    Column("wasted_bytes", "wasted", "bytes", "anon, not in the swap cache, mapped by nobody"),
    Column("pmd_mapped_bytes", "pmd-mapped", "bytes"),
    Column("pmd_only", "pmd", "count", "folios mapped by PMDs alone"),
    Column("pte_only", "pte", "count", "folios mapped by PTEs alone"),
    Column("pmd_and_pte", "both"),
)


def details(survey: Survey) -> Table:
    """Return the rows of sizes with all their columns, behind a line that opens them."""
    page_size = survey.meta.page_size
    rows = [
        [row.kind, format_folio_size(row.order, page_size), *(getattr(row, column.key) for column in _SIZE[2:])]
        for row in survey.sizes
    ]
    return Table("sizes-table", "All columns", _SIZE, rows, folded=True)


def outlook(rows: Sequence[OutlookRow] | None) -> Section:
    """Return what would change if the kernel stopped counting per page."""
    title = "Without counts per page"
    more = "By process, by folio, in other ways of counting: mapcount compare --html FILE."
    if rows is None:
        words = (
            "There is nothing to compare: this kernel keeps no counts per page already, or it is not known how it counts, or "
            "no large folio is mapped."
        )
        return Section("outlook", title, words, [], [more])
    changed = [row for row in rows if row.without != row.now]
    if not changed:
        return Section("outlook", title, "No number of /proc would change, with these mappings.", [], [more])
    columns = (
        Column("name", "number", "text", "as /proc names it"),
        Column("unit", "unit", "text"),
        Column("truth", "truth", "by_unit", "from page tables alone"),
        Column("now", "now", "by_unit", "as the kernel of this snapshot counts"),
        Column("without", "then", "by_unit", "with CONFIG_NO_PAGE_MAPCOUNT"),
        Column("change", "change", "change_by_unit"),
        Column("percent", "change, %", "percent", "of what it is now"),
    )
    cells = [
        [row.name, row.unit, row.truth, row.now, row.without, row.without - row.now, _percent(row)] for row in rows
    ]
    table = Table("outlook-table", "Numbers of /proc, now and then", columns, cells)
    chart = Chart(
        "outlook-chart", "Change of each number, in percent of what it is now", "bars", "outlook-table", ("name",),
        [Series("percent", "change", "plain")], "percent",
    )  # fmt: skip
    return Section(
        "outlook",
        title,
        "With CONFIG_NO_PAGE_MAPCOUNT the kernel counts mappings per folio alone, and what /proc says of pages becomes an "
        "estimate. A bar is by how much each number would change with the very mappings of this snapshot.",
        [chart, table],
        ["Of the mappings seen, after the usual past: folios mapped whole, shared by fork, trimmed last.", more],
    )


def _percent(row: OutlookRow) -> float:
    return round(100 * (row.without - row.now) / row.now, 2) if row.now else 0.0


def cuts(survey: Survey) -> Section | None:
    """Return what there would be if anon folios were no larger than each size; nothing if nothing would change."""
    if not any(row.wasted_bytes or row.freed_bytes for row in survey.cuts):
        return None
    columns = (
        Column("size", "at most", "text", "no anon folio is larger"),
        Column("folios", "folios", "count", "pieces with at least one mapped page, order 0 included"),
        Column("wasted_bytes", "wasted", "bytes"),
        Column("freed_bytes", "freed", "bytes", "wasted today, given back"),
    )
    rows = [
        [format_folio_size(row.order, survey.meta.page_size), row.folios, row.wasted_bytes, row.freed_bytes]
        for row in survey.cuts
    ]
    series = [Series("wasted_bytes", "wasted", "waste"), Series("freed_bytes", "freed", "whole-shared")]
    return Section(
        "cuts",
        "If folios were smaller",
        "The same mappings, with every anon folio cut into pieces of at most the size below: what would still be wasted, and "
        "what would be given back. From right to left folios get smaller.",
        [
            Chart("cuts-chart", "Wasted and freed by largest size", "lines", "cuts-table", ("size",), series, "bytes"),
            Table("cuts-table", "Wasted and freed by largest size", columns, rows, folded=True),
        ],
        ["Not the other half of waste: pages that are mapped but were never written cannot be seen from /proc."],
    )


def memory(rows: Sequence[MemoryRow]) -> Section | None:
    """Return where the machine's memory is."""
    if not rows:
        return None
    columns = (
        Column("name", "part", "text"),
        Column("size_bytes", "memory", "bytes"),
        Column("source", "from", "text", "found by us, the kernel's own, or derived"),
        Column("within", "a part of", "text", "empty: of MemTotal"),
    )
    cells = [[row.name, row.size_bytes, row.source, row.within] for row in rows]
    return Section(
        "memory",
        "The machine's memory",
        "The rows that are no part of another add up to MemTotal.",
        [Table("memory-table", "Memory", columns, cells)],
    )


def since_boot(rows: Sequence[SinceBootRow]) -> Section | None:
    """Return what the kernel's counters per size say happened since boot; a value that could not be read is -1."""
    if not rows:
        return None
    names = (
        "anon_fault_alloc", "anon_fault_fallback", "split", "split_deferred", "swpout", "nr_anon",
        "nr_anon_partially_mapped",
    )  # fmt: skip
    columns = (Column("size", "size", "text"), *(Column(name, name) for name in names))
    cells = [[format_kernel_size(row.size), *(getattr(row, name) for name in names)] for row in rows]
    return Section(
        "since-boot",
        "Since boot",
        "The kernel's own counters of each size of anon folio (hugepages-*/stats): events since boot, and what there is now. "
        "-1: could not be read.",
        [Table("since-boot-table", "Counters", columns, cells)],
    )
