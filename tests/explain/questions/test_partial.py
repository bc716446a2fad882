"""Partial mapping: three ways to it, and the machine that was given."""

from __future__ import annotations

from explain.given import GIVEN, figures
from mapcount.explain.questions import partial


def test_five_of_sixteen_pages_go_in_each_way():
    rows = figures(partial.evidence(GIVEN), "A folio of 16 pages")
    assert [row[1:] for row in rows] == [[11, 5]] * 3


def test_the_machine_that_was_given():
    parts = list(partial.evidence(GIVEN))
    assert figures(parts, "A machine of tests") == [
        ["64K", 11, 11, 11 * 13 * 4096, 11 * 3 * 4096],
        ["2M", 1, 0, 512 * 4096, 0],
    ]
    assert "Of 12 large anon folios 11 are partially mapped: 91.7%." in parts[-1].words
