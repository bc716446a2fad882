"""The page of `cost`: every price in it, in columns and charts that fit."""

from __future__ import annotations

from mapcount.cost.budget import budget
from mapcount.cost.operations import find_operations
from mapcount.cost.price import price_all
from mapcount.cost.readers import reader_prices
from mapcount.report.html.cost_page import cost_page
from mapcount.report.html.page import Chart, Table
from mapcount.schemes.catalogue import find_scheme

SCHEMES = [find_scheme(name) for name in ("mm-id", "table-pairs")]


def page_of(names=("fork", "remap", "munmap"), orders=(0, 3)):
    operations = find_operations(names)
    prices = list(price_all(SCHEMES, operations, orders))
    return cost_page(prices, operations, list(reader_prices(SCHEMES, orders)), budget(SCHEMES, 1 << 34))


def test_rows_fit_their_columns_and_charts_their_tables():
    page = page_of()
    found = {block.id: block for section in page.sections for block in section.blocks}
    assert [section.id for section in page.sections] == ["fork", "munmap", "readers", "budget"], "nothing of remap"
    assert len(found) == 3 + 3 + 1 + 1
    for block in found.values():
        if isinstance(block, Table):
            assert block.rows and all(len(row) == len(block.columns) for row in block.rows)
        if isinstance(block, Chart):
            keys = {column.key for column in found[block.table].columns}
            assert {*block.category, *(series.key for series in block.series)} <= keys


def test_values_by_hand():
    """8 pages that fork under mm-id: a flag and a count each, one lock; references on top."""
    (table,) = [block for section in page_of().sections for block in section.blocks if block.id == "fork-largest"]
    row = dict(zip([column.key for column in table.columns], table.rows[0], strict=True))
    assert (row["scheme"], row["folio"]) == ("mm-id", "32K")
    assert (row["neither"], row["rmap"], row["references"], row["both"]) == (24 + 8, 17 + 8, 24 + 1, 17 + 1)
