"""The short loop: it returns 1 of a folio that is mapped at least three times; the whole loop does not."""

from __future__ import annotations

from dataclasses import replace

from explain.given import no_machine
from mapcount.check.cells import parse_cell
from mapcount.check.replay import run_both
from mapcount.explain.questions import short_loop


def test_it_stops_at_the_wrong_page():
    drawn, whole = short_loop.evidence(no_machine())

    assert drawn.violation.value == 1 and min(drawn.violation.true) == 3
    assert run_both(drawn.verdict.cell, drawn.violation.schedule).results[1] == (1,)
    assert whole.words.endswith("nothing is violated.")


def test_it_is_the_same_but_for_the_loop():
    drawn, _ = short_loop.evidence(no_machine())
    assert replace(drawn.verdict.cell, scheme="nr-pages-mapped") == parse_cell(short_loop.WHOLE_LOOP)
