"""Price lists for people: operations, readers, a workload, and the struct page budget."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.units import format_bytes, format_count, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.cost.budget import Budget
    from mapcount.cost.operations import Operation
    from mapcount.cost.price import Price
    from mapcount.cost.readers import ReaderPrice
    from mapcount.cost.workload import WorkloadPrice
    from mapcount.schemes.bind import BoundScheme

SCOPE = (
    "Counted by replaying the operation. R-M-W: LOCKed read-modify-writes, those of _refcount among them. Statistics and "
    "page tables come on top, the same in every design. What these cost in time, and who else wants the same cache line, "
    "is not in it."
)
LEGEND = (
    "neither .. both: LOCKed operations where rmap, references, neither or both take a run of pages at once. Then, with both: "
    "plain stores and loads, distinct struct pages (of 64 bytes: cache lines), page-table entries that the design looks at in "
    "order to count, and bytes of counters of a folio."
)


def operations(prices: Sequence[Price], known: Sequence[Operation], view: View) -> Iterator[RenderableType]:
    """Yield two tables for each operation: LOCKed operations by size, and all accesses of the largest folio."""
    yield heading("Price list: what counting costs, in accesses to a folio's struct pages")
    yield note(SCOPE)
    for operation in known:
        mine = [price for price in prices if price.operation == operation.name]
        if not mine:
            continue
        yield heading(f"{operation.name}: {operation.says}")
        if not any(price.all_locked for price in mine):
            yield sentence("Nothing is counted, in any design.")
            continue
        yield from _by_size(mine, view)
        yield from _in_full(mine, view)


def _by_size(prices: Sequence[Price], view: View) -> Iterator[RenderableType]:
    orders = sorted({price.order for price in prices})
    cells = {(price.scheme, price.order, price.rmap_batched, price.references_batched): price for price in prices}
    schemes = list(dict.fromkeys(price.scheme for price in prices))

    def cell(scheme: str, order: int) -> str:
        one, other = (cells[scheme, order, batched, batched].all_locked for batched in (False, True))
        return format_count(one) if one == other else f"{format_count(one)}/{format_count(other)}"

    yield from tables(
        [Column("R-M-W by page/batched", text=True), *(Column(format_folio_size(order)) for order in orders)],
        [[scheme, *(cell(scheme, order) for order in orders)] for scheme in schemes],
        width=view.width,
    )


def _in_full(prices: Sequence[Price], view: View) -> Iterator[RenderableType]:
    largest = max(price.order for price in prices)
    rows = []
    for scheme in dict.fromkeys(price.scheme for price in prices):
        one = {
            (price.rmap_batched, price.references_batched): price
            for price in prices
            if price.order == largest and price.scheme == scheme
        }
        best = one[True, True]
        counts = [one[ways].all_locked for ways in ((False, False), (True, False), (False, True), (True, True))]
        counts += [best.stores, best.loads, best.struct_pages, best.entries_read, best.bytes_per_folio]
        rows.append([scheme, *map(format_count, counts)])
    titles = ("neither", "rmap", "refs", "both", "stores", "loads", "pages", "PTEs", "bytes")
    yield from tables(
        [Column(f"{format_folio_size(largest)}, batched:", text=True), *map(Column, titles)], rows, width=view.width
    )


def legend(schemes: Sequence[BoundScheme]) -> list[RenderableType]:
    """Say what the columns of `operations` mean, and which schemes a real kernel was held against."""
    seen = [one.id for one in schemes if one.scheme.referee[0].isdigit()]
    return [
        sentence(""),
        note(LEGEND),
        note(f"Held against real kernels, access by access: {', '.join(seen) or 'none'}."),
    ]


def readers(prices: Sequence[ReaderPrice], view: View) -> Iterator[RenderableType]:
    """Yield what each reader touches, on the largest folio that was asked for."""
    largest = max(price.order for price in prices)
    yield heading(f"Readers, on a folio of {format_folio_size(largest)} that two processes map by PTEs")
    yield from tables(
        [
            Column("scheme", text=True),
            Column("reader", text=True),
            *map(Column, ("asked", "loads", "written", "pages", "PTEs")),
        ],
        [
            [
                price.scheme,
                price.reader,
                *map(
                    format_count,
                    (price.asked, price.loads, price.written, price.struct_pages, price.entries_read),
                ),
            ]
            for price in prices
            if price.order == largest
        ],
        width=view.width,
    )
    yield note("asked: a reader of pages is asked for each page, as smaps does. pages: distinct struct pages.")


def struct_page_budget(rows: Sequence[Budget], memory_bytes: int, view: View) -> Iterator[RenderableType]:
    """Yield what a smaller struct page saves, and which designs stand in its way."""
    yield heading(f"Struct page budget: {format_bytes(memory_bytes)} of memory")
    yield from tables(
        [Column("struct page"), Column("per GiB"), Column("here"), Column("saved"), Column("schemes that fit")],
        [
            [
                f"{row.struct_page_bytes} B",
                format_bytes(row.memmap_bytes_per_gib),
                format_bytes(row.memmap_bytes),
                format_bytes(row.saved_bytes),
                f"{len(row.fits)} of {len(row.fits) + len(row.fits_not)}",
            ]
            for row in rows
        ],
        width=view.width,
    )
    for row in rows:
        if row.fits_not:
            yield sentence(
                f"{row.struct_page_bytes} B has no room for a count of every page: {', '.join(row.fits_not)}"
            )


def workload(prices: Sequence[WorkloadPrice], of: str, view: View) -> Iterator[RenderableType]:
    """Yield the sums of a workload by scheme, then LOCKed operations by what was done."""
    yield heading(f"Price of {of}")
    schemes = list(dict.fromkeys(price.scheme for price in prices))
    names = ("calls", "R-M-W", "refs", "stores", "loads", "lines", "PTEs")
    yield from tables(
        [Column("scheme", text=True), Column("rmap", text=True), *map(Column, names)],
        [
            [scheme, "batched" if batched else "by page", *_sums(prices, scheme, batched=batched)]
            for scheme in schemes
            for batched in (False, True)
        ],
        width=view.width,
    )
    yield note(
        "R-M-W: LOCKed operations of the scheme; refs: those on _refcount, batched as rmap is. lines: cache lines of each "
        "call, added up. PTEs: entries that look-ups read."
    )
    ops = list(dict.fromkeys((price.op, price.level) for price in prices))
    locked: Counter[tuple[str, str, str]] = Counter()
    for price in prices:
        if price.rmap_batched:
            locked[price.scheme, price.op, price.level] += price.locked
    yield heading("R-M-W of the scheme by what was done, batched")
    yield from tables(
        [Column("scheme", text=True), *(Column(f"{op.partition('_')[0]} {level}") for op, level in ops)],
        [[scheme, *(format_count(locked[scheme, op, level]) for op, level in ops)] for scheme in schemes],
        width=view.width,
    )


def _sums(prices: Sequence[WorkloadPrice], scheme: str, *, batched: bool) -> list[str]:
    mine = [price for price in prices if price.scheme == scheme and price.rmap_batched == batched]
    refs = sum(price.references_batched if batched else price.references_by_page for price in mine)
    counts = [sum(price.calls for price in mine), sum(price.locked for price in mine), refs]
    counts += [sum(getattr(price, name) for price in mine) for name in ("stores", "loads", "lines", "entries_read")]
    return [format_count(count) for count in counts]
