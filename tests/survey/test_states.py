"""Folios by kind, order and state against page-by-page counting."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Kind
from mapcount.survey.facts import Facts
from mapcount.survey.states import state_rows
from survey.oracle import Oracle
from survey.strategies import snapshots


def expected_state(oracle, folio):
    who, whole = oracle.state(folio), oracle.mapped(folio) == len(oracle.maps[folio])
    if who == "unknown" or not (whole or oracle.partial(folio)):
        return "unknown"
    return ("whole" if whole else "part") + ("-shared" if who == "shared" else "")


@given(snapshots())
def test_large_folios_equal_a_count_of_every_page(snapshot):
    oracle, expected = Oracle(snapshot), defaultdict(lambda: [0, 0, 0, 0])
    for f in oracle.ids:
        key = (oracle.kind(f).name.lower(), int(snapshot.folios.order[f]), expected_state(oracle, f))
        values = (1, len(oracle.maps[f]) * PAGE, oracle.mapped(f) * PAGE, oracle.wasted(f) * PAGE)
        expected[key] = [a + b for a, b in zip(expected[key], values, strict=True)]
    found = {
        (row.kind, row.order, row.state): [row.folios, row.bytes, row.mapped_bytes, row.wasted_bytes]
        for row in state_rows(Facts(snapshot))
        if row.order
    }
    assert found == expected


def test_small_pages_come_from_the_aggregates():
    b = SnapshotBuilder()
    one, two = b.add_vma(b.add_mm()), b.add_vma(b.add_mm())
    b.add_small(one, 13)
    b.add_small([one, two], 7)
    b.add_small(two, 5, Kind.FILE)
    rows = state_rows(Facts(b.build()))
    assert [(row.kind, row.state, row.folios, row.bytes) for row in rows] == [
        ("anon", "whole", 13, 13 * PAGE),
        ("anon", "whole-shared", 7, 7 * PAGE),
        ("file", "whole", 5, 5 * PAGE),
    ]


def test_order_of_rows_is_kind_then_order_then_state():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    for order, kind, pages in ((3, Kind.FILE, 8), (4, Kind.ANON, 11), (2, Kind.ANON, 4), (4, Kind.ANON, 16)):
        b.map_pages(mm, vma, b.add_folio(order, kind), 0, pages)
    rows = state_rows(Facts(b.build()))
    assert [(row.kind, row.order, row.state) for row in rows] == [
        ("anon", 2, "whole"),
        ("anon", 4, "whole"),
        ("anon", 4, "part"),
        ("file", 3, "whole"),
    ]
