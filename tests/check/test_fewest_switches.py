"""Ways with the fewest switches against brute force: all interleavings of a small model, on plain Python."""

from __future__ import annotations

from itertools import groupby

import pytest

from check.naive import all_runs
from mapcount.check.explore import explore
from mapcount.check.fewest_switches import fewest_switches
from mapcount.check.model import Call, Model
from mapcount.check.properties import READER_PROPERTIES
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

WRITER = (Call("map_ptes", 0, 1, 1), Call("unmap_ptes", 1, 1, 1))
COUNT = (Call("folio_mapcount"),)
MODEL = Model(
    find_scheme("nr-pages-mapped"), 1, (WRITER, COUNT), (Call("map_ptes", 1, 1, 1),), Kind.FILE, watch_all=True
)


def _switches(schedule):
    return len(list(groupby(schedule))) - 1


def test_no_interleaving_has_fewer():
    """0 is wrong: one page was mapped all the time, and two for a while."""
    found = fewest_switches(MODEL, READER_PROPERTIES["never-under"])
    assert trace(MODEL, found).steps[-1].returned == 0
    wrong = [run for run in all_runs(MODEL) if run.results[1] == (0,)]
    # The reader returns before the writer ends, or after: what follows its return is no part of the way.
    least = min(_switches(run.schedule[: run.spans[1, 0][1] + 1]) for run in wrong)
    assert _switches(found) == least == 2


def test_it_is_no_shorter_than_the_shortest():
    shortest = min(len(one.schedule) for one in explore(MODEL).violations if one.value == 0)
    assert len(fewest_switches(MODEL, READER_PROPERTIES["never-under"])) >= shortest


def test_where_nothing_is_broken_there_is_no_way():
    with pytest.raises(UsageError, match="no value breaks never-over"):
        fewest_switches(MODEL, READER_PROPERTIES["never-over"])


def test_the_search_is_bounded():
    with pytest.raises(UsageError, match="2 states were looked at"):
        fewest_switches(MODEL, READER_PROPERTIES["never-under"], max_states=2)
