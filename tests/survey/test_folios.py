"""Single folios: order of the rows, and each value against page-by-page counting."""

from __future__ import annotations

from hypothesis import given

from builders import PAGE, SnapshotBuilder
from mapcount.survey.run import survey_folios, survey_vmas
from survey.oracle import Oracle
from survey.strategies import snapshots


@given(snapshots())
def test_rows_equal_a_count_of_every_page(snapshot):
    oracle, rows = Oracle(snapshot), survey_folios(snapshot)
    assert [row.folio_id for row in rows] == sorted(
        oracle.ids, key=lambda f: (-oracle.wasted(f), -snapshot.folios.order[f].astype(int), f)
    )
    for row in rows:
        f = row.folio_id
        mms = sorted(oracle.mms(f))
        assert row.mapped_pages == oracle.mapped(f)
        assert row.mappings == sum(oracle.count(f, p) for p in range(len(oracle.maps[f])))
        assert (row.mms, row.pids) == (len(mms), " ".join(str(100 + mm) for mm in mms))
        assert (row.state, row.wasted_bytes) == (oracle.state(f), oracle.wasted(f) * PAGE)
        assert {"both": {"pmd", "pte"}, "pmd": {"pmd"}, "pte": {"pte"}}[row.mapped] == (oracle.levels(f) or {"pte"})


def test_top_takes_those_that_hold_most_waste():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    for nr in (16, 13, 3, 11):
        b.map_pages(mm, vma, b.add_folio(4), 0, nr)
    snapshot = b.build()
    assert [row.folio_id for row in survey_folios(snapshot, top=2)] == [2, 3]
    assert [row.wasted_bytes for row in survey_vmas(snapshot, top=1)] == [(3 + 13 + 5) * PAGE]


def test_at_most_eight_processes_are_named():
    b = SnapshotBuilder()
    folio = b.add_folio(2)
    for _ in range(11):
        mm = b.add_mm()
        b.map_pages(mm, b.add_vma(mm), folio)
    (row,) = survey_folios(b.build())
    assert (row.mms, len(row.pids.split())) == (11, 8)
