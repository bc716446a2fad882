"""Memory models against litmus tests whose outcomes are known: which combinations of values can be read at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from check.tiny import tiny_scheme
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.mapping.schema import Kind
from mapcount.schemes.scheme import Promise, Quantity

READ_Y_THEN_X = "def both(m, folio, order, page):\n    y = read(m, Y, folio)\n    return 10 * y + read(m, X, folio)\n"
READ_WITH_BARRIER = READ_Y_THEN_X.replace("    return", "    smp_rmb(m)\n    return")
WRITERS = {
    "plain stores": "store(m, X, folio, 1)\n    store(m, Y, folio, 1)",
    "plain stores, smp_wmb": "store(m, X, folio, 1)\n    smp_wmb(m)\n    store(m, Y, folio, 1)",
    "void atomics": "atomic_inc(m, X, folio)\n    atomic_inc(m, Y, folio)",
    "value-returning atomics": "atomic_add_return(m, X, folio, 1)\n    atomic_add_return(m, Y, folio, 1)",
    "void, then value-returning": "atomic_inc(m, X, folio)\n    atomic_add_return(m, Y, folio, 1)",
    "store, then release": "store(m, X, folio, 1)\n    bit_spin_unlock(m, LOCK, folio)\n    store(m, Y, folio, 1)",
}


def _message_passing(path, writer, reader):
    source = f"def map_ptes(m, folio, order, page, nr, mm):\n    {WRITERS[writer]}\n{reader}"
    scheme = tiny_scheme(path, source, [("both", Quantity.ENTRIES, Promise.ESTIMATE)])
    return Model(scheme, 0, ((Call("map_ptes", mm=1),), (Call("both"),)), kind=Kind.FILE, keep_results=True)


def _values(model, memory):
    found = {}
    for engine in ("plain", "numba"):
        explored = explore(replace(model, memory_model=memory), engine=engine)
        assert explored.complete
        assert not explored.stuck
        found[engine] = {explored.steps.results(state)[1][0] for state in explored.finals}
    assert found["plain"] == found["numba"]
    return found["plain"]


@pytest.mark.parametrize(
    ("writer", "reader", "torn_in"),
    [
        # y is set and x is not (10): the writer's second change was seen without its first.
        ("plain stores", READ_Y_THEN_X, {"weak"}),
        ("plain stores", READ_WITH_BARRIER, {"weak"}),
        ("plain stores, smp_wmb", READ_Y_THEN_X, {"weak"}),
        ("plain stores, smp_wmb", READ_WITH_BARRIER, set()),
        ("void atomics", READ_WITH_BARRIER, {"weak"}),
        ("value-returning atomics", READ_Y_THEN_X, {"weak"}),
        ("value-returning atomics", READ_WITH_BARRIER, set()),
        ("void, then value-returning", READ_WITH_BARRIER, set()),
        ("store, then release", READ_WITH_BARRIER, set()),
    ],
)
def test_message_passing(tmp_path, writer, reader, torn_in):
    """MP of Documentation/memory-barriers.txt: forbidden on x86, elsewhere unless both sides are ordered."""
    model = _message_passing(tmp_path, writer, reader)
    for memory in ("sc", "tso", "weak"):
        expected = {0, 1, 11} | ({10} if memory in torn_in else set())
        assert _values(model, memory) == expected, memory


def _store_buffering(path, first, barrier):
    """Each thread sets one word and reads the other one, as a dup: so both results are kept."""
    source = (
        f"def dup_ptes(m, folio, order, page, nr, mm):\n"
        f"    if mm == 2:\n        {first.format('X')}\n{barrier}        return read(m, Y, folio)\n"
        f"    {first.format('Y')}\n{barrier.replace('        ', '    ')}    return read(m, X, folio)\n"
    )
    scheme = tiny_scheme(path, source)
    start = (Call("map_ptes", mm=1),)
    return Model(scheme, 0, ((Call("dup_ptes", mm=2),), (Call("dup_ptes", mm=3),)), start, Kind.FILE)


@pytest.mark.parametrize(
    ("first", "barrier", "both_zero_in"),
    [
        ("store(m, {}, folio, 1)", "", {"tso", "weak"}),
        ("store(m, {}, folio, 1)", "        smp_mb(m)\n", set()),
        ("atomic_inc(m, {}, folio)", "", {"weak"}),
        ("atomic_add_return(m, {}, folio, 1)", "", set()),
        ("store(m, {}, folio, 1)", "        smp_wmb(m)\n", {"tso"}),
    ],
)
def test_store_buffering(tmp_path, first, barrier, both_zero_in):
    """SB: x86 allows that neither store is seen, unless a LOCKed access or a full barrier stands between."""
    model = _store_buffering(tmp_path, first, barrier)
    for memory in ("sc", "tso", "weak"):
        explored = explore(replace(model, memory_model=memory))
        results = {tuple(one[0] for one in explored.steps.results(state)) for state in explored.finals}
        assert ((0, 0) in results) is (memory in both_zero_in), memory
        assert {(1, 1), (0, 1), (1, 0)} <= results


def test_a_thread_sees_its_own_stores(tmp_path):
    source = (
        "def dup_ptes(m, folio, order, page, nr, mm):\n"
        "    store(m, X, folio, 5)\n    store(m, X, folio, 7)\n    return read(m, X, folio)\n"
    )
    scheme = tiny_scheme(tmp_path, source)
    model = Model(scheme, 0, ((Call("dup_ptes", mm=2),),), (Call("map_ptes", mm=1),), Kind.FILE)
    for memory in ("sc", "tso", "weak"):
        explored = explore(replace(model, memory_model=memory))
        assert {explored.steps.results(state) for state in explored.finals} == {((7,),)}
        assert {explored.steps.words(state)["x"] for state in explored.finals} == {(7,)}


def test_loads_of_one_word_are_never_out_of_order(tmp_path):
    """CoRR: two loads of one word do not see it go back, in any memory model."""
    source = (
        "def map_ptes(m, folio, order, page, nr, mm):\n    store(m, X, folio, 1)\n"
        "def both(m, folio, order, page):\n    first = read(m, X, folio)\n    return 10 * first + read(m, X, folio)\n"
    )
    scheme = tiny_scheme(tmp_path, source, [("both", Quantity.ENTRIES, Promise.ESTIMATE)])
    model = Model(scheme, 0, ((Call("map_ptes", mm=1),), (Call("both"),)), kind=Kind.FILE, keep_results=True)
    for memory in ("sc", "tso", "weak"):
        assert 10 not in _values(model, memory)


def test_a_bit_lock_keeps_its_section_whole(tmp_path):
    """Two adders under a lock with plain stores lose nothing, however weak the memory is."""
    source = (
        "def map_ptes(m, folio, order, page, nr, mm):\n    bit_spin_lock(m, LOCK, folio)\n"
        "    store(m, X, folio, read(m, X, folio) + nr)\n    bit_spin_unlock(m, LOCK, folio)\n"
    )
    scheme = tiny_scheme(tmp_path, source)
    model = Model(scheme, 0, ((Call("map_ptes", mm=1),), (Call("map_ptes", mm=2),)), kind=Kind.FILE)
    for memory in ("sc", "tso", "weak"):
        explored = explore(replace(model, memory_model=memory))
        assert {explored.steps.words(state)["x"] for state in explored.finals} == {(2,)}
        assert not explored.stuck
