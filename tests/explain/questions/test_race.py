"""The race: a folio that is always mapped reads as unmapped, also in the scheme's own Python; with one counter it does not."""

from __future__ import annotations

from dataclasses import replace

from explain.given import no_machine
from mapcount.check.cells import parse_cell
from mapcount.check.replay import run_both
from mapcount.explain.evidence import Says
from mapcount.explain.questions import race


def test_the_drawn_interleaving_returns_0_of_a_folio_that_is_always_mapped():
    drawn, one_counter = race.evidence(no_machine())

    assert drawn.violation.property == "no-false-unmapped"
    assert drawn.violation.value == 0 and min(drawn.violation.true) >= 1
    # The judge: the same schedule on the scheme run as plain Python, one thread waiting for the other.
    both = run_both(drawn.verdict.cell, drawn.violation.schedule)
    assert both.results[2] == (0,)
    assert isinstance(one_counter, Says)
    assert "in none does it return what was never true" in one_counter.words
    assert "in some the truth changes" in one_counter.words


def test_it_is_the_same_but_for_the_way_of_counting():
    drawn, _ = race.evidence(no_machine())
    assert replace(drawn.verdict.cell, scheme="large-mapcount") == parse_cell(race.ONE_COUNTER)
