"""Schedules as text, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.check.schedule import parse_schedule, schedule_text
from mapcount.errors import UsageError


@pytest.mark.parametrize(
    ("schedule", "text"), [((), ""), ((0, 0, 0, 1, 0, 0), "a3ba2"), ((2, 1), "cb"), ((0,) * 13 + (25,), "a13z")]
)
def test_a_schedule_is_written_in_runs(schedule, text):
    assert schedule_text(schedule) == text
    assert parse_schedule(text) == schedule


@given(st.lists(st.integers(0, 25)))
def test_what_is_written_is_read(schedule):
    assert list(parse_schedule(schedule_text(schedule))) == schedule


@pytest.mark.parametrize("text", ["3", "A", "a0", "a-1", "a 2", "ä", "a3b2\n", "a01", "a9999999"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="is no schedule"):
        parse_schedule(text)
