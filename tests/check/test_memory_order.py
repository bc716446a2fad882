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
        # A release comes after what stood before it, and orders nothing for what follows.
        ("store, then release", READ_WITH_BARRIER, {"weak"}),
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


def _two_threads(path, first, second):
    """Two operations that may each return a value; each is a list of statements."""
    bodies = ["".join(f"        {one}\n" for one in lines) for lines in (first, second)]
    source = (
        f"def dup_ptes(m, folio, order, page, nr, mm):\n    if mm == 2:\n{bodies[0]}        return 0\n"
        f"    if mm == 3:\n{bodies[1]}        return 0\n    return 0\n"
    )
    start = (Call("map_ptes", mm=1),)
    return Model(tiny_scheme(path, source), 0, ((Call("dup_ptes", mm=2),), (Call("dup_ptes", mm=3),)), start, Kind.FILE)


def _outcomes(model, memory):
    """What can come of it: (result of the first, of the second, x, y), the same from both engines."""
    found = {}
    for engine in ("plain", "numba"):
        explored = explore(replace(model, memory_model=memory), engine=engine)
        assert explored.complete
        assert not explored.stuck
        found[engine] = {
            (*(one[0] for one in explored.steps.results(state)), *_x_and_y(explored.steps.words(state)))
            for state in explored.finals
        }
    assert found["plain"] == found["numba"]
    return found["plain"]


def _x_and_y(words):
    return words["x"][0], words["y"][0]


SET = "store(m, {}, folio, {})".format
GET = "return read(m, {}, folio)".format
UNLOCK = "bit_spin_unlock(m, LOCK, folio)"
SHAPES = {
    # Neither load is late and no store early: nobody reads what is written because it was read.
    "LB": (["r = read(m, X, folio)", SET("Y", 1), "return r"], ["r = read(m, Y, folio)", SET("X", 1), "return r"]),
    "R": ([SET("X", 1), SET("Y", 1)], [SET("Y", 2), GET("X")]),
    "R with smp_mb": ([SET("X", 1), "smp_mb(m)", SET("Y", 1)], [SET("Y", 2), "smp_mb(m)", GET("X")]),
    "S": ([SET("X", 2), SET("Y", 1)], ["r = read(m, Y, folio)", SET("X", 1), "return r"]),
    "2+2W": ([SET("X", 1), SET("Y", 2)], [SET("Y", 1), SET("X", 2)]),
    "2+2W with smp_wmb": ([SET("X", 1), "smp_wmb(m)", SET("Y", 2)], [SET("Y", 1), "smp_wmb(m)", SET("X", 2)]),
    # Each reads its own store before it is seen by others (n6 of the papers on x86).
    "SB, own store read": (
        [SET("X", 1), "r = read(m, X, folio)", "return 10 * r + read(m, Y, folio)"],
        [SET("Y", 1), "r = read(m, Y, folio)", "return 10 * r + read(m, X, folio)"],
    ),
    # The store that gives a bit lock back waits in the buffer, too: a load behind it may be first (6.15 and later do that).
    "SB, unlocked": ([SET("X", 1), UNLOCK, GET("Y")], [SET("Y", 1), UNLOCK, GET("X")]),
    "SB, locked anew": (
        [SET("X", 1), "bit_spin_lock(m, LOCK, folio)", UNLOCK, GET("Y")],
        [SET("Y", 1), "smp_mb(m)", GET("X")],
    ),
    "CoWW": ([SET("X", 1), SET("X", 2)], []),
    "CoWR": ([SET("X", 1), GET("X")], []),
}


@pytest.mark.parametrize(
    ("shape", "outcome", "seen_in"),
    [
        ("LB", (1, 1, 1, 1), set()),
        ("R", (0, 0, 1, 2), {"tso", "weak"}),
        ("R with smp_mb", (0, 0, 1, 2), set()),
        ("S", (0, 1, 2, 1), {"weak"}),
        ("2+2W", (0, 0, 1, 1), {"weak"}),
        ("2+2W with smp_wmb", (0, 0, 1, 1), set()),
        ("SB, own store read", (10, 10, 1, 1), {"tso", "weak"}),
        ("SB, unlocked", (0, 0, 1, 1), {"tso", "weak"}),
        # A LOCKed access empties the buffer of an x86. Elsewhere what precedes a lock may come after it is taken.
        ("SB, locked anew", (0, 0, 1, 1), {"weak"}),
        ("CoWW", (0, 0, 1, 0), set()),
        ("CoWR", (0, 0, 1, 0), set()),
    ],
)
def test_shapes(tmp_path, shape, outcome, seen_in):
    """The two-thread shapes of the literature, and coherence; LB is the limit of `weak` that its text states."""
    model = _two_threads(tmp_path, *SHAPES[shape])
    found = {memory: _outcomes(model, memory) for memory in ("sc", "tso", "weak")}
    assert {memory for memory, seen in found.items() if outcome in seen} == seen_in
    assert found["sc"] <= found["tso"] <= found["weak"]


def test_early_loads_of_one_word_stay_in_order(tmp_path):
    """Of y, then x twice: neither x need be as new as y is, and the second one may see what the first one did not."""
    source = (
        "def map_ptes(m, folio, order, page, nr, mm):\n    store(m, X, folio, 1)\n    smp_wmb(m)\n    store(m, Y, folio, 1)\n"
        "def thrice(m, folio, order, page):\n    y = read(m, Y, folio)\n    x = read(m, X, folio)\n"
        "    return 100 * y + 10 * x + read(m, X, folio)\n"
    )
    scheme = tiny_scheme(tmp_path, source, [("thrice", Quantity.ENTRIES, Promise.ESTIMATE)])
    model = Model(scheme, 0, ((Call("map_ptes", mm=1),), (Call("thrice"),)), kind=Kind.FILE, keep_results=True)
    assert _values(model, "sc") == _values(model, "tso") == {0, 1, 11, 111}
    # Never 110 or 10: two loads of one word do not see it go back.
    assert _values(model, "weak") == {0, 1, 11, 111, 100, 101}


def test_loads_of_a_reader_do_not_leave_a_bit_lock(tmp_path):
    """A reader under the lock sees both words as one left them, however early it loads; without the lock it does not."""
    pair = "store(m, X, folio, 1)\n    store(m, Y, folio, 1)"
    lock, unlock = "bit_spin_lock(m, LOCK, folio)", "bit_spin_unlock(m, LOCK, folio)"
    for locked in (True, False):
        inside = f"    {lock}\n    y = read(m, Y, folio)\n    x = read(m, X, folio)\n    {unlock}\n"
        free = "    y = read(m, Y, folio)\n    x = read(m, X, folio)\n"
        source = (
            f"def map_ptes(m, folio, order, page, nr, mm):\n    {lock}\n    {pair}\n    {unlock}\n"
            f"def both(m, folio, order, page):\n{inside if locked else free}    return 10 * y + x\n"
        )
        scheme = tiny_scheme(tmp_path, source, [("both", Quantity.ENTRIES, Promise.ESTIMATE)])
        model = Model(scheme, 0, ((Call("map_ptes", mm=1),), (Call("both"),)), kind=Kind.FILE, keep_results=True)
        assert _values(model, "weak") == ({0, 11} if locked else {0, 1, 10, 11})
