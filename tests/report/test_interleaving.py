"""The drawing of an interleaving, against one drawn by hand."""

from __future__ import annotations

from mapcount.check.cells import Cell, model_of
from mapcount.check.replay import run_both
from mapcount.check.schedule import parse_schedule
from mapcount.check.steps import Steps
from mapcount.check.trace import trace
from mapcount.report.interleaving import interleaving, replayed, told
from mapcount.report.table import View
from mapcount.report.terminal import render

CELL = Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2)
FALSE_ZERO = parse_schedule("a2cb2a2c")
DRAWN = """
 1 | _mapcount[0] 0 > -1      |                          |                        | 1 or 2
 2 | _nr_pages_mapped 2 > 1   |                          |                        | 1
 3 |                          |                          | _entire_mapcount is -1 | 1
 4 |                          | _entire_mapcount -1 > 0  |                        | 1 or 2
 5 |                          | _nr_pages_mapped 1 > 17  |                        | 2
 6 | _mapcount[1] 0 > -1      |                          |                        | 1 or 2
 7 | _nr_pages_mapped 17 > 16 |                          |                        | 1
 8 |                          |                          | _nr_pages_mapped is 16 | 1
   |                          |                          | returns 0              |
"""
"""Two PTEs of mm 1 go, a PMD of mm 2 comes: what each access makes of its word, and how many mappings there are."""


def _drawn(width):
    model = model_of(CELL)
    return render(interleaving(model, trace(model, FALSE_ZERO), View(width=width)), width=width, colour=False)


def test_the_drawing():
    expected = [line.replace("|", " ").split() for line in DRAWN.strip().splitlines()]
    lines = [line.split() for line in _drawn(120).splitlines()]
    begin = next(number for number, line in enumerate(lines) if line[:1] == ["step"]) + 2
    assert lines[begin : begin + len(expected)] == expected


def test_each_cpu_has_its_column():
    lines = _drawn(120).splitlines()
    heading = next(line for line in lines if line.startswith("step"))
    columns = [heading.index(f"CPU {cpu}") for cpu in range(3)]
    for line, cpu in (("_mapcount[0] 0 > -1", 0), ("_entire_mapcount -1 > 0", 1), ("_nr_pages_mapped is 16", 2)):
        (found,) = [one for one in lines if line in one]
        assert found.index(line) == columns[cpu]


def test_each_step_has_its_source_and_its_locks():
    text = " ".join(_drawn(120).split())
    assert "zap_ptes() writers.py:" in text
    assert "[folio lock, page-table lock of mm 2]" in text
    assert "folio_mapcount() nr_pages_mapped.py:" in text


def test_steps_out_of_order_say_so():
    model = model_of(Cell("mm-id", "mapcount", "pmd-and-ptes", 2, memory="tso"))
    way = []
    steps, state = Steps(model), Steps(model).first
    while len(way) < 12:
        chosen = next(one for one in steps.choices(state) if steps.step(state, one))
        way.append(chosen)
        state = steps.step(state, chosen).state
    words = [told(step) for step in trace(model, way).steps]
    assert any(", late" in one for one in words)


def test_a_replay_tells_that_both_agree_and_what_came_of_it():
    text = render(replayed(CELL, run_both(CELL, FALSE_ZERO), View(width=80)), width=80, colour=False)
    assert "CPU 2 returned 0" in text
    assert "are the same after 8 steps" in " ".join(text.split())
