"""Branches of functions that can be counted by hand, and of a real way of counting."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from agreement import branch_samples
from agreement.branch_samples import entry, helper, unreachable
from mapcount.agreement.branches import BranchTrace
from mapcount.schemes.catalogue import find_scheme

SAMPLE = SimpleNamespace(
    functions={"entry": entry}, helpers={"entry": entry, "helper": helper, "unreachable": unreachable}
)


def ways(branches):
    return sorted((one.function, one.source, one.way.value) for one in branches)


A_AND_B, LOOP, EQUALS = "if a and b:", "for _ in range(a):", "if a == 1:"
ALL = sorted(
    [
        *[("entry", A_AND_B, way) for way in ("false", "true")] * 2,
        *[("entry", LOOP, way) for way in ("entered", "left")],
        *[("helper", EQUALS, way) for way in ("false", "true")],
    ]
)


def test_all_that_the_constants_allow():
    assert ways(BranchTrace(SAMPLE).all) == ALL


def test_a_constant_that_is_set_opens_the_rest(monkeypatch):
    monkeypatch.setattr(branch_samples, "FAST", 1)
    assert {one.function for one in BranchTrace(SAMPLE).all} == {"entry", "helper", "unreachable"}


@pytest.mark.parametrize(
    ("calls", "taken"),
    [
        ([], []),
        ([(0, 1)], [("entry", A_AND_B, "false"), ("entry", LOOP, "left")]),
        (
            [(2, 0)],
            [
                ("entry", A_AND_B, "false"),
                ("entry", A_AND_B, "true"),
                ("entry", LOOP, "entered"),
                ("entry", LOOP, "left"),
            ],
        ),
        ([(1, 1)], [("entry", A_AND_B, "true"), ("entry", A_AND_B, "true"), ("helper", EQUALS, "true")]),
        ([(0, 1), (3, 0), (1, 1), (2, 1)], ALL),
    ],
)
def test_what_calls_take(calls, taken):
    trace = BranchTrace(SAMPLE)
    with trace.tracing():
        for arguments in calls:
            entry(*arguments)
    assert ways(trace.taken) == sorted(taken)
    assert len(trace.not_taken()) == len(ALL) - len(taken)


def test_only_while_tracing_and_the_tracer_before_comes_back():
    trace, before = BranchTrace(SAMPLE), sys.gettrace()
    with trace.tracing():
        pass
    entry(1, 1)
    assert not trace.taken and sys.gettrace() is before


def test_a_scheme_in_its_variant():
    batched, unbatched = (BranchTrace(find_scheme(name)).all for name in ("large-mapcount", "large-mapcount:unbatched"))
    assert "map_pages_one_by_one" in {one.function for one in unbatched}
    assert "map_pages_one_by_one" not in {one.function for one in batched}
    assert not any(one.source == "if UNBATCHED:" for one in batched | unbatched)
