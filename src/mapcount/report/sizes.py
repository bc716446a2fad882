"""Sizes in detail: how folios are mapped (PMD, PTE), and how well aligned and contiguous their mappings are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note
from mapcount.report.matrix import matrix
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from mapcount.survey.types import Survey

_HOW = [Column("kind, size", text=True), *map(Column, ("pmd-mapped", "pmd", "pte", "both", "unmapped", "aligned"))]


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the matrix, then how folios are mapped, then the blocks that one hardware entry could hold."""
    rows = [row for row in survey.sizes if row.folios]
    names = [f"{row.kind} {format_folio_size(row.order, survey.meta.page_size)}" for row in rows]
    yield from matrix(survey, view)
    yield heading("How they are mapped")
    yield from tables(
        _HOW,
        [
            [
                name,
                format_bytes(row.pmd_mapped_bytes),
                format_count(row.pmd_only),
                format_count(row.pte_only),
                format_count(row.pmd_and_pte),
                format_bytes(row.unmapped_bytes),
                format_share(row.aligned_bytes, row.run_bytes),
            ]
            for name, row in zip(names, rows, strict=True)
        ],
        width=view.width,
    )
    yield note(
        "pmd, pte, both: folios by the entries that map them. aligned: share of the mapped bytes (each mapping counts) "
        "whose address is congruent to their place in the folio."
    )
    blocks = sorted({int(size) for row in rows for size in row.contiguous_bytes})
    if blocks:
        yield heading("Mapped bytes in contiguous, aligned blocks of at least")
        yield from tables(
            [Column("kind, size", text=True), *(Column(format_folio_size(0, size)) for size in blocks)],
            [
                [name, *(format_share(row.contiguous_bytes.get(str(size), 0), row.run_bytes) for size in blocks)]
                for name, row in zip(names, rows, strict=True)
                if row.contiguous_bytes
            ],
            width=view.width,
        )
