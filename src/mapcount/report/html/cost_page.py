"""The page of `cost`: LOCKed operations by operation, size and scheme, readers, and the struct page budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report.cost_tables import LEGEND, SCOPE
from mapcount.report.html.page import Chart, Column, Page, Section, Series, Table
from mapcount.units import format_folio_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.cost.budget import Budget
    from mapcount.cost.operations import Operation
    from mapcount.cost.price import Price
    from mapcount.cost.readers import ReaderPrice

_SCHEME, _FOLIO = Column("scheme", "scheme", "text"), Column("folio", "folio", "text")
_COUNTS = (
    Column("neither", "neither", says="LOCKed operations, those of _refcount among them, page by page"),
    Column("rmap", "rmap batched", says="one call of rmap for the run"),
    Column("references", "references batched", says="one operation on _refcount for the run"),
    Column("both", "both batched"),
    Column("stores", "stores", says="plain; this and what follows with both batched"),
    Column("loads", "loads"),
    Column("struct_pages", "struct pages", says="distinct; cache lines, of 64 bytes each"),
    Column("entries_read", "PTEs read", says="that the design looks at in order to count"),
    Column("bytes_per_folio", "bytes of counters", says="of one folio"),
)


def cost_page(
    prices: Sequence[Price], operations: Sequence[Operation], readers: Sequence[ReaderPrice], budgets: Sequence[Budget]
) -> Page:
    """Return the page of a price list; parts without rows are left out."""
    parts = [_operation(prices, operation) for operation in operations]
    parts += [_readers(readers), _budget(budgets)]
    return Page("cost", "What counting costs", [SCOPE, LEGEND], [part for part in parts if part.blocks])


def _operation(prices: Sequence[Price], operation: Operation) -> Section:
    mine = [price for price in prices if price.operation == operation.name and price.all_locked]
    rows = []
    ways: dict[tuple[str, int], dict[tuple[bool, bool], Price]] = {}
    for price in mine:
        ways.setdefault((price.scheme, price.order), {})[price.rmap_batched, price.references_batched] = price
    for (scheme, order), one in ways.items():
        best = one[True, True]
        locked = [one[way].all_locked for way in ((False, False), (True, False), (False, True), (True, True))]
        rest = [best.stores, best.loads, best.struct_pages, best.entries_read, best.bytes_per_folio]
        rows.append((scheme, order, [scheme, format_folio_size(order), *locked, *rest]))
    name, columns = operation.name, (_SCHEME, _FOLIO, *_COUNTS)
    largest = max((order for _, order, _ in rows), default=0)
    size = format_folio_size(largest)
    drawn = Table(f"{name}-largest", f"{name} of {size}", columns, [row for _, order, row in rows if order == largest])
    picture = Chart(
        f"{name}-chart",
        f"LOCKed operations of {name} on a folio of {size}",
        "bars",
        drawn.id,
        ["scheme"],
        [Series("neither", "page by page", "plain"), Series("both", "both batched", "second")],
        "count",
    )
    every = Table(f"{name}-sizes", f"{name}, all sizes", columns, [row for *_, row in rows], folded=True)
    return Section(
        name, name, f"{operation.says[0].upper()}{operation.says[1:]}.", [picture, drawn, every] if rows else []
    )


def _readers(readers: Sequence[ReaderPrice]) -> Section:
    columns = (
        _SCHEME,
        Column("reader", "reader", "text"),
        _FOLIO,
        Column("asked", "asked", says="times: a reader of pages is asked for each page, as smaps does"),
        Column("loads", "loads"),
        Column("struct_pages", "struct pages", says="distinct"),
        Column("entries_read", "PTEs read"),
    )
    rows = [
        [one.scheme, one.reader, format_folio_size(one.order), one.asked, one.loads, one.struct_pages, one.entries_read]
        for one in readers
    ]
    table = Table("readers-table", "Readers", columns, rows)
    return Section("readers", "Readers", "On a folio that two processes map by PTEs.", [table] if rows else [])


def _budget(budgets: Sequence[Budget]) -> Section:
    columns = (
        Column("struct_page_bytes", "struct page", "bytes"),
        Column("memmap_bytes_per_gib", "per GiB", "bytes"),
        Column("memmap_bytes", "of the machine", "bytes"),
        Column("saved_bytes", "saved", "bytes", "beside 64 bytes"),
        Column("fits_not", "schemes that do not fit", "text"),
    )
    rows = [
        [one.struct_page_bytes, one.memmap_bytes_per_gib, one.memmap_bytes, one.saved_bytes, ", ".join(one.fits_not)]
        for one in budgets
    ]
    table = Table("budget-table", "Sizes of struct page", columns, rows)
    how = "What the array of struct pages takes, and which designs need a count in each."
    return Section("budget", "Struct page budget", how, [table] if rows else [])
