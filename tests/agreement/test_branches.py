"""Branches of functions that can be counted by hand, and of a real way of counting."""

from __future__ import annotations

import inspect
import sys
from types import SimpleNamespace

import pytest

from agreement import branch_samples
from agreement.branch_samples import entry, helper, unreachable
from mapcount.agreement import branches
from mapcount.agreement.branches import BranchTrace
from mapcount.schemes.catalogue import find_scheme

SAMPLE = SimpleNamespace(
    functions={"entry": entry}, helpers={"entry": entry, "helper": helper, "unreachable": unreachable}
)


def line_of(text):
    """Return the number of the line of branch_samples.py that begins with a text."""
    lines = inspect.getsource(branch_samples).splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.strip().startswith(text))


A_AND_B, LOOP, EQUALS = (line_of(text) for text in ("if a and b:", "for _ in", "if a == 1:"))
CALLS, AFTER, ONE, TWO = (line_of(text) for text in ("return helper(a)", "if FAST:", "return 1", "return 2"))
A_TRUE, A_FALSE, B_TRUE, B_FALSE = (A_AND_B, A_AND_B), (A_AND_B, LOOP), (A_AND_B, CALLS), (A_AND_B, LOOP)
ENTERED, LEFT = (LOOP, LOOP), (LOOP, AFTER)
ALL = sorted([A_TRUE, A_FALSE, B_TRUE, B_FALSE, ENTERED, LEFT, (EQUALS, ONE), (EQUALS, TWO)])


def ways(found):
    return sorted((one.line, one.to_line) for one in found)


def test_all_that_the_constants_allow():
    assert ways(BranchTrace(SAMPLE).all) == ALL


def test_a_constant_that_is_set_opens_the_rest(monkeypatch):
    monkeypatch.setattr(branch_samples, "FAST", 1)
    assert {one.function for one in BranchTrace(SAMPLE).all} == {"entry", "helper", "unreachable"}


@pytest.mark.parametrize(
    ("calls", "taken"),
    [
        ([], []),
        ([(0, 1)], [A_FALSE, LEFT]),
        ([(2, 0)], [A_TRUE, B_FALSE, ENTERED, LEFT]),
        ([(1, 1)], [A_TRUE, B_TRUE, (EQUALS, ONE)]),
        ([(0, 1), (3, 0), (1, 1), (2, 1)], ALL),
    ],
)
def test_what_calls_take(calls, taken):
    trace = BranchTrace(SAMPLE)
    with trace.tracing():
        for arguments in calls:
            SAMPLE.functions["entry"](*arguments)
    assert ways(trace.taken) == sorted(taken)
    assert len(trace.not_taken()) == len(ALL) - len(taken)


def test_only_while_tracing_and_the_tracer_before_comes_back():
    trace, before = BranchTrace(SAMPLE), sys.gettrace()
    with trace.tracing():
        pass
    SAMPLE.functions["entry"](1, 1)
    assert not trace.taken and sys.gettrace() is before
    assert SAMPLE.functions == {"entry": entry}


def test_after_the_first_calls_nothing_is_traced_but_what_is_waited_for(monkeypatch):
    monkeypatch.setattr(branches, "FIRST", 2)
    trace = BranchTrace(SAMPLE, out_of_reach=lambda branch: branch.function == "helper" or branch.line == LOOP)
    with trace.tracing():
        call = SAMPLE.functions["entry"]
        call(0, 0)
        call(0, 0)
        assert ways(trace.taken) == sorted([A_FALSE, LEFT]), "what is out of reach and taken counts at first"
        call(2, 0)
        assert ways(trace.taken) == sorted([A_FALSE, LEFT, A_TRUE, B_FALSE, ENTERED]), (
            "and while the function is traced"
        )
        call(1, 1)
        assert B_TRUE in ways(trace.taken) and (EQUALS, ONE) not in ways(trace.taken), "not in one without a wait"
        monkeypatch.setattr(sys, "settrace", None)
        assert call(1, 1) == 1, "all that was waited for was taken"
    assert ways(trace.not_taken()) == sorted([(EQUALS, ONE), (EQUALS, TWO)])


def test_a_scheme_in_its_variant():
    batched, unbatched = (BranchTrace(find_scheme(name)).all for name in ("large-mapcount", "large-mapcount:unbatched"))
    assert "map_pages_one_by_one" in {one.function for one in unbatched}
    assert "map_pages_one_by_one" not in {one.function for one in batched}
    assert not any(one.source == "if UNBATCHED:" for one in batched | unbatched)
