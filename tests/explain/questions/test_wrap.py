"""Wrap: one mapping more than an int holds, and the folio looks unmapped."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import wrap


def test_the_step_over_the_edge():
    parts = list(wrap.evidence(no_machine()))
    assert figures(parts, "2^31 - 1 times") == [
        [2**31 - 2, 2**31 - 1, "yes"],
        [2**31 - 1, -(2**31), "no"],
        [-(2**31), -(2**31) + 1, "no"],
    ]
    [[memory]] = figures(parts, "Page tables")
    assert round(memory / 2**30, 3) == 16
