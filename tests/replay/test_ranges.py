"""What depends on the past, and what does not: small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind, Level
from mapcount.replay.engine import replay
from mapcount.replay.histories import HISTORIES
from mapcount.replay.ranges import Certainty, range_over
from mapcount.schemes.catalogue import find_scheme
from replay.snapshots import PAGE, PMD_ORDER, make, random_snapshot

BEGIN = 1 << 30


def two_that_cover_it():
    """Two mms map a half each of one folio of eight pages; another mm has a folio whole, alone; of a third all but a page."""
    runs = [
        (0, 0, 0, 4, Level.PTE, BEGIN),
        (1, 0, 4, 4, Level.PTE, BEGIN + 4 * PAGE),
        (0, 1, 0, 8, Level.PMD, 2 * BEGIN),
        (0, 2, 0, 7, Level.PTE, 3 * BEGIN),
    ]
    return make([1, 2], [(PMD_ORDER, Kind.ANON)] * 3, runs)


def certainty(range_):
    return [Certainty(code).name for code in range_.certainty()]


def test_counts_do_not_depend_on_the_past():
    ranged = range_over(two_that_cover_it(), find_scheme("mm-id"), engine="plain")
    assert ranged.histories == tuple(HISTORIES)
    for name in ("folio_mapcount", "folio_mapped", "page_mapcount"):
        assert not ranged.answers[name].depends.any(), name
    assert ranged.answers["folio_mapcount"].low.tolist() == [8, 1, 7]
    assert ranged.answers["folio_mapcount"].high.tolist() == [8, 1, 7]


def test_shared_depends_on_who_was_there_before():
    """By mm-id two mms are surely shared; one alone is, if a third one came while two had the slots, `maybe`."""
    ranged = range_over(two_that_cover_it(), find_scheme("mm-id"), engine="plain")
    assert certainty(ranged.answers["mapped_shared"]) == ["SURELY", "SURELY_NOT", "MAYBE"]
    assert "mapped_shared" in ranged.yes_or_no()
    assert "folio_mapcount" not in ranged.yes_or_no()
    usual = range_over(two_that_cover_it(), find_scheme("mm-id"), ["whole-then-trimmed", "as-mapped"], engine="plain")
    assert certainty(usual.answers["mapped_shared"]) == ["SURELY", "SURELY_NOT", "SURELY_NOT"]


def test_what_is_queued_depends_on_the_order_of_unmapping():
    """
    With a count per page nothing is queued while others map all pages; of the folio with a hole it depends on whether
    the hole was made by an unmapping. Without page counts the first folio can be found partially mapped, or not.
    """
    snapshot = two_that_cover_it()
    exact = range_over(snapshot, find_scheme("large-mapcount"), engine="plain")
    assert certainty(exact.deferred) == ["SURELY_NOT", "SURELY_NOT", "MAYBE"]
    assert (
        certainty(range_over(snapshot, find_scheme("large-mapcount"), ["whole-then-trimmed"]).deferred)[2] == "SURELY"
    )
    without = range_over(snapshot, find_scheme("no-page-mapcount"), engine="plain")
    assert certainty(without.deferred)[1:] == ["SURELY_NOT", "MAYBE"]


@settings(max_examples=7, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_a_range_is_the_least_and_greatest_of_single_replays(seed):
    snapshot, scheme = random_snapshot(seed), find_scheme("mm-id")
    ranged = range_over(snapshot, scheme, engine="plain")
    single = [replay(snapshot, [scheme], history=name, engine="plain")[0] for name in HISTORIES]
    for name, range_ in ranged.answers.items():
        columns = [replayed.answers[name].tolist() for replayed in single]
        assert range_.low.tolist() == [min(values) for values in zip(*columns, strict=True)]
        assert range_.high.tolist() == [max(values) for values in zip(*columns, strict=True)]
    assert (ranged.stats.high >= ranged.stats.low).all()
    assert ranged.deferred.high.tolist() == np.any([replayed.deferred for replayed in single], axis=0).tolist()


def test_no_history():
    with pytest.raises(ValueError, match="no history"):
        range_over(two_that_cover_it(), find_scheme("mm-id"), [])
