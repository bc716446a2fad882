"""Flattened functions do what Python does with the functions, in the same order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from mapcount.replay.flatten import Flattener
from mapcount.schemes import ops
from mapcount.schemes.memory import Memory
from replay import odd_functions


def memory():
    places = [odd_functions.W.at(48), odd_functions.F.at(0, bit=3)]
    return Memory(places, [3], [Kind.FILE], record=True)


def flattened(name):
    """A Python function of the flattened statements, whose operations are those of ops.py."""

    def operation(primitive, word, arguments):
        word = "F" if word is odd_functions.F else "W"
        return [f"done = ops.{primitive}(m, {word}, {', '.join(arguments)})"], "done"

    helpers = {function.__name__: function for function in odd_functions.HELPERS}
    lines, result = Flattener(helpers, operation).call(name, ["i", "a"])
    body = "\n    ".join(lines)
    space = {"ops": ops, "_int64": int, "W": odd_functions.W, "F": odd_functions.F}
    exec(f"def flat(m, i, a):\n    {body}\n    return {result}", space)
    return space["flat"], body


@pytest.mark.parametrize("function", odd_functions.ALL, ids=lambda function: function.__name__)
@given(i=st.integers(0, 7), a=st.integers(0, 11))
def test_same_results_and_same_accesses(function, i, a):
    one, other = memory(), memory()
    flat, _ = flattened(function.__name__)
    assert flat(other, i, a) == function(one, i, a)
    assert other.touched == one.touched
    assert other.state() == one.state()


def test_constants_are_folded_and_dead_branches_gone():
    _, body = flattened("assigned_parameter")
    assert "99" not in body
    assert "OFF" not in body
    _, body = flattened("bools")
    assert "// 2" in body


def test_locals_of_two_calls_are_apart():
    _, body = flattened("assigned_parameter")
    assert "a_1" in body
    assert "early_2" in body
