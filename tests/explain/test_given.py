"""The machine: taken when it is asked for, and once."""

from __future__ import annotations

from explain.given import machine
from mapcount.explain.given import Given, Taken


def test_it_is_taken_late_and_once():
    taken = []

    def take():
        taken.append(1)
        return Taken(machine(), "A machine")

    given = Given(take)
    assert not taken
    assert given.taken is given.taken
    assert taken == [1]
