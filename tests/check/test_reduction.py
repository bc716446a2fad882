"""
Partial-order reduction is unsound for what was true in a reader's window: sleep sets lose violations, and nothing else.

They follow one order of those that differ only by accesses to different words. Such orders return the same and end the same,
but "a mapping comes, then another goes" was never 0, and "one goes, then another comes" was.
"""

import pytest

from check.tiny import tiny_scheme
from mapcount.check.explore import explore
from mapcount.check.interval import explained
from mapcount.check.model import Call, Model
from mapcount.check.steps import Steps
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.ops import Access


def independent(steps, state, one, other):
    """Whether two threads' next accesses are to different words, or both are loads."""
    first, second = (steps.threads[thread].next(steps.local(state, thread)) for thread in (one, other))
    loads = all(coming.access and coming.access.primitive.access is Access.LOAD for coming in (first, second))
    return loads or first.cell != second.cell


def never(steps, state, one, other):
    """Whether two accesses may change places if that is never taken for granted."""
    return False


def search(model, may_change_places):
    """Follow every order, with sleep sets; return (orders followed, {(value, explained)}, {final words})."""
    steps = Steps(model)
    answers, ends, orders = set(), set(), 0

    def follow(state, asleep):
        nonlocal orders
        taken = {thread: steps.step(state, thread) for thread in range(len(steps.threads))}
        able = [thread for thread in taken if taken[thread] is not None]
        if not able:
            orders += 1
            ends.add(steps.cells(state))
        done = set(asleep)
        for thread in able:
            if thread in done:
                continue
            closed = taken[thread].closed
            reader = closed and steps.reader(closed.thread, closed.call)
            if reader:
                answers.add((closed.value, explained(reader, closed.value, closed.attainable)))
            follow(taken[thread].state, {other for other in done if may_change_places(steps, state, other, thread)})
            done.add(thread)

    follow(steps.first, set())
    return orders, answers, ends


COUNTED_IN_TWO_WORDS = """
def map_ptes(m, folio, order, page, nr, mm):
    if mm == 1:
        atomic_inc(m, X, folio)
    else:
        atomic_inc(m, Y, folio)
    return 0
def unmap_ptes(m, folio, order, page, nr, mm):
    atomic_dec(m, X, folio)
    return 0
def entries(m, folio, order, page):
    first = read(m, Y, folio)
    return first + read(m, X, folio)
"""
MAP, UNMAP = Call("map_ptes", 0, 1, 2), Call("unmap_ptes", 0, 1, 1)


def tiny_model(path):
    """mm 1, counted by X, goes; mm 2, counted by Y, comes; a reader adds up Y and X."""
    scheme = tiny_scheme(path, COUNTED_IN_TWO_WORDS, ["entries"])
    return Model(scheme, 1, ((UNMAP,), (MAP,), (Call("entries"),)), (Call("map_ptes", 0, 1, 1),), Kind.FILE)


def shipped_model(_):
    """A torn count of a page, of 6.2 to 6.9: its PTEs are read, a PTE comes, the PMD goes, then PMDs are read."""
    threads = ((Call("unmap_pmd", mm=1),), (Call("map_ptes", 0, 1, 2),), (Call("page_mapcount"),))
    return Model(find_scheme("nr-pages-mapped"), 1, threads, (Call("new_pmd", mm=1),))


@pytest.mark.parametrize("make", [tiny_model, shipped_model])
def test_sleep_sets_lose_a_violation_and_nothing_else(make, tmp_path):
    model = make(tmp_path)
    few, reduced, reduced_ends = search(model, independent)
    all_orders, full, ends = search(model, never)
    assert few < all_orders
    assert (0, False) in full
    assert all(is_explained for _, is_explained in reduced)
    assert {value for value, _ in reduced} == {value for value, _ in full}
    assert reduced_ends == ends
    assert {(one.value, one.explained) for one in explore(model).answers} == full


def test_orders_of_the_tiny_model_by_hand(tmp_path):
    """
    Two steps of the reader among two of the writers: 4! / 2! = 12 orders.

    Up to places changed between accesses to different words, the writers' order does not matter: what is left is whether each
    is before or after the reader's load of its word. Both before, both after, either: 4.
    """
    model = tiny_model(tmp_path)
    assert search(model, never)[0] == 12
    assert search(model, independent)[0] == 4
