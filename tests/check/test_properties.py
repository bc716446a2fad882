"""Properties on values and truths worked out by hand, and against their definitions over all small cases."""

from __future__ import annotations

from itertools import combinations

import pytest

from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES, SOMETIMES, properties_of
from mapcount.schemes.scheme import Quantity

TRUTHS = [truth for size in (1, 2, 3) for truth in combinations(range(4), size)]
ISSUE = {
    "explainable",
    "never-under",
    "never-over",
    "no-false-unmapped",
    "no-false-exclusive",
    "no-false-shared",
    "pin-never-hidden",
    "stats-balance",
    "no-wrap",
    "partial-never-missed",
}


def test_those_of_the_issue_are_there():
    assert {*READER_PROPERTIES, *REST_PROPERTIES} >= ISSUE
    assert not set(READER_PROPERTIES) & set(REST_PROPERTIES)
    assert not set(SOMETIMES) & {*READER_PROPERTIES, *REST_PROPERTIES}


@pytest.mark.parametrize(
    ("name", "value", "true", "broken"),
    [
        # A batch leads from 1 to 3: 2 was never true, though it is neither too few nor too many.
        ("explainable", 2, (1, 3), True),
        ("never-under", 2, (1, 3), False),
        ("never-over", 2, (1, 3), False),
        ("never-under", 0, (1, 3), True),
        ("never-over", 4, (1, 3), True),
        ("no-false-unmapped", 0, (1, 2), True),
        ("no-false-unmapped", 0, (0, 1), False),
        ("no-false-unmapped", -1, (1,), True),
        ("no-false-exclusive", 0, (1,), True),
        ("no-false-exclusive", 0, (0, 1), False),
        ("no-false-shared", 1, (0,), True),
        ("no-false-shared", 1, (0, 1), False),
        ("pin-never-hidden", 0, (1,), True),
        ("pin-never-hidden", -2, (1,), True),
        ("pin-never-hidden", 0, (0, 1), False),
        ("pin-never-hidden", 7, (1,), False),
    ],
)
def test_by_hand(name, value, true, broken):
    assert READER_PROPERTIES[name].broken(value, true) is broken


@pytest.mark.parametrize("true", TRUTHS, ids=str)
@pytest.mark.parametrize("value", range(-1, 5))
def test_explained_values_break_nothing(value, true):
    """What was true at some moment breaks no property; a count that was not is too small, too great, or between."""
    broken = {name for name, one in READER_PROPERTIES.items() if one.broken(value, true)}
    if value in true:
        assert broken == set()
    else:
        assert "explainable" in broken
        assert ("never-under" in broken) is (value < min(true))
        assert ("never-over" in broken) is (value > max(true))


def test_a_yes_or_no_is_not_asked_for_too_many():
    assert {one.id for one in properties_of(Quantity.SHARED)} == {
        "explainable",
        "no-false-exclusive",
        "no-false-shared",
    }
    assert {one.id for one in properties_of(Quantity.MAPPED)} == {"explainable", "no-false-unmapped"}


@pytest.mark.parametrize("one", [*READER_PROPERTIES.values(), *REST_PROPERTIES.values()], ids=lambda one: one.id)
def test_a_meaning_is_one_sentence_and_somebody_relies_on_it(one):
    assert one.meaning
    assert "." not in one.meaning
    assert one.relies
