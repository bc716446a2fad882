"""Cuts at each order against a look at every page of every piece."""

from __future__ import annotations

from hypothesis import given

from builders import PAGE, SnapshotBuilder
from mapcount.survey.cut import cut_rows
from mapcount.survey.facts import Facts
from survey.oracle import Oracle
from survey.strategies import snapshots


@given(snapshots())
def test_cuts_equal_a_look_at_every_piece(snapshot):
    oracle, rows = Oracle(snapshot), cut_rows(Facts(snapshot))
    today = sum(map(oracle.wasted, oracle.ids))
    for k, row in enumerate(rows):
        folios, wasted = oracle.cut(k)
        assert (row.order, row.folio_bytes) == (k, PAGE << k)
        assert (row.folios, row.wasted_bytes) == (folios, wasted * PAGE)
        assert row.freed_bytes == (today - wasted) * PAGE


def test_the_last_cut_is_how_things_are():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    b.map_pages(mm, vma, b.add_folio(9), 0, 17)
    b.map_pages(mm, vma, b.add_folio(4))
    b.add_small(vma, 3)
    rows = cut_rows(Facts(b.build()))
    assert [row.order for row in rows] == list(range(10))
    assert (rows[9].folios, rows[9].wasted_bytes, rows[9].freed_bytes) == (5, 495 * PAGE, 0)
    # At 64 KiB the torn folio keeps two pieces, one of them with a single page.
    assert (rows[4].folios, rows[4].wasted_bytes) == (2 + 1 + 3, 15 * PAGE)
    assert (rows[0].folios, rows[0].wasted_bytes) == (17 + 16 + 3, 0)


def test_two_stretches_in_one_piece_are_one_piece():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma, folio = b.add_vma(mm), b.add_folio(4)
    for page in (0, 2, 7):
        b.map_pages(mm, vma, folio, page, 1)
    rows = cut_rows(Facts(b.build()))
    assert [(row.folios, row.wasted_bytes // PAGE) for row in rows] == [(3, 0), (3, 3), (2, 5), (1, 5), (1, 13)]


def test_no_anon_memory_no_rows():
    assert cut_rows(Facts(SnapshotBuilder().build())) == []
