"""Replay: texts, a schedule that cannot be, and that a difference between the two ways would be seen."""

from __future__ import annotations

import pytest

from mapcount.check import replay
from mapcount.check.cells import Cell
from mapcount.check.replay import parse_replay, run_both
from mapcount.errors import UsageError

CELL = Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2)
WAY = (0, 0, 2, 1, 0, 0, 2)


def test_a_text():
    cell, schedule = parse_replay("nr-pages-mapped/mapcount/pmd-and-ptes/2:a2cba2c")
    assert (cell, schedule) == (CELL, WAY)


@pytest.mark.parametrize(
    "text", ["", ":", "a2b", "mm-id/kpagecount/zap-fault/2", "mm-id:a", "mm-id/kpagecount/zap-fault/2:2a"]
)
def test_what_is_no_interleaving(text):
    with pytest.raises(UsageError):
        parse_replay(text)


def test_a_thread_that_has_done_everything_cannot_go_on():
    with pytest.raises(UsageError):
        run_both(CELL, (0,) * 40)


def test_a_difference_would_be_seen(monkeypatch):
    assert "are the same" in run_both(CELL, WAY[:2]).agreement
    run_in_python = replay.run_in_python

    def another_way(model, schedule):
        found = run_in_python(model, schedule)
        found.memory.words["_nr_pages_mapped"][0] += 1
        return found

    monkeypatch.setattr(replay, "run_in_python", another_way)
    with pytest.raises(UsageError, match=r"_nr_pages_mapped is .* in plain Python; please report"):
        run_both(CELL, WAY[:2])


def test_other_memory_models_are_not_run_on_plain_python():
    both = run_both(Cell("mm-id", "mapcount", "pmd-and-ptes", 2, memory="tso"), (0,))
    assert both.results == ()
    assert "no memory model but the first" in both.agreement
