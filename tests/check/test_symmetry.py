"""Threads that are alike: fewer states and the same findings, held against the search of all; and who is not alike."""

from __future__ import annotations

from math import comb, factorial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check.tiny import tiny_scheme
from mapcount.check import fast, symmetry
from mapcount.check.cells import parse_cell
from mapcount.check.explore import explore
from mapcount.check.locks import PAGE_TABLE
from mapcount.check.model import Call, Model
from mapcount.check.spin import cross_check
from mapcount.check.steps import Steps
from mapcount.check.trace import trace
from mapcount.check.verdicts import judge
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

NAMELESS = ["double-map", "nr-pages-mapped", "large-mapcount"]
"""Ways of counting whose words name no address space."""
COUNT = (Call("folio_mapcount", mm=1),)
ZAP = ("unmap_ptes", 0, 2, "zap")


def repeated(calls, mm):
    """Return calls, told as (operation, first, nr, via), of one address space."""
    return tuple(Call(name, first, nr, mm, via=via) for name, first, nr, via in calls)


def model(scheme, calls, n, others=(COUNT,), order=1, start=(), **more):
    """Return a model of n threads that do the same from mm 2 on, all of which mapped everything, and of others."""
    whole = tuple(Call("map_ptes", 0, 1 << order, mm) for mm in range(2, 2 + n))
    threads = tuple(repeated(calls, mm) for mm in range(2, 2 + n))
    return Model(find_scheme(scheme), order, (*threads, *others), (*whole, *start), Kind.SHMEM, watch_all=True, **more)


def found(explored):
    """Return what must not depend on how many states were looked at."""
    return (
        explored.complete,
        explored.depth,
        {(one.thread, one.call, one.value, one.attainable, len(one.schedule)) for one in explored.observed},
        {tuple(explored.steps.words(state).items()) for state in explored.finals},
        {len(way) for way in explored.stuck},
        explored.ranges,
        {name: len(way) for name, way in explored.seen.items()},
    )


def orbits(steps):
    """Go through all states; return how many there are, and how many kinds of them by an exchange of like threads."""
    waiting, seen, kinds = [steps.first], set(), set()
    while waiting:
        state = waiting.pop()
        if state in seen:
            continue
        seen.add(state)
        locals_ = [steps.local(state, thread) for thread in range(len(steps.threads))]
        alike = {thread for group in steps.groups for thread in group}
        rest = tuple(local for thread, local in enumerate(locals_) if thread not in alike)
        together = tuple(tuple(sorted(locals_[thread] for thread in group)) for group in steps.groups)
        windows = tuple(steps.window(state, thread) for thread in range(len(steps.threads)))
        kinds.add((steps.cells(state), rest, together, windows))
        waiting += [taken.state for chosen in steps.choices(state) if (taken := steps.step(state, chosen))]
    return len(seen), len(kinds)


GONE = {"gone": lambda words: set(words["_mapcount"]) == {-1}}
CALLS = st.lists(
    st.sampled_from([("unmap_ptes", 0, 1, "zap"), ("unmap_ptes", 1, 1, "madvise_dontneed"), ZAP]),
    min_size=1,
    max_size=2,
).filter(
    lambda calls: (
        len({page for _, first, nr, _ in calls for page in range(first, first + nr)}) == sum(c[2] for c in calls)
    )
)


@settings(max_examples=23, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    scheme=st.sampled_from(NAMELESS),
    calls=CALLS,
    other=st.sampled_from([(), (repeated([("map_ptes", 0, 1, "fault")], 9),)]),
    reads=st.booleans(),
    again=st.booleans(),
)
def test_the_same_is_found_with_fewer_states(scheme, calls, other, reads, again):
    if again:
        calls = [*calls, ("map_ptes", 0, 1, "insert")]
    one = model(scheme, calls, 3, (*other, *((COUNT,) if reads else ())))
    steps = Steps(one)
    assert steps.groups == ((0, 1, 2),)
    states, kinds = orbits(steps)
    every = explore(one, symmetry=False, until=GONE)
    assert every.states == states
    for engine in ("plain", "numba"):
        some = explore(one, engine=engine, until=GONE)
        assert found(some) == found(every)
        assert some.states == kinds
        assert states / factorial(3) <= kinds < states


@pytest.mark.parametrize(("n", "least"), [(3, 3.3), (4, 6)])
def test_how_many_fewer(n, least):
    """At most n!; less where threads stand at the same place, which short programs often do."""
    one = model("nr-pages-mapped", [ZAP], n)
    every, some = explore(one, symmetry=False), explore(one)
    assert least < every.states / some.states <= factorial(n)


STEPS = """
def map_ptes(m, folio, order, page, nr, mm):
    for i in range({steps}):
        atomic_inc(m, X, folio)
"""


@pytest.mark.parametrize(("n", "steps"), [(3, 1), (3, 4), (5, 2), (7, 1)])
def test_threads_of_some_steps_counted_by_hand(tmp_path, n, steps):
    """Each is at one of steps + 1 places: as many states as there are multisets of n places."""
    scheme = tiny_scheme(tmp_path, STEPS.format(steps=steps))
    one = Model(scheme, 0, tuple((Call("map_ptes", 0, 1, mm + 1),) for mm in range(n)))
    assert explore(one, symmetry=False).states == (steps + 1) ** n
    for engine in ("plain", "numba"):
        assert explore(one, engine=engine).states == comb(n + steps, n)


MANY_STATES = """
def map_ptes(m, folio, order, page, nr, mm):
    seen = 0
    for i in range(6):
        seen += atomic_add_return(m, X, folio, 1)
    if seen > 20:
        atomic_inc(m, Y, folio)
"""


def test_a_field_that_grows_grows_for_all(tmp_path, monkeypatch):
    """A thread has more states than a byte holds here: those that are like it change places with it."""
    one = Model(tiny_scheme(tmp_path, MANY_STATES), 0, tuple((Call("map_ptes", 0, 1, mm),) for mm in (1, 2, 3)))
    wide = explore(one, engine="numba")
    assert len(wide.steps.threads[0].locals) > 127
    monkeypatch.setattr(fast, "_LOCAL", 1)
    narrow = explore(one, engine="numba")
    assert (narrow.states, narrow.transitions, found(narrow)) == (wide.states, wide.transitions, found(wide))


def test_every_schedule_happens():
    """Each, step by step on the model as it is, ends with the value and the window that it was told with."""
    torn = [("unmap_ptes", 0, 1, "zap"), ("map_ptes", 0, 1, "fault"), ("unmap_ptes", 1, 1, "zap")]
    one = model("nr-pages-mapped", torn, 3)
    some = explore(one)
    assert len(some.observed) > 11
    assert some.violations
    for answer in some.observed:
        last = trace(one, answer.schedule).steps[-1]
        assert (last.thread, last.returned, last.window) == (3, answer.value, answer.attainable)
    ways = [answer.schedule for answer in some.observed]
    # The way is not simply that of the states in their order.
    assert any(list(dict.fromkeys(step for step in way if step < 3)) != [0, 1, 2] for way in ways)


def test_two_are_left_as_they_are():
    assert Steps(model("large-mapcount", [ZAP], 2)).groups == ()


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (model("mm-id", [ZAP], 3), "its words name address spaces"),
        (
            model("large-mapcount", [ZAP], 3, ((Call("folio_mapcount", holds=(PAGE_TABLE + 3,)),),)),
            "a lock of one of them",
        ),
        (model("large-mapcount", [ZAP], 3, start=(Call("map_pmd", mm=3),)), "one has mapped more"),
        (
            model("large-mapcount", [ZAP], 3, ((Call("others_by_mapcount", mm=2),),)),
            "who reads asks about one of them",
        ),
        (
            model(
                "large-mapcount", [("unmap_ptes", 0, 1, "zap")], 3, (repeated([("unmap_ptes", 1, 1, "zap")], 4), COUNT)
            ),
            "another one works on one of their address spaces",
        ),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_who_is_not_alike(one, why):
    assert Steps(one).groups == (), why


def test_who_does_something_else_is_left_out():
    one = model("large-mapcount", [ZAP], 3, (repeated([("map_ptes", 0, 2, "fault")], 6), COUNT))
    assert Steps(one).groups == ((0, 1, 2),)


def test_what_is_asked_about_must_not_be_exchanged(monkeypatch):
    """Who asks whether others than mm 2 map the folio: that another one's last page is missed goes unseen if all are one."""
    by_page = [("unmap_ptes", 0, 1, "zap"), ("unmap_ptes", 1, 1, "zap")]
    one = model("large-mapcount", by_page, 3, ((Call("others_by_mapcount", mm=2),),))
    every = found(explore(one))
    monkeypatch.setattr(symmetry, "_asks_about", lambda *_: False)
    assert Steps(one).groups
    assert found(explore(one)) != every


def test_spin_is_given_all_states():
    with pytest.raises(UsageError, match="symmetry=False"):
        cross_check(explore(model("large-mapcount", [ZAP], 3)))


@pytest.mark.parametrize("scheme", ["nr-pages-mapped", "large-mapcount", "mm-id"])
def test_three_at_rest(scheme):
    """Three of four processes unmap all: what is left is the fourth's, in every order."""
    verdict = judge(parse_cell(f"{scheme}/rest/three-leave/2"))
    assert verdict.status == "holds"
    assert verdict.complete
