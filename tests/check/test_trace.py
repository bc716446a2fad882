"""A trace tells each step: whose, of which word, from which line, and what it returned."""

from __future__ import annotations

import inspect

import pytest

from mapcount.check.model import Call, Model
from mapcount.check.schedule import parse_schedule
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes import nr_pages_mapped, pages_mapped
from mapcount.schemes.catalogue import find_scheme

WRITER = (Call("map_ptes", 0, 1, 1), Call("unmap_ptes", 1, 1, 1))
TORN = Model(
    find_scheme("nr-pages-mapped"), 1, (WRITER, (Call("folio_mapcount"),)), (Call("map_ptes", 1, 1, 1),), Kind.FILE
)


def test_the_torn_loop_step_by_step():
    told = trace(TORN, parse_schedule("b3a3b"))
    assert [(step.thread, str(step.cell), step.before, step.after) for step in told.steps] == [
        (1, "_entire_mapcount", -1, -1),
        (1, "_nr_pages_mapped", 1, 1),
        (1, "_mapcount[0]", -1, -1),
        (0, "_mapcount[0]", -1, 0),
        (0, "_nr_pages_mapped", 1, 2),
        (0, "_mapcount[1]", 0, -1),
        (1, "_mapcount[1]", -1, -1),
    ]
    assert [step.call for step in told.steps if step.thread == 0] == [0, 0, 1]
    assert [step.returned for step in told.steps] == [None, None, None, None, 0, None, 0]
    assert [step.window for step in told.steps if step.thread == 1] == [(1,), (1,), (1,), (1, 2)]
    assert told.words["_mapcount"] == (0, -1)


def test_a_step_knows_its_lines():
    told = trace(TORN, parse_schedule("b3a3b"))
    lines = inspect.getsource(pages_mapped).splitlines()
    outer, inner = told.steps[3].position
    assert (outer.function, inner.function) == ("map_ptes", "map_pages_one_by_one")
    assert "atomic_inc_and_test(m, _mapcount, i)" in lines[inner.line - 1]
    assert "map_pages_one_by_one(" in inspect.getsource(nr_pages_mapped).splitlines()[outer.line - 1]
    assert str(inner) == f"map_pages_one_by_one() pages_mapped.py:{inner.line}"


def test_a_schedule_that_cannot_be_run_is_refused():
    with pytest.raises(UsageError, match="step 1: there is no thread 2, the model has 2"):
        trace(TORN, parse_schedule("c"))
    with pytest.raises(UsageError, match="step 5: thread 1 has done everything"):
        trace(TORN, parse_schedule("b5"))
