"""The folio map: who maps which pages of each folio in detail, and that bins lose nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from builders import SnapshotBuilder
from mapcount.survey import folio_map as module
from mapcount.survey.folio_map import folio_map
from mapcount.survey.states import STATES
from survey.oracle import Oracle
from survey.strategies import snapshots
from survey.test_states import expected_state

LEVELS = {("pte",): 0, ("pmd",): 1, ("pmd", "pte"): 2, (): 0}


@given(snapshots(), st.integers(0, 5))
def test_each_folio_with_who_maps_it_or_in_a_bin(snapshot, most):
    oracle, found = Oracle(snapshot), folio_map(snapshot, folios=most)
    ranked = sorted(oracle.ids, key=lambda f: (-oracle.wasted(f), -int(snapshot.folios.order[f]), f))

    assert found.rows.tolist() == ranked[:most]
    for row, f in enumerate(ranked[:most]):
        pages = Counter(mm for mms in oracle.maps[f] for mm in {mm for mm, _, _ in mms})
        span = slice(*found.pair_begin[row : row + 2])
        assert dict(zip(found.pair_mm[span].tolist(), found.pair_pages[span].tolist(), strict=True)) == pages
        runs = snapshot.runs.take(found.runs[slice(*found.run_begin[row : row + 2])])
        assert runs.folio_id.tolist() == [f] * int((snapshot.runs.folio_id == f).sum())
        assert STATES[found.state[row]] == expected_state(oracle, f)
        assert found.level[row] == LEVELS[tuple(sorted(oracle.levels(f)))]

    expected = Counter()
    for f in ranked[most:]:
        key = (
            int(snapshot.folios.kind[f]),
            int(snapshot.folios.order[f]),
            expected_state(oracle, f),
            LEVELS[tuple(sorted(oracle.levels(f)))],
            min(oracle.mms(f), default=-1),
        )
        expected.update({(*key, "folios"): 1, (*key, "mapped"): oracle.mapped(f), (*key, "wasted"): oracle.wasted(f)})
    bins = found.bins
    got = Counter()
    for i in range(len(bins.kind)):
        key = (int(bins.kind[i]), int(bins.order[i]), STATES[bins.state[i]], int(bins.level[i]), int(bins.mm[i]))
        assert (*key, "folios") not in got
        got.update({(*key, "folios"): bins.folios[i], (*key, "mapped"): bins.mapped_pages[i]})
        got.update({(*key, "wasted"): bins.wasted_pages[i]})
    assert got == expected


def eleven_folios():
    b = SnapshotBuilder()
    mm = b.add_mm()
    vma = b.add_vma(mm)
    for _ in range(11):
        folio = b.add_folio(4)
        for first in (0, 4, 8):
            b.map_pages(mm, vma, folio, first, 3)
    return b.build()


def test_runs_are_given_for_whole_folios_only_as_long_as_there_is_room():
    found = folio_map(eleven_folios(), runs=17)
    given_runs = (found.run_begin[1:] - found.run_begin[:-1]).tolist()
    assert given_runs == [3] * 5 + [0] * 6
    assert len(found.runs) == 15
    assert (found.pair_begin[1:] - found.pair_begin[:-1]).tolist() == [1] * 11


def test_too_many_bins_are_joined_whoever_maps_them(monkeypatch):
    b = SnapshotBuilder()
    for _ in range(7):
        mm = b.add_mm()
        b.map_pages(mm, b.add_vma(mm), b.add_folio(2), 0, 3)
    snapshot = b.build()
    assert len(folio_map(snapshot, folios=0).bins.kind) == 7
    monkeypatch.setattr(module, "MOST_BINS", 6)
    bins = folio_map(snapshot, folios=0).bins
    assert (bins.mm.tolist(), bins.folios.tolist(), bins.mapped_pages.tolist()) == ([-1], [7], [21])
