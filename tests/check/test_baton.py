"""The lowered functions against the functions: the same steps, the same words, the same values, in any order."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check.random_models import models
from check.tiny import tiny_scheme
from mapcount.check.baton import NOTHING, Baton, run_in_python
from mapcount.check.model import Call, Model
from mapcount.check.steps import Steps
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import find_scheme, scheme_ids


def compare(model, schedule):
    """Run a schedule both ways and compare every step, and what is left behind."""
    ours, plain = trace(model, schedule), run_in_python(model, schedule)
    assert len(ours.steps) == len(plain.turns) == len(schedule)
    for one, turn in zip(ours.steps, plain.turns, strict=True):
        assert one.thread == turn.thread
        if one.cell is None:
            assert turn.touch is NOTHING
        else:
            assert (one.primitive.access, one.cell.word.name, one.cell.at) == turn.touch
            assert one.after == turn.value
    steps = Steps(model)
    assert steps.layout.read(plain.memory) == ours.state[: len(steps.layout)]
    returned = [[] for _ in model.threads]
    for one in ours.steps:
        if one.returned is not None:
            returned[one.thread].append(one.returned)
    assert [list(results) for results in plain.results] == returned


def walk(model, choose):
    """Let `choose` pick among the threads that can go on, until none can."""
    steps = Steps(model)
    state, schedule = steps.first, []
    while True:
        able = {thread: taken for thread in range(len(steps.threads)) if (taken := steps.step(state, thread))}
        if not able:
            assert steps.is_over(state)
            return schedule
        thread = choose(sorted(able))
        schedule.append(thread)
        state = able[thread].state


@pytest.mark.parametrize("scheme_id", scheme_ids())
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_alone_a_lowered_function_does_what_the_function_does(scheme_id, data):
    model = data.draw(models(find_scheme(scheme_id), 1, calls=7))
    compare(model, walk(model, lambda able: able[0]))


@pytest.mark.parametrize("scheme_id", scheme_ids())
@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_in_any_order_two_threads_do_what_the_functions_do(scheme_id, data):
    model = data.draw(models(find_scheme(scheme_id), 2))
    random = data.draw(st.randoms(use_true_random=False))
    compare(model, walk(model, random.choice))


@given(data=st.data())
@settings(deadline=None, max_examples=12)
def test_three_threads_do_too(data):
    model = data.draw(models(find_scheme("mm-id"), 3))
    random = data.draw(st.randoms(use_true_random=False))
    compare(model, walk(model, random.choice))


def test_a_deviation_would_be_noticed(tmp_path):
    """The comparison compares: two schemes that differ in the order of two steps do not pass for each other."""
    one = "def map_ptes(m, folio, order, page, nr, mm):\n    atomic_inc(m, X, folio)\n    atomic_inc(m, Y, folio)\n"
    other = "def map_ptes(m, folio, order, page, nr, mm):\n    atomic_inc(m, Y, folio)\n    atomic_inc(m, X, folio)\n"
    threads = ((Call("map_ptes", mm=1),),)
    ours = trace(Model(tiny_scheme(tmp_path, one), 1, threads), (0, 0))
    plain = run_in_python(Model(tiny_scheme(tmp_path, other), 1, threads), (0, 0))
    assert [step.cell.word.name for step in ours.steps] == ["x", "y"]
    assert [turn.touch.word for turn in plain.turns] == ["y", "x"]


MAPPERS = ((Call("map_ptes", 0, 2, 1),), (Call("map_ptes", 0, 2, 2),))


def test_a_lock_that_is_held_is_not_taken():
    """Three steps are the two pages and their sum; the fourth takes the lock."""
    model = Model(find_scheme("mm-id"), 1, MAPPERS)
    run_in_python(model, (0, 0, 0, 0, 1, 1))
    with pytest.raises(AssertionError, match=r"FOLIO_MM_IDS_LOCK\[0\] is locked already"):
        run_in_python(model, (0, 0, 0, 0, 1, 1, 1))
    with pytest.raises(UsageError, match="step 7: thread 1 waits for a lock"):
        trace(model, (0, 0, 0, 0, 1, 1, 1))


def test_no_thread_is_left_behind():
    before = threading.active_count()
    model = Model(find_scheme("large-mapcount"), 1, MAPPERS)
    with Baton(model) as baton:
        baton.step(0)
        assert threading.active_count() == before + 2
    assert threading.active_count() == before
    with pytest.raises(UsageError, match="thread 0 has done everything"):
        run_in_python(model, [0] * 11)
    assert threading.active_count() == before


def test_what_a_function_raises_comes_out(tmp_path):
    source = "def map_ptes(m, folio, order, page, nr, mm):\n    return atomic_read(m, Z, page) // (atomic_read(m, X, folio))\n"
    model = Model(tiny_scheme(tmp_path, source), 1, ((Call("map_ptes", mm=1),),))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        run_in_python(model, (0, 0))
    assert threading.active_count() == before
