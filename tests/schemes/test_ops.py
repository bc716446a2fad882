"""Each operation does what PRIMITIVES says of it: that table is what the compiler and the checker go by."""

from __future__ import annotations

import inspect

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes import ops
from mapcount.schemes.memory import Memory
from mapcount.schemes.ops import PRIMITIVES, Access, Ordering
from mapcount.schemes.words import folio_flag, folio_word

COUNT = folio_word("count", bias=-1)
FLAG = folio_flag("flag", "flags")
ON_FLAGS = {"set", "clear", "lock", "unlock"}
EFFECTS = {"add": 5, "sub": -5, "inc": 1, "dec": -1}


def memory(kind=Kind.ANON):
    return Memory((COUNT.at(16, page=1), FLAG.at(0, page=1)), [2, 2], [kind, kind], record=True)


def functions():
    return {
        name: function
        for name, function in inspect.getmembers(ops, inspect.isfunction)
        if function.__module__ == ops.__name__ and not name.startswith("_")
    }


def test_the_table_has_every_operation_and_no_other():
    assert functions().keys() == PRIMITIVES.keys()


@pytest.mark.parametrize("name", [name for name, row in PRIMITIVES.items() if row.effect in EFFECTS])
@pytest.mark.parametrize("start", [-1, 0, 1, 4, 5])
def test_arithmetic(name, start):
    row, m = PRIMITIVES[name], memory()
    m.words["count"][1] = start
    argument = (5,) if row.effect in {"add", "sub"} else ()
    result = functions()[name](m, COUNT, 1, *argument)
    new = start + EFFECTS[row.effect]
    assert m.words["count"] == [-1, new]
    expected = {"none": None, "new": new, "zero": int(new == 0), "negative": int(new < 0)}
    assert result == expected[row.result]
    assert [touch.access for touch in m.touched] == [row.access] == [Access.LOCKED]


@pytest.mark.parametrize("name", [name for name, row in PRIMITIVES.items() if row.effect in ON_FLAGS])
@pytest.mark.parametrize("start", [0, 1])
def test_flags(name, start):
    row, m = PRIMITIVES[name], memory()
    m.words["flag"][1] = start
    if row.effect == "lock" and start:
        with pytest.raises(AssertionError, match="spin for ever"):
            functions()[name](m, FLAG, 1)
        return
    result = functions()[name](m, FLAG, 1)
    assert m.words["flag"] == [0, int(row.effect in {"set", "lock"})]
    assert result == (start if row.result == "old" else None)
    assert [touch.access for touch in m.touched] == [row.access]


def test_loads_and_stores():
    m = memory()
    for name in ("atomic_set", "store"):
        functions()[name](m, COUNT, 0, 41)
    functions()["store_bit"](m, FLAG, 0, 1)
    assert [functions()[name](m, COUNT, 0) for name in ("atomic_read", "read")] == [41, 41]
    assert functions()["test_bit"](m, FLAG, 0) == 1
    assert [touch.access for touch in m.touched] == [Access.STORE] * 3 + [Access.LOAD] * 3
    assert all(PRIMITIVES[name].access is Access.LOAD for name in ("atomic_read", "read", "test_bit"))


def test_barriers_touch_nothing():
    m = memory()
    orders = {"smp_mb": Ordering.FULL, "smp_rmb": Ordering.READ, "smp_wmb": Ordering.WRITE}
    for name, ordering in orders.items():
        functions()[name](m)
        assert PRIMITIVES[name].ordering is ordering
    assert m.touched == []


def test_what_returns_a_value_orders_everything_unless_it_is_relaxed():
    """Documentation/atomic_t.txt."""
    for name, row in PRIMITIVES.items():
        if row.access is Access.LOCKED and row.effect != "lock":
            full = row.result != "none" and not name.endswith("_relaxed")
            assert row.ordering is (Ordering.FULL if full else Ordering.NONE), name


@pytest.mark.parametrize("kind", list(Kind))
def test_what_a_folio_is(kind):
    m = memory(kind)
    answers = [functions()[f"folio_test_{name}"](m, 0) for name in ("anon", "shmem", "hugetlb")]
    assert answers == [int(kind in {Kind.ANON, Kind.KSM}), int(kind == Kind.SHMEM), int(kind == Kind.HUGETLB)]


@pytest.mark.parametrize(("order", "swapcache", "queued"), [(0, 0, 0), (1, 0, 0), (2, 0, 1), (9, 0, 1), (9, 1, 0)])
def test_the_queue_takes_no_small_folios_and_none_of_the_swap_cache(order, swapcache, queued):
    m = memory()
    m.swapcache[1] = swapcache
    ops.deferred_split_folio(m, 1, order)
    assert (m.deferred, m.partially_mapped) == ([0, queued], [0, queued])
    assert ops.folio_test_partially_mapped(m, 1) == queued


def test_statistics_and_pins_are_of_a_folio():
    m = memory()
    ops.mod_stat(m, 1, ops.NR_ANON_THPS, 512)
    ops.mod_stat(m, 1, ops.NR_ANON_THPS, -1)
    assert m.stats[ops.NR_ANON_THPS] == [0, 511]
    assert sum(map(sum, m.stats)) == 511
    m.pinned[0] = 1
    assert [ops.folio_maybe_dma_pinned(m, folio) for folio in (0, 1)] == [1, 0]
