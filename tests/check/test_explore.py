"""Exploration against all interleavings, against counts by hand, and against what is known of the designs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check.naive import all_runs, entries, entries_of_page, is_explained
from check.tiny import tiny_scheme
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import find_scheme, scheme_ids

NEW_PMD = (Call("new_pmd", mm=1),)
PTES = Call("map_ptes", 0, 2, 2)
HALF = Call("map_ptes", 1, 1, 2)
UNMAP_PMD = Call("unmap_pmd", mm=1)
SPLIT = Call("split_pmd", mm=1)
DUP = Call("dup_pmd", mm=3)

RIGHT = {
    "counted": lambda done, value, page: value == entries(done, 1),
    "folio_mapcount": lambda done, value, page: value == entries(done, 1),
    "folio_mapped": lambda done, value, page: bool(value) == (entries(done, 1) > 0),
    "page_mapcount": lambda done, value, page: value == entries_of_page(done, 1, page),
}


def against_all_interleavings(model):
    """Compare final states, values and verdicts with those of every single interleaving; return these."""
    found, runs = explore(model), list(all_runs(model))
    assert found.complete
    assert not found.stuck
    assert {_final(found.steps, state) for state in found.finals} == {(run.words, run.results) for run in runs}
    for thread, calls in enumerate(model.threads):
        for number, call in enumerate(calls):
            if call.name in RIGHT:

                def right(done, value, call=call):
                    return RIGHT[call.name](done, value, call.first)

                naive = {
                    (run.results[thread][number], is_explained(model, run, (thread, number), right)) for run in runs
                }
                ours = {
                    (one.value, one.explained) for one in found.answers if (one.thread, one.call) == (thread, number)
                }
                assert ours == naive
    return found, runs


def _final(steps, state):
    words = {name: values for name, values in steps.words(state).items() if not name.startswith("stat ")}
    # Of operations the plain run keeps all results; those of map and unmap are 0.
    results = []
    for thread, kept in enumerate(steps.results(state)):
        numbers = sorted(steps.threads[thread].kept)
        told = dict(zip(numbers, kept, strict=True))
        results.append(tuple(told.get(number, 0) for number in range(len(steps.model.threads[thread]))))
    return tuple(sorted(words.items())), tuple(results)


@pytest.mark.parametrize("scheme_id", ["large-mapcount", "large-mapcount:unbatched"])
@pytest.mark.parametrize("reader", ["folio_mapcount", "folio_mapped", "page_mapcount"])
@pytest.mark.parametrize("writers", [((HALF,), (UNMAP_PMD,)), ((HALF, Call("unmap_ptes", 1, 1, 2)),)])
def test_values_and_verdicts_equal_those_of_all_interleavings(scheme_id, reader, writers):
    page = 1 if reader == "page_mapcount" else 0
    threads = (*writers, (Call(reader, page),))
    _, runs = against_all_interleavings(Model(find_scheme(scheme_id), 1, threads, NEW_PMD, keep_results=True))
    assert len(runs) > 5


LOCKED_UPDATE = """
def map_ptes(m, folio, order, page, nr, mm):
    bit_spin_lock(m, LOCK, folio)
    store(m, X, folio, read(m, X, folio) + nr)
    bit_spin_unlock(m, LOCK, folio)

def counted(m, folio, order, page):
    return read(m, X, folio)
"""


def test_with_a_lock_too(tmp_path):
    scheme = tiny_scheme(tmp_path, LOCKED_UPDATE, ["counted"])
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("map_ptes", 0, 1, 2),), (Call("counted"),))
    found, runs = against_all_interleavings(Model(scheme, 0, threads, keep_results=True))
    # One holder after the other, four steps each, and the reader before, between or after any of these.
    assert len(runs) == 2 * 9
    assert not found.violations
    assert {found.steps.words(state)["x"] for state in found.finals} == {(2,)}


@pytest.mark.parametrize("scheme_id", ["mm-id", "total-mapped-pages"])
def test_a_shipped_lock_against_all_interleavings(scheme_id):
    model = Model(find_scheme(scheme_id), 1, ((UNMAP_PMD,), (Call("folio_mapcount"),)), NEW_PMD, keep_results=True)
    against_all_interleavings(model)


def test_a_batch_is_one_operation_that_takes_effect_at_once(tmp_path):
    """Two words of one batch of two: halves of it were never true, so 1 is no answer though it lies between 0 and 2."""
    source = """
    def map_ptes(m, folio, order, page, nr, mm):
        for i in range(page, page + nr):
            atomic_inc(m, X, folio)

    def counted(m, folio, order, page):
        return atomic_read(m, X, folio)
    """
    scheme = tiny_scheme(tmp_path, source, ["counted"])
    model = Model(scheme, 1, ((Call("map_ptes", 0, 2, 1),), (Call("counted"),)), keep_results=True)
    found = explore(model)
    assert {(one.value, one.explained, one.attainable) for one in found.answers} == {
        (0, True, (0,)),
        (1, False, (0, 2)),
        (2, True, (2,)),
    }
    right = {
        (run.results[1][0], is_explained(model, run, (1, 0), lambda done, value: value == entries(done, 1)))
        for run in all_runs(model)
    }
    assert right == {(0, True), (1, False), (2, True)}


@st.composite
def tiny_sources(draw):
    """Write two operations and a reader of a few accesses each."""
    access = [
        "atomic_inc(m, X, folio)",
        "atomic_dec(m, Y, folio)",
        "v += atomic_read(m, X, folio)",
        "v += atomic_add_return(m, Y, folio, 1)",
        "store(m, X, folio, v)",
        "if v:\n        atomic_inc(m, X, folio)",
        "if test_and_set_bit(m, LOCK, folio) or atomic_read(m, Y, folio):\n        v = v * 2 + 1",
    ]
    parts = []
    for head in (
        "map_ptes(m, folio, order, page, nr, mm)",
        "unmap_ptes(m, folio, order, page, nr, mm)",
        "counted(m, folio, order, page)",
    ):
        lines = draw(st.lists(st.sampled_from(access), max_size=2))
        parts.append("\n    ".join([f"def {head}:", "v = 0", *lines, "return v & 3"]))
    return "\n".join(parts)


@given(tiny_sources())
@settings(deadline=None, max_examples=25)
def test_random_schemes_against_all_interleavings(tmp_path_factory, source):
    scheme = tiny_scheme(tmp_path_factory.mktemp("tiny"), source, ["counted"])
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("unmap_ptes", 0, 2, 2),), (Call("counted"),))
    model = Model(scheme, 1, threads, (Call("map_ptes", 0, 2, 2),), keep_results=True)
    try:
        model.memory()
    except UsageError:  # what returns something in the start counts as refused
        return
    found, runs = explore(model), list(all_runs(model))
    results = {(run.results[2][0], is_explained(model, run, (2, 0), _entries_are)) for run in runs}
    assert {(one.value, one.explained) for one in found.answers} == results
    assert {_cells(found.steps.words(state)) for state in found.finals} == {_cells(dict(run.words)) for run in runs}


def _entries_are(done, value):
    return value == entries(done, 1)


def _cells(words):
    return tuple((name, words[name]) for name in ("x", "y", "z", "lock"))


ONE_STEP = """
def map_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)

def counted(m, folio, order, page):
    v = atomic_read(m, X, folio)
    return atomic_read(m, X, folio) * 0 + v
"""
LOST_UPDATE = """
def map_ptes(m, folio, order, page, nr, mm):
    store(m, X, folio, atomic_read(m, X, folio) + nr)
"""


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_one_step_each_has_a_state_for_every_set_of_threads(tmp_path, threads):
    scheme = tiny_scheme(tmp_path, ONE_STEP)
    model = Model(scheme, 0, tuple((Call("map_ptes", 0, 1, mm + 1),) for mm in range(threads)))
    found = explore(model, symmetry=False)
    assert found.states == 2**threads
    assert found.transitions == threads * 2 ** (threads - 1)
    assert (found.depth, len(found.finals), found.complete) == (threads, 1, True)


def test_load_and_store_by_two_threads_counted_by_hand(tmp_path):
    """
    s: not begun, l: has loaded, d: done; the word follows from who stored what.

    ss; ls sl; ll ds sd; d(l after) and d(l before), each way round; dd with 1 and with 2: 1 + 2 + 3 + 4 + 2.
    """
    scheme = tiny_scheme(tmp_path, LOST_UPDATE)
    found = explore(Model(scheme, 0, ((Call("map_ptes", 0, 1, 1),), (Call("map_ptes", 0, 1, 2),))))
    assert (found.states, found.transitions) == (12, 14)
    assert {found.steps.words(state)["x"] for state in found.finals} == {(1,), (2,)}


def test_a_window_is_part_of_a_state_counted_by_hand(tmp_path):
    """
    Map not done or done, and the reader not begun, between its loads, or over: 6, and one more between its loads.

    There it may have read 0 or 1, and if 0, before the map or with the map in its window.
    """
    scheme = tiny_scheme(tmp_path, ONE_STEP, ["counted"])
    found = explore(Model(scheme, 0, ((Call("map_ptes", 0, 1, 1),), (Call("counted"),))))
    assert found.states == 7
    assert {(one.value, one.explained) for one in found.answers} == {(0, True), (1, True)}


def test_an_access_more_is_not_merged_away(tmp_path):
    """An operation of three accesses and one of two: a grid of 4 by 3 states, since all leave different words."""
    source = """
    def map_ptes(m, folio, order, page, nr, mm):
        for i in range(3):
            atomic_inc(m, X, folio)

    def map_pmd(m, folio, order, page, mm):
        atomic_inc(m, Y, folio)
        atomic_inc(m, Y, folio)
    """
    found = explore(Model(tiny_scheme(tmp_path, source), 1, ((Call("map_ptes", mm=1),), (Call("map_pmd", mm=2),))))
    assert (found.states, found.transitions) == (12, 3 * 3 + 2 * 4)


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_two_threads_that_take_turns_lose_nothing_to_the_bound(scheme_id):
    scheme = find_scheme(scheme_id)
    order = 2 if 1 in scheme.scheme.unsupported_orders else 1
    model = Model(scheme, order, ((Call("map_ptes", 0, 2, 1),), (Call("map_ptes", 0, 2, 2),)))
    whole = explore(model)
    assert whole.complete
    assert whole.extent.startswith(f"exhaustive: all {whole.states:,} states")
    cut = explore(model, max_states=whole.states - 1)
    assert not cut.complete
    assert cut.extent.startswith("bound reached")
    assert explore(model, max_states=whole.states).complete


def test_two_locks_in_two_orders_get_stuck(tmp_path):
    source = """
    def map_ptes(m, folio, order, page, nr, mm):
        bit_spin_lock(m, LOCK, folio)
        while test_and_set_bit(m, Z, page):
            pass
        bit_spin_unlock(m, LOCK, folio)

    def map_pmd(m, folio, order, page, mm):
        bit_spin_lock(m, LOCK, folio)
        bit_spin_lock(m, LOCK, folio)
    """
    scheme = tiny_scheme(tmp_path, source)
    found = explore(Model(scheme, 1, ((Call("map_ptes", mm=1),), (Call("map_pmd", mm=2),))))
    assert not found.finals
    assert found.stuck
    state = trace(found.steps.model, found.stuck[0])
    assert state.words["lock"] == (1,)


def test_the_shortest_way_is_the_shortest_of_all_interleavings():
    """By looking at each of them up to where the reader returns."""
    model = Model(
        find_scheme("large-mapcount"),
        1,
        ((HALF,), (UNMAP_PMD,), (Call("page_mapcount", 1),)),
        NEW_PMD,
        keep_results=True,
    )
    runs = list(all_runs(model))
    bad = [
        run for run in runs if not is_explained(model, run, (2, 0), lambda done, v: v == entries_of_page(done, 1, 1))
    ]
    assert bad
    shortest = min(run.spans[2, 0][1] + 1 for run in bad)
    (violation,) = explore(model).violations
    assert len(violation.schedule) == shortest
    assert violation.schedule in {run.schedule[:shortest] for run in bad}


def test_a_reduction_that_swaps_independent_accesses_would_lose_violations(tmp_path):
    """
    The reader never touches the mapper's word, so any two orders of their accesses lead to the same words.

    A partial-order reduction keeps one of them; which values were true while the reader looked differs all the same.
    """
    source = """
    def map_ptes(m, folio, order, page, nr, mm):
        atomic_inc(m, X, folio)

    def counted(m, folio, order, page):
        return atomic_read(m, Y, folio) + atomic_read(m, Y, folio)
    """
    scheme = tiny_scheme(tmp_path, source, ["counted"])
    model = Model(scheme, 0, ((Call("counted"),), (Call("map_ptes", 0, 1, 1),)), keep_results=True)
    found, runs = explore(model), list(all_runs(model))

    def equivalent(run):
        """Name the class of orders that independent neighbours turn into each other: what each word sees, in order."""
        seen = {}
        for turn in run.turns:
            seen.setdefault(turn.touch.word, []).append(turn.thread)
        return tuple(sorted((word, tuple(threads)) for word, threads in seen.items()))

    kept = {}
    for run in sorted(runs, key=lambda run: run.schedule):
        kept.setdefault(equivalent(run), run)
    assert len(runs) == 3
    assert len(kept) == 1
    assert {(run.words, run.results) for run in kept.values()} == {(run.words, run.results) for run in runs}

    def bad(some):
        return [run for run in some if not is_explained(model, run, (0, 0), lambda done, v: v == entries(done, 0))]

    assert not bad(kept.values())
    assert len(bad(runs)) == 1
    assert [one.schedule for one in found.violations] == [bad(runs)[0].schedule]


def test_a_condition_is_met_by_the_shortest_way():
    model = Model(find_scheme("mm-id"), 1, ((PTES,), (UNMAP_PMD,)), NEW_PMD)
    until = {
        "locked": lambda words: words["FOLIO_MM_IDS_LOCK"] == (1,),
        "both pages": lambda words: words["_mapcount"] == (0, 0),
        "never": lambda words: words["_mapcount"] == (7, 7),
    }
    seen = explore(model, until=until).seen
    assert seen == {"locked": (1,), "both pages": (0, 0)}


def test_the_same_model_gives_the_same_result():
    model = Model(find_scheme("mm-id"), 1, ((PTES,), (UNMAP_PMD,), (Call("page_mapcount"),)), NEW_PMD)
    one, other = explore(model), explore(model)
    assert (one.states, one.transitions, one.answers, one.finals) == (
        other.states,
        other.transitions,
        other.answers,
        other.finals,
    )


def test_readers_without_a_claim_about_moments_are_answered_and_not_judged():
    model = Model(
        find_scheme("large-mapcount"), 1, ((PTES,), (Call("mapped_shared"), Call("partially_mapped"))), NEW_PMD
    )
    found = explore(model)
    assert {one.explained for one in found.answers} == {None}
    assert found.values(1, 0) == {0, 1}
    assert found.values(1, 1) == {0}
    assert found.steps.is_over(found.finals[0])
