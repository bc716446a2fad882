"""How many pages of a folio calls of rmap covered, for programs in a guest: a table for each kernel, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.encoding import indented
from mapcount.report.layout import heading, note
from mapcount.report.table import Column, View, tables
from mapcount.units import format_count, format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.kernels.usual_case import Measured, UsualCase

USUAL_CASE_SCHEMA_VERSION = 1
_COLUMNS = (
    *(Column(name, text=True) for name in ("program", "anon folios", "does", "folio", "by")),
    *map(Column, ("calls", "one page", "whole", "median")),
)


def usual_case(measured: Sequence[Measured], view: View) -> Iterator[RenderableType]:
    """Yield a table for each kernel, and what the columns are."""
    for one in measured:
        yield heading(f"Calls of rmap on large folios: {one.release}")
        yield from tables(list(_COLUMNS), [cells for run in one.runs for cells in _run(one, run)], width=view.width)
    yield note(
        "anon folios: the sizes that anon memory gets wherever they fit. one page, whole: share of the calls that covered "
        "one page of the folio, or all of it. median: pages that half of the calls covered, or fewer. Calls on folios of one "
        "page are not seen: there is nothing to batch. One run each; counts vary from run to run."
    )


def document(measured: Sequence[Measured]) -> bytes:
    """Return all that was counted as JSON."""
    return indented({"schema_version": USUAL_CASE_SCHEMA_VERSION, "usual_case": measured})


def _run(one: Measured, run: tuple[str, str]) -> Iterator[list[str]]:
    sizes, program = run
    rows = [row for row in one.rows if (row.sizes, row.program) == run]
    for row in rows:
        yield [program, sizes, *_cells(row)]
    if not rows:
        yield [program, sizes, "no call", "-", "-", "0", "-", "-", "-"]


def _cells(row: UsualCase) -> list[str]:
    return [
        row.change.value,
        format_folio_size(row.order),
        "PMD" if row.by_pmd else "PTE",
        format_count(row.calls),
        format_share(row.of_one_page, row.calls),
        format_share(row.of_the_whole_folio, row.calls),
        format_count(row.median_pages),
    ]
