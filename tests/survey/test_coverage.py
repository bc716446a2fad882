"""Mappings per page, and stretches of mapped pages, against a count of every page."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.survey.coverage import cover
from survey.oracle import Oracle
from survey.strategies import snapshots


@given(snapshots())
def test_every_page_has_the_mappings_that_it_has(snapshot):
    coverage, oracle = cover(snapshot), Oracle(snapshot)
    per_page = np.repeat(coverage.mappings, np.diff(coverage.cuts)).tolist()
    assert per_page == [oracle.count(f, p) for f in oracle.ids for p in range(len(oracle.maps[f]))]
    assert coverage.mapped_pages().tolist() == [oracle.mapped(f) for f in oracle.ids]
    assert coverage.mappings_of_folios().tolist() == [
        sum(oracle.count(f, p) for p in range(len(oracle.maps[f]))) for f in oracle.ids
    ]


@given(snapshots(), st.integers(1, 2))
def test_stretches_of_mapped_pages_are_maximal(snapshot, step):
    coverage, oracle = cover(snapshot), Oracle(snapshot)
    expected = []
    for f in oracle.ids:
        for mapped, pages in groupby(range(len(oracle.maps[f])), key=lambda p: oracle.count(f, p) > 0):
            stretch = list(pages)
            if mapped and f % step == 0:
                expected.append((f, stretch[0], stretch[-1] + 1))
    chosen = np.arange(len(snapshot.folios)) % step == 0
    assert list(zip(*(values.tolist() for values in coverage.covered(chosen)), strict=True)) == expected
