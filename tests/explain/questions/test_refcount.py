"""Mapcount and refcount: the page cache's references, and a pin that hides between two reads."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.check.replay import run_both
from mapcount.explain.questions import refcount


def test_sixteen_references_are_the_page_caches():
    rows = figures(refcount.evidence(no_machine()), "A folio of a file")
    assert [row[1:] for row in rows] == [[16, 32, 16], [16, 32, 16], [32, 48, 16], [16, 32, 16]]


def test_a_pin_is_missed():
    *_, drawn = refcount.evidence(no_machine())
    assert drawn.violation.value <= 0 and drawn.violation.true == (1,)
    assert run_both(drawn.verdict.cell, drawn.violation.schedule).results[2] == (drawn.violation.value,)
