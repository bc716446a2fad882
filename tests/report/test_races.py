"""The report of verdicts: marks, summary by class, one model in full; every line fits."""

from __future__ import annotations

import dataclasses

import pytest
from rich.cells import cell_len

from mapcount.check.cells import Cell
from mapcount.check.harm import Class
from mapcount.check.verdicts import judge
from mapcount.report.races import MEANINGS, mark_of, matrix_rows, one_model, parts, violations
from mapcount.report.table import View
from mapcount.report.terminal import render

TORN = judge(Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2))
STALE = judge(Cell("large-mapcount", "mapcount", "pmd-and-ptes", 2))
HARM = judge(Cell("mm-id", "collapse", "hand-over", 2))
RECHECK = judge(Cell("mm-id", "compaction", "fork-zap", 2))
GUESS = judge(Cell("large-mapcount", "madvise", "hand-over", 2))
TRUE = judge(Cell("mm-id", "madvise", "hand-over", 2))
NONE = judge(Cell("original-thp", "compaction", "fork-zap", 2))
REST = judge(Cell("mm-id", "rest", "halves", 4))
BOUND = judge(Cell("large-mapcount", "mapcount", "pmd-and-ptes", 2), max_states=7)
ALL = (TORN, STALE, HARM, RECHECK, GUESS, TRUE, NONE, REST)


def shown(lines, width=80):
    return render(lines, width=width, colour=False)


def flat(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("verdict", "mark"),
    [
        (TORN, "TORN"),
        (STALE, "stale"),
        (HARM, "HARM"),
        (RECHECK, "recheck"),
        (GUESS, "guess"),
        (TRUE, "true"),
        (NONE, "-"),
        (BOUND, "bound"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_marks(verdict, mark):
    assert mark_of(verdict) == mark
    assert mark in MEANINGS


def test_a_violation_in_what_was_met_counts_though_the_bound_was_reached():
    assert mark_of(dataclasses.replace(TORN, complete=False)) == "TORN"


def at(verdict, **changes):
    return dataclasses.replace(verdict, cell=dataclasses.replace(verdict.cell, **changes))


def test_what_protects_a_caller_that_goes_on_is_told_with_its_setting():
    kept = "migration entries where a caller unmaps: {}; references compared and frozen before a caller acts: {}."
    further = RECHECK.recheck
    assert kept.format("yes", "yes") in flat(shown(one_model(further, View(width=80))))
    without = at(further, without=frozenset({"entries"}))
    assert kept.format("no", "yes") in flat(shown(one_model(without, View(width=80))))
    reclaim = judge(Cell("mm-id", "remove-mapping", "pmd-and-ptes", 2, without=frozenset({"freeze"})))
    told = flat(shown(one_model(reclaim, View(width=80))))
    assert "As it goes on: references compared and frozen before a caller acts: no." in told
    # Who only looks has none of it.
    assert "As it goes on" not in flat(shown(one_model(RECHECK, View(width=80))))


def test_what_was_followed_past_its_look_is_told_once():
    """Of one that holds and one that was not finished; a verdict of another caller has none."""
    open_end = dataclasses.replace(RECHECK.recheck, cell=at(RECHECK.recheck, pages=4).cell, complete=False)
    other = dataclasses.replace(at(RECHECK, pages=4), recheck=open_end)
    text = flat(shown(parts((TORN, RECHECK, other), View(width=80))))
    assert text.count("Followed past that look, to the compare of references: 1 of 2 models hold.") == 1
    assert "Followed past" not in flat(shown(parts((TORN, HARM), View(width=80))))


def test_the_worst_of_a_caller_stands_in_the_matrix():
    worse = dataclasses.replace(TORN, cell=dataclasses.replace(STALE.cell, writers="zap-fault"))
    text = shown(parts((STALE, worse), View(width=80)))
    (row,) = [line for line in text.splitlines() if line.split()[:1] == ["large-mapcount"]]
    assert row.split() == ["large-mapcount", "2", "TORN"]


def test_a_row_of_the_matrix_is_of_the_sizes_at_which_every_mark_is_the_same():
    same = (STALE, at(STALE, pages=4), GUESS, at(GUESS, pages=4))
    assert matrix_rows(same) == (["mapcount", "madvise"], [["large-mapcount", "2, 4", "stale", "guess"]])
    differ = dataclasses.replace(TRUE, cell=dataclasses.replace(GUESS.cell, pages=4))
    assert matrix_rows((*same[:3], differ))[1] == [
        ["large-mapcount", "2", "stale", "guess"],
        ["large-mapcount", "4", "stale", "true"],
    ]


def test_a_size_of_few_callers_is_told_below_the_matrix():
    some = (STALE, GUESS, at(STALE, pages=4))
    assert matrix_rows(some)[1] == [["large-mapcount", "2", "stale", "guess"], ["large-mapcount", "4", "stale", ""]]
    text = shown(parts(some, View(width=80)))
    assert "large-mapcount 4, too: mapcount stale\n" in text
    assert [line.split() for line in text.splitlines() if line.strip().startswith("large-mapcount 2")] == [
        ["large-mapcount", "2", "stale", "guess"]
    ]


def test_the_summary_counts_by_class():
    text = flat(shown(parts(ALL, View(width=80))))
    assert "1 stale, 1 guess, 1 TORN, 1 recheck, 1 HARM, 1 -" in text
    assert "7 models" in text
    for kind in (Class.CONSEQUENTIAL, Class.RECHECKED, Class.TORN, Class.ESTIMATE):
        assert f"Violated, {kind.value}" in text
    # A stale value is no violation: nobody reads a line about it.
    assert str(STALE.cell) not in text
    assert "stats-balance: holds in 1 of 1 model" in text


def test_one_model_tells_who_does_what_and_how_much_was_looked_at():
    text = flat(shown(one_model(RECHECK, View(width=80))))
    assert "isolate_migratepages_block() asks extra_references; locks: none" in text
    assert "pin-never-hidden: violated" in text
    # There is one reference beyond the mappings, from the first moment to the last.
    assert (
        "It may return -1 to 5, of which -1, 0, 2, 3, 4 or 5 though that was true at no moment while it looked." in text
    )
    assert "and each was true at some moment while it looked" in flat(shown(one_model(STALE, View(width=80))))
    assert f"all {RECHECK.states:,} states" in text
    # There is one pin from the first moment to the last.
    assert "sometimes: value-varies" in text
    assert "never: truth-moves" in text
    assert "sometimes: truth-moves" in flat(shown(one_model(STALE, View(width=80))))
    assert "not violated in the states met" in flat(shown(one_model(BOUND, View(width=80))))
    assert "bound reached: " in flat(shown(one_model(BOUND, View(width=80))))
    assert "Cannot answer" in shown(one_model(NONE, View(width=80)))


def test_a_violation_tells_who_suffers_and_how_to_replay_it():
    text = flat(shown(violations(HARM, View(width=80))))
    assert "what is written through the pin is lost" in text
    assert "folio, ptl, mmap" in text
    assert "More than a kernel does" in text
    assert f"mapcount check --replay {HARM.replay_id(HARM.violations[0])}" in text
    assert "No race is needed for it" in flat(shown(violations(GUESS, View(width=80))))
    assert "It looks again" in flat(shown(violations(RECHECK, View(width=80))))


@pytest.mark.parametrize("width", [60, 72, 80, 120])
def test_every_line_fits(width):
    view = View(width=width)
    for lines in (parts(ALL, view), *(one_model(one, view) for one in ALL), *(violations(one, view) for one in ALL)):
        assert max(map(cell_len, shown(lines, width).splitlines()), default=0) <= width
