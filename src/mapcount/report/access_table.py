"""What kernels do to a folio's words inside an operation, beside what their schemes say: tables and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.kernels.access_comparison import Verdict
from mapcount.report.encoding import indented
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural
from mapcount.schemes.eras import parse_release
from mapcount.schemes.ops import Access
from mapcount.units import format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from mapcount.kernels.access_comparison import Comparison
    from mapcount.kernels.access_table import Row
    from mapcount.kernels.word_access import WordAccess

ACCESSES_SCHEMA_VERSION = 1
_MARKS = {Verdict.SAME: "", Verdict.COMPILER: "~", Verdict.ORDER: "!", Verdict.COUNTS: "!"}
_HOW = {Access.LOCKED: "LOCKed accesses to", Access.STORE: "plain stores to", Access.LOAD: "loads of"}
_KERNELS = 5
"""Columns of a table: with more there is no room for the names of operations."""
_TOLD = 3
"""Accesses that are shown from the first difference on."""


@dataclass(frozen=True)
class AccessCount:
    """How often an operation accesses a word."""

    access: str
    word: str
    kernel: int
    scheme: int


@dataclass(frozen=True)
class AccessRow:
    """One operation on one kernel. `others`: LOCKed accesses and stores to words that are not the scheme's."""

    release: str
    page_mapcount: bool
    scheme: str
    operation: str
    order: int
    verdict: str
    agrees: bool
    counts: tuple[AccessCount, ...]
    others: Mapping[str, int]
    first_difference: int | None


def access_table(rows: Sequence[Row], view: View) -> Iterator[RenderableType]:
    """Yield the number of accesses by operation and kernel, then what is not the scheme's."""
    ordered = sorted(rows, key=lambda row: (parse_release(row.release), not row.page_mapcount))
    kernels = list(dict.fromkeys(map(_kernel, ordered)))
    cells = {(row.operation, row.order, _kernel(row)): _cell(row.comparison) for row in rows}
    operations = list(dict.fromkeys((row.operation, row.order) for row in rows))
    yield heading("Accesses to the counters and flags of a folio, by operation and kernel")
    for first in range(0, len(kernels), _KERNELS):
        some = kernels[first : first + _KERNELS]
        yield from tables(
            [Column("operation, folio", text=True), *map(Column, some)],
            [
                [f"{name}, {format_folio_size(order)}", *(cells.get((name, order, kernel), "-") for kernel in some)]
                for name, order in operations
            ],
            width=view.width,
        )
    yield note(
        "LOCKed accesses + plain stores; r: loads of counters. ~: as the scheme has them, but for plain stores that the "
        "compiler swapped between two LOCKed ones. !: not what the scheme says. -: this kernel has no such folio, or was "
        "not recorded."
    )
    yield from _differences(rows)


def document(rows: Sequence[Row]) -> bytes:
    """Return all rows as JSON."""
    return indented({"schema_version": ACCESSES_SCHEMA_VERSION, "accesses": [_record(row) for row in rows]})


def _differences(rows: Sequence[Row]) -> Iterator[RenderableType]:
    wrong = [row for row in rows if not row.comparison.agrees]
    if not wrong:
        kernels = len({_kernel(row) for row in rows})
        yield sentence(f"\nAll {plural(len(rows), 'operation')} on {plural(kernels, 'kernel')}: as their schemes say.")
        return
    yield heading(f"Not what the scheme says: {format_count(len(wrong))} of {format_count(len(rows))}")
    for row in wrong:
        size = format_folio_size(row.order)
        yield sentence(f"\n{row.release}, {row.operation}, {size}: {row.comparison.verdict.value} than {row.scheme}")
        yield from (sentence(f"  {line}") for line in _difference(row.comparison))


def _difference(comparison: Comparison) -> Iterator[str]:
    for count in comparison.counts:
        if count.kernel != count.scheme:
            yield f"{_HOW[count.how]} {count.word}: kernel {count.kernel}, scheme {count.scheme}"
    at = comparison.first_difference or 0
    yield f"access {at} on, kernel: {_some(comparison.kernel[at:])}"
    yield f"access {at} on, scheme: {_some(comparison.scheme[at:])}"


def _some(accesses: Sequence[WordAccess]) -> str:
    told = [str(access) for access in accesses[:_TOLD]]
    return "; ".join([*told, "..."] if len(accesses) > _TOLD else told) or "nothing more"


def _cell(comparison: Comparison) -> str:
    locked, stores, loads = (
        sum(count.kernel for count in comparison.counts if count.how is how)
        for how in (Access.LOCKED, Access.STORE, Access.LOAD)
    )
    number = f"{loads}r" if loads else f"{locked}+{stores}" if stores else f"{locked}"
    return number + _MARKS[comparison.verdict]


def _kernel(row: Row) -> str:
    series = "{}.{}".format(*parse_release(row.release))
    return series if row.page_mapcount else f"{series} no-page"


def _record(row: Row) -> AccessRow:
    comparison = row.comparison
    return AccessRow(
        row.release,
        row.page_mapcount,
        row.scheme,
        row.operation,
        row.order,
        comparison.verdict.value,
        comparison.agrees,
        tuple(AccessCount(count.how.value, count.word, count.kernel, count.scheme) for count in comparison.counts),
        dict(comparison.others),
        comparison.first_difference,
    )
