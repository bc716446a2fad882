"""The struct page budget, by hand: a GiB has 262,144 pages of 4 KiB."""

from __future__ import annotations

from mapcount.cost.budget import budget
from mapcount.schemes.catalogue import find_scheme

GIB = 1 << 30


def test_sizes_and_fits():
    rows = budget([find_scheme("mm-id"), find_scheme("no-page-mapcount")], 13 * GIB)
    assert [row.struct_page_bytes for row in rows] == [64, 32, 16, 8]
    assert [row.memmap_bytes_per_gib >> 20 for row in rows] == [16, 8, 4, 2]
    assert [row.memmap_bytes >> 20 for row in rows] == [208, 104, 52, 26]
    assert [row.saved_bytes >> 20 for row in rows] == [0, 104, 156, 182]
    assert rows[3].fits == ("no-page-mapcount",) and rows[3].fits_not == ("mm-id",)
    assert rows[2].fits_not == ()
