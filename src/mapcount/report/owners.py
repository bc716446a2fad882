"""Cgroups, programs, VMAs and folios: the tables behind `--by`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import first, left_out, note
from mapcount.report.table import WASTE, Column, View, tables
from mapcount.units import format_address, format_bytes, format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.survey.types import FolioRow, OwnerRow, VmaRow

_OWNER = (
    *map(Column, ("mms", "mapped", "anon-large", "file-large", "pmd", "folios", "part")),
    Column("wasted", style=WASTE),
)
_VMA = [
    Column("pid"),
    Column("process", text=True),
    Column("address"),
    *map(Column, ("size", "rss", "large", "part")),
    Column("wasted", style=WASTE),
    Column("what", text=True),
]
_FOLIO = [
    Column("id"),
    *(Column(title, text=True) for title in ("kind", "by", "state", "verdict")),
    *map(Column, ("size", "pages", "mappings", "mms", "one pid")),
    Column("wasted", style=WASTE),
]


def owners(rows: Sequence[OwnerRow], title: str, view: View) -> Iterator[RenderableType]:
    """Yield the table of cgroups or programs, most waste first."""
    ranked = sorted(rows, key=lambda row: (-row.wasted_bytes, -row.anon_large_bytes - row.file_large_bytes, row.name))
    yield from tables(
        [Column(title, text=True), *_OWNER],
        [
            [
                row.name or "(none)",
                format_count(row.mms),
                format_bytes(row.mapped_bytes),
                format_bytes(row.anon_large_bytes),
                format_bytes(row.file_large_bytes),
                format_bytes(row.pmd_mapped_bytes),
                format_count(row.large_folios),
                format_count(row.partially_mapped),
                format_bytes(row.wasted_bytes),
            ]
            for row in first(ranked, view.top)
        ],
        width=view.width,
    )
    yield from left_out(len(ranked), view.top)
    yield note("mapped: distinct pages, small ones included. A folio counts once in each row that maps it.")


def vmas(rows: Sequence[VmaRow], view: View) -> Iterator[RenderableType]:
    """Yield the table of VMAs, most waste first."""
    ranked = sorted(rows, key=lambda row: (-row.wasted_bytes, -row.anon_large_bytes - row.file_large_bytes, row.vma_id))
    yield from tables(
        _VMA,
        [
            [
                str(row.pid),
                row.comm,
                format_address(row.start),
                format_bytes(row.end - row.start),
                format_bytes(row.rss_bytes),
                format_bytes(row.anon_large_bytes + row.file_large_bytes),
                format_count(row.partially_mapped),
                format_bytes(row.wasted_bytes),
                row.path or "anon",
            ]
            for row in first(ranked, view.top)
        ],
        width=view.width,
    )
    yield from left_out(len(ranked), view.top)


def folios(rows: Sequence[FolioRow], view: View, page_size: int, total: int) -> Iterator[RenderableType]:
    """Yield the table of large folios, most waste first: of `total` at least those that `view` asks for."""
    ranked = sorted(rows, key=lambda row: (-row.wasted_bytes, -row.order, row.folio_id))
    yield from tables(
        _FOLIO,
        [
            [
                str(row.folio_id),
                row.kind,
                row.mapped,
                row.state,
                row.consistency.replace("_", " "),
                format_folio_size(row.order, page_size),
                format_count(row.mapped_pages),
                format_count(row.mappings),
                format_count(row.mms),
                row.pids.partition(" ")[0],
                format_bytes(row.wasted_bytes),
            ]
            for row in first(ranked, view.top)
        ],
        width=view.width,
    )
    yield from left_out(total, view.top)
    yield note("pages: mapped by anybody. mappings: over all pages; a PMD counts one per page.")
