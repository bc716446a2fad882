"""Scripts of the page as functions, called in a browser: numbers as Python writes them, and the layout of the map."""

from __future__ import annotations

import random
from importlib.resources import files

import numpy as np
import pytest

from mapcount.units import format_bytes, format_count, format_folio_size, format_share

SIZES = [0, 1, 1023, 1024, 999 * 1024, 1023487, 1023488, 6553600, 104805171, 104805172, 5 << 40, 4095 << 40]
TIES = [(n << 20) + (n % 10) * 52428 + (1 << 19) for n in range(23)] + [(2 * n + 1) << 18 for n in range(400)]


@pytest.fixture(scope="module")
def blank(chromium):
    """Give a page that holds nothing."""
    page = chromium.new_page()
    yield page
    page.close()


def call(page, names, expression, argument):
    """Run scripts of js/, then return what the expression is for `argument`."""
    sources = [(files("mapcount.report.html") / "js" / f"{name}.js").read_text() for name in names]
    body = "\n".join(sources)
    return page.evaluate(f"(argument) => {{ {body}\nreturn {expression.strip()}; }}", argument)


def test_numbers_read_as_in_the_terminal(blank):
    choose = random.Random(7919)
    sizes = (
        SIZES + TIES + [-size for size in SIZES] + [choose.randrange(1 << choose.randrange(1, 50)) for _ in range(997)]
    )
    assert call(blank, ["format"], "argument.map(formatBytes)", sizes) == list(map(format_bytes, sizes))
    assert call(blank, ["format"], "argument.map(formatCount)", sizes) == list(map(format_count, sizes))
    assert call(blank, ["format"], "argument.map((o) => formatFolioSize(o, 4096))", list(range(19))) == [
        format_folio_size(order) for order in range(19)
    ]
    assert call(blank, ["format"], "formatShare(...argument)", [7, 0]) == format_share(7, 0)


LAYOUT = """
(() => {
    store = argument;
    store.count = store.folios.order.length;
    store.binCount = store.bins.order.length;
    store.pairBegin = new Uint32Array(store.count + 1);
    const layout = layOut(store.grouping, 2);
    const { cells } = layout;
    const rows = [...cells.start.keys()].map((i) => [cells.x[i], cells.y[i], ...extentOf(cells.order[i]), cells.ref[i]]);
    const found = rows.map(([x, y, w, h]) => cellOf(layout, placeAt(layout, x + w - 0.5, y + h / 2)));
    const outside = [[-1, 0], [0, layout.height], [layout.width + 1, 1]].map(([x, y]) => placeAt(layout, x, y));
    return { width: layout.width, height: layout.height, rows, found, outside, groups: layout.groups };
})()
"""


@pytest.mark.parametrize("seed", range(5))
def test_layout_is_to_scale_and_nothing_overlaps(blank, seed):
    choose = random.Random(seed)
    orders = [choose.choice([1, 2, 4, 5, 9, 10]) for _ in range(choose.randrange(1, 211))]
    bins = [(choose.choice([1, 4, 9]), choose.randrange(1, 5000)) for _ in range(choose.randrange(7))]
    columns = {"kind": [0] * len(orders), "order": orders, "state": [choose.randrange(4) for _ in orders]}
    store = {
        "page_size": 4096, "kinds": ["anon"], "states": ["whole", "whole-shared", "part", "part-shared"], "folios": columns,
        "bins": {
            "kind": [0] * len(bins), "order": [order for order, _ in bins], "state": [0] * len(bins),
            "mm": [-1] * len(bins), "folios": [folios for _, folios in bins],
        },
        "grouping": choose.choice(["size", "state", "none"]),
    }  # fmt: skip
    found = call(blank, ["format", "dom", "matrix", "folios", "layout"], LAYOUT, store)

    plane = np.zeros((int(found["height"]), int(found["width"])), np.int32)
    pages = {}
    for x, y, width, height, ref in found["rows"]:
        plane[int(y) : int(y + height), int(x) : int(x + width)] += 1
        pages[ref] = pages.get(ref, 0) + width * height
    assert plane.max() == 1
    assert plane.sum() == sum(width * height for _, _, width, height, _ in found["rows"])
    assert pages == {
        **{i: 1 << order for i, order in enumerate(orders)},
        **{-1 - i: folios << order for i, (order, folios) in enumerate(bins)},
    }
    assert found["found"] == list(range(len(found["rows"])))
    assert found["outside"] == [-1, -1, -1]
    assert sum(group["pages"] for group in found["groups"]) == plane.sum()


def test_csv_cells(blank):
    values = ["a", "a,b", 'say "x"', "two\nlines", "=1+1", "@x", -7, "-7", "+x", 0]
    assert call(blank, ["download"], "argument.map(csvCell)", values) == [
        "a", '"a,b"', '"say ""x"""', '"two\nlines"', "'=1+1", "'@x", "-7", "'-7", "'+x", "0",
    ]  # fmt: skip
