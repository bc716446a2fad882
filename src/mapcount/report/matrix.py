"""The first screen: what is in large folios, and the matrix of sizes and states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import WASTE, Column, View, tables
from mapcount.report.text import plural
from mapcount.units import format_bytes, format_count, format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from mapcount.survey.types import SizeRow, Survey


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the headline and the matrix."""
    yield from (sentence(words) for words in headline(survey))
    yield heading("Folios by size and state (mappings seen)")
    yield from matrix(survey, view)
    unknown = ", unknown" if any(row.unknown for row in survey.sizes) else ""
    yield note(
        f"full, part, excl, shared{unknown} count folios. mapped: pages with a mapping, each once. full, part: all pages "
        "are mapped, or only some. excl: mapped by one address space. wasted: anon pages that nothing maps, of folios "
        "not in the swap cache."
    )


def headline(survey: Survey) -> Iterator[str]:
    """Yield what to know first, a sentence each."""
    anon = [row for row in survey.sizes if row.kind == "anon" and row.order]
    folios, size, wasted = (_sum(anon, name) for name in ("folios", "bytes", "wasted_bytes"))
    if folios:
        share = f"{format_share(wasted, size)} wasted ({format_bytes(wasted)})" if wasted else "nothing wasted"
        yield f"{format_bytes(size)} in {plural(folios, 'large anon folio')}; {share} by partial mapping."
    else:
        yield "No large anon folio is mapped."
    cached = [row for row in survey.sizes if row.kind in {"file", "shmem"} and row.order]
    if cached:
        unmapped = _sum(cached, "unmapped_bytes")
        words = f"{format_bytes(unmapped)} of it not mapped, which is cache and no waste" if unmapped else "all mapped"
        count = plural(_sum(cached, "folios"), "large file and shmem folio")
        yield f"{format_bytes(_sum(cached, 'bytes'))} in {count}; {words}."
    scope = {"pids": " named by --pid", "cgroup": " of the cgroup"}.get(survey.meta.scope, "")
    yield f"Seen: the mappings of {plural(len(survey.processes), 'address space')}{scope}."
    if survey.meta.partial:
        yield f"PARTIAL: the capture ended before it saw everything ({survey.meta.partial})."


def matrix(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the table of kind and size by state; sizes without folios are left out, `unknown` if nothing is."""
    rows = [row for row in survey.sizes if row.folios]
    unknown = any(row.unknown for row in rows)
    titles = ["folios", "size", "mapped", "full", "part", "excl", "shared", *(["unknown"] if unknown else [])]
    columns = [Column("kind, size", text=True), *map(Column, titles), Column("wasted", style=WASTE)]
    cells = [
        [f"{row.kind} {format_folio_size(row.order, survey.meta.page_size)}", *_cells([row], unknown=unknown)]
        for row in rows
    ]
    yield from tables(columns, cells, width=view.width, totals=["total", *_cells(rows, unknown=unknown)])


def _cells(rows: Iterable[SizeRow], *, unknown: bool) -> list[str]:
    rows = list(rows)
    count = {
        name: format_count(_sum(rows, name)) for name in ("fully_mapped", "partially_mapped", "exclusive", "shared")
    }
    return [
        format_count(_sum(rows, "folios")),
        format_bytes(_sum(rows, "bytes")),
        format_bytes(_sum(rows, "mapped_bytes")),
        *count.values(),
        *([format_count(_sum(rows, "unknown"))] if unknown else []),
        format_bytes(_sum(rows, "wasted_bytes")),
    ]


def _sum(rows: Iterable[SizeRow], name: str) -> int:
    return sum(getattr(row, name) for row in rows)
