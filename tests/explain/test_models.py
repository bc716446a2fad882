"""Races as evidence: what is not violated cannot be drawn, and what is drawn is the shortest of all."""

from __future__ import annotations

import pytest

from mapcount.explain.models import race, verdict_of, verdicts, violation_of


def test_a_race_that_is_none_is_an_error():
    with pytest.raises(LookupError, match="does not violate no-false-unmapped"):
        violation_of("large-mapcount/mapcount/pmd-and-ptes/2", "no-false-unmapped")


def test_one_less_step_and_it_is_not_there():
    drawn = race("title", "short-loop", "never-under")
    # The reader alone loads three words, and without the writer's step it returns what is true.
    assert drawn.violation.schedule == (0, 1, 1, 1)


def test_a_name_and_a_text_are_the_same_model():
    assert verdict_of("false-zero").violations == verdict_of("nr-pages-mapped/mapcount/pmd-and-ptes/2").violations


def test_pages_are_those_that_a_scheme_has_room_for():
    found = verdicts("title", ("total-mapcount", "large-mapcount"), ("mapcount/zap-fault",))
    # A folio of two pages has no third struct page, in which total-mapcount has a counter.
    assert [one.cell.pages for one in found.verdicts] == [4, 2]
    assert all(one.complete and not one.cannot for one in found.verdicts)
