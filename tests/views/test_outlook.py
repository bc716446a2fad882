"""The numbers now and without counts per page, by hand; and whether it waits for what takes long."""

from __future__ import annotations

import pytest

from builders import PAGE, SnapshotBuilder
from mapcount.views.outlook import outlook


def machine(**meta):
    """One process that maps 13 of 16 pages of 7 anon folios."""
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    for _ in range(7):
        b.map_pages(mm, vma, b.add_folio(4), 0, 13)
    return b.build(**({"kernel_release": "6.18.44"} | meta))


def test_without_counts_per_page_whole_folios_are_anon_pages():
    (row,) = [row for row in outlook(machine()) if row.name == "AnonPages"]
    assert (row.truth, row.now, row.without) == (7 * 13 * PAGE, 7 * 13 * PAGE, 7 * 16 * PAGE)


@pytest.mark.parametrize("meta", [{"counts_are": "average"}, {"tier": "no-pfn"}, {"kernel_release": "2.4.1"}])
def test_nothing_to_compare(meta):
    assert outlook(machine(**meta)) is None
