"""Prices of readers, by hand: the loop over all struct pages, and designs that need none."""

from __future__ import annotations

import pytest

from mapcount.cost.readers import reader_prices
from mapcount.schemes.catalogue import SCHEMES, find_scheme


def of(scheme, reader, order):
    (found,) = [one for one in reader_prices([find_scheme(scheme)], [order]) if one.reader == reader]
    return found


@pytest.mark.parametrize("order", [2, 4, 9])
def test_the_loop_over_every_struct_page(order):
    """Up to 6.9 folio_mapcount() reads each page; a 2 MiB folio has 512 struct pages in 512 cache lines."""
    looped = of("double-map", "folio_mapcount", order)
    assert looped.struct_pages == 1 << order
    assert looped.loads >= 1 << order
    total = of("large-mapcount", "folio_mapcount", order)
    assert (total.asked, total.loads, total.struct_pages) == (1, 1, 1)


def test_a_reader_of_pages_is_asked_for_each():
    asked = of("large-mapcount", "page_mapcount", 4)
    assert (asked.asked, asked.loads) == (16, 32), "its own count and the folio's of PMDs, each time"
    assert asked.struct_pages == 16


def test_readers_do_not_write():
    for price in reader_prices([find_scheme(scheme.id) for scheme in SCHEMES], [3]):
        assert price.written == 0, price
