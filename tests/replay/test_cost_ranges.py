"""Pages of loops as ranges: only where every turn touches its page; and low, high and gap are what sets say."""

from __future__ import annotations

import ast
import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.replay.cost_ranges import TOUCH, with_ranges
from mapcount.replay.emit import emit
from mapcount.schemes.catalogue import find_scheme

T = TOUCH.format("i")


def rewritten(text):
    return ast.unparse(ast.Module(with_ranges(ast.parse(text).body), []))


def test_a_loop_over_its_pages():
    assert rewritten(f"for i in range(a, a + nr):\n    {T}\n    x += i\n    if x:\n        {T}\n        y = 1") == (
        "for i in range(a, a + nr):\n    x += i\n    if x:\n        y = 1\n"
        "low, high, gap = touch_range(low, high, gap, a, a + nr)"
    )


def test_a_loop_that_does_nothing_else_and_loops_within():
    inner = f"for i in range(a, b):\n            {T}"
    assert rewritten(f"if x:\n    while y:\n        {inner}") == (
        "if x:\n    while y:\n        for i in range(a, b):\n            pass\n"
        "        low, high, gap = touch_range(low, high, gap, a, b)"
    )


def test_a_loop_down_over_its_pages():
    assert rewritten(f"for i in range(b - 1, a, -1):\n    {T}") == (
        "for i in range(b - 1, a, -1):\n    pass\nlow, high, gap = touch_range(low, high, gap, a + 1, b - 1 + 1)"
    )


@pytest.mark.parametrize(
    "body",
    [
        f"if x:\n        {T}",  # not in every turn
        f"{T}\n    if x:\n        break",
        f"if x:\n        continue\n    {T}",
        f"{T}\n    i += 1",
        f"{T}\n    b = 3",
        TOUCH.format("j"),  # another page
        "x += 1",
    ],
)
def test_loops_that_stay_as_they_are(body):
    text = f"for i in range(a, b):\n    {body}"
    assert rewritten(text) == ast.unparse(ast.parse(text))


def test_the_nodes_given_stay_as_they_are():
    tree = ast.parse(f"for i in range(a, b):\n    {T}")
    before = ast.dump(tree)
    with_ranges(tree.body)
    assert ast.dump(tree) == before


@functools.cache
def emitted():
    text = {}
    exec(emit(find_scheme("no-page-mapcount"), cost=True), text)
    return text["touch"], text["touch_range"]


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 5)), max_size=7))
def test_low_high_and_gap_are_those_of_a_set(ranges):
    touch, touch_range = emitted()
    low, high, gap, pages, apart = 0, -1, 0, set(), False
    for first, nr in ranges:
        # One page by one, or as a range.
        if nr == 1:
            low, high, gap = touch(low, high, gap, first)
        else:
            low, high, gap = touch_range(low, high, gap, first, first + nr)
        pages |= set(range(first, first + nr))
        apart |= bool(pages) and len(pages) != max(pages) - min(pages) + 1
        assert bool(gap) == apart
        if not gap:
            assert pages == set(range(low, high + 1))
