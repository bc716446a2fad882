"""What is known of the designs, found by the engine: interleavings that were seen or argued on linux-mm, and more."""

from __future__ import annotations

import inspect

import pytest

from check.tiny import load
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.rest import broken_at_rest
from mapcount.check.schedule import schedule_text
from mapcount.check.trace import trace
from mapcount.mapping.schema import Kind
from mapcount.schemes import mm_id, mm_slots
from mapcount.schemes.bind import bind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.pages_mapped import ENTIRELY_MAPPED

NEW_PMD = (Call("new_pmd", mm=1),)
PTES = Call("map_ptes", 0, 2, 2)
UNMAP_PMD = Call("unmap_pmd", mm=1)
SPLIT = Call("split_pmd", mm=1)
DUP = Call("dup_pmd", mm=3)


@pytest.mark.parametrize("scheme_id", ["large-mapcount", "large-mapcount:unbatched", "mm-id", "no-page-mapcount"])
@pytest.mark.parametrize("reader", ["folio_mapcount", "folio_mapped"])
@pytest.mark.parametrize(
    ("writers", "start"),
    [
        (((PTES, Call("unmap_ptes", 0, 2, 2)), (UNMAP_PMD,)), NEW_PMD),
        (((UNMAP_PMD,), (DUP,)), (*NEW_PMD, Call("dup_pmd", mm=2))),
        (((Call("unmap_ptes", 0, 2, 1),), (Call("map_ptes", 0, 1, 2),)), (Call("new_ptes", 0, 2, 1),)),
    ],
)
def test_a_count_in_one_word_is_always_explained(scheme_id, reader, writers, start):
    found = explore(Model(find_scheme(scheme_id), 1, (*writers, (Call(reader),)), start))
    assert found.complete
    assert not found.violations
    assert found.values(len(writers)) >= ({1, 2} if reader == "folio_mapcount" else {1})


@pytest.mark.parametrize("scheme_id", ["large-mapcount", "mm-id"])
def test_while_a_pmd_mapping_is_split_it_is_counted_by_both(scheme_id):
    """A split counts twice: PTEs are added before the PMD goes, so P + 1 is read where there are 1 or P."""
    model = Model(find_scheme(scheme_id), 1, ((SPLIT,), (Call("folio_mapcount"),)), NEW_PMD)
    found = explore(model)
    assert {(one.value, one.explained) for one in found.answers} == {(1, True), (3, False), (2, True)}
    assert found.violations[0].attainable == (1, 2)


@pytest.mark.parametrize("scheme_id", ["large-mapcount", "large-mapcount:unbatched", "mm-id"])
def test_the_count_of_a_page_can_be_torn(scheme_id):
    """
    Its PTEs are read, then a PTE comes and the PMD goes, then the PMDs are read: 0, though something always mapped it.

    Nothing shorter does: the reader's two loads around all of a mapping and what of an unmapping takes effect in
    `_entire_mapcount`, its last access but one or more.
    """
    model = Model(find_scheme(scheme_id), 1, ((PTES,), (UNMAP_PMD,), (Call("page_mapcount"),)), NEW_PMD)
    found = explore(model)
    torn = [one for one in found.violations if one.value == 0]
    assert [one.attainable for one in torn] == [(1, 2)]
    told = trace(model, torn[0].schedule)
    assert [step.cell.word.name for step in told.steps if step.thread == 2] == ["_mapcount", "_entire_mapcount"]
    assert told.steps[-1].returned == 0
    assert told.steps[0].thread == 2
    assert 1 in {step.window[0] for step in told.steps if step.thread == 2}


def test_shared_is_never_falsely_denied_by_mm_id():
    """mm 2 maps while mm 1 maps and mm 3 forks off: SHARED says so as soon as it is surely so."""
    model = Model(find_scheme("mm-id"), 1, ((PTES,), (UNMAP_PMD,), (Call("mapped_shared"),)), NEW_PMD)
    found = explore(model)
    assert found.values(2) == {0, 1}
    assert not found.violations


def first_wrong(model, value):
    """Return the shortest way to a wrong value, as text, and what was true meanwhile."""
    found = explore(model)
    assert found.complete
    (wrong,) = [one for one in found.violations if one.value == value]
    return schedule_text(wrong.schedule), wrong.attainable


COUNT = (Call("folio_mapcount"),)


def test_false_zero_of_the_loop():
    """
    2.3, 1: two PTEs map a folio. No PMD is seen; one comes (2 steps), the PTEs go (2 pages, 2 steps each); no page is seen.

    Eight steps with the reader's two. The PMD must be counted in full before the last PTE begins to go: else 0 could be true.
    """
    model = Model(
        find_scheme("nr-pages-mapped"),
        1,
        (COUNT, (Call("map_pmd", mm=2),), (Call("unmap_ptes", 0, 1, 1), Call("unmap_ptes", 1, 1, 1))),
        (Call("map_ptes", 0, 2, 1),),
        Kind.FILE,
    )
    assert first_wrong(model, 0) == ("ab2c4a", (1, 2, 3))


def test_torn_loop():
    """2.3, 2: page 0 is passed, then mapped, and page 1 unmapped before it is reached: 0, though one was always mapped."""
    writer = (Call("map_ptes", 0, 1, 1), Call("unmap_ptes", 1, 1, 1))
    model = Model(find_scheme("nr-pages-mapped"), 1, (writer, COUNT), (Call("map_ptes", 1, 1, 1),), Kind.FILE)
    assert first_wrong(model, 0) == ("b3a3b", (1, 2))


def test_torn_loop_the_other_way():
    """2.3, 2: unmapping before mapping counts one mapping twice."""
    writer = (Call("unmap_ptes", 0, 1, 1), Call("map_ptes", 1, 1, 1))
    model = Model(find_scheme("nr-pages-mapped"), 1, (writer, COUNT), (Call("map_ptes", 0, 1, 1),), Kind.FILE)
    assert first_wrong(model, 2) == ("b3a3b", (0, 1))


THREE_TIMES = tuple(Call("map_ptes", 1, 1, mm) for mm in (1, 2, 3))


def test_a_loop_that_stops_early_misses_what_was_always_there():
    """2.3, 3: page 1 is mapped three times; page 0 is mapped after the number of mapped pages was read, and ends the loop."""
    threads = (COUNT, (Call("map_ptes", 0, 1, 4),))
    model = Model(find_scheme("nr-pages-mapped:short-loop"), 1, threads, THREE_TIMES, Kind.FILE)
    assert first_wrong(model, 1) == ("a2ba", (3, 4))
    full = explore(Model(find_scheme("nr-pages-mapped"), 1, threads, THREE_TIMES, Kind.FILE))
    assert full.values(0) == {3, 4}
    assert not full.violations


@pytest.mark.parametrize(
    ("threads", "start", "value"),
    [
        (((UNMAP_PMD,), (Call("map_pmd", mm=2),)), (Call("map_pmd", mm=1),), 2 * ENTIRELY_MAPPED),
        (
            ((Call("unmap_ptes", 0, 1, 1),), (Call("map_ptes", 0, 1, 2),)),
            (Call("map_ptes", 0, 2, 1), Call("map_pmd", mm=3)),
            ENTIRELY_MAPPED + 2 + 1,
        ),
    ],
)
def test_the_mark_is_seen_twice_or_beside_a_page_too_many(threads, start, value):
    """2.3, 4: one is about to count a last mapping gone, another counts a first one in between: three steps."""
    model = Model(find_scheme("nr-pages-mapped"), 1, threads, start, Kind.FILE, statistics=True)
    found = explore(model, until={"seen": lambda words: words["_nr_pages_mapped"] == (value,)})
    assert schedule_text(found.seen["seen"]) == "ab2"
    for state in found.finals:
        assert broken_at_rest(found.steps, state) == []


@pytest.mark.parametrize(("pages", "states", "steps"), [(2, 724, 1827), (4, 4644, 12262), (8, 42520, 114904)])
def test_as_many_states_as_other_checkers_count(pages, states, steps):
    """
    A folio mapped and unmapped page by page, by a PMD, and counted: 6.2's design.

    The last is what SPIN 6.5.2 and TLC 2.15 count for the same model, written for them; all three a checker that keeps the
    least and the greatest truth instead of a set.
    """
    ptes = tuple(Call(name, i, 1, 1) for name in ("map_ptes", "unmap_ptes") for i in range(pages))
    pmds = (Call("map_pmd", mm=2), Call("unmap_pmd", mm=2))
    order = pages.bit_length() - 1
    found = explore(Model(find_scheme("nr-pages-mapped"), order, (ptes, pmds, COUNT), kind=Kind.FILE))
    assert (found.states, found.transitions) == (states, steps)


def test_a_sequence_count_makes_the_sum_of_many_words_one():
    """2.3, 5: a split moves counts from the PMD's word to the pages'. With the seqlock of 2021 nobody sees that half done."""
    start = (Call("new_pmd", mm=1), Call("dup_pmd", mm=2))
    found = {}
    for name in ("double-map:before-5.19", "double-map", "double-map:seqlock"):
        found[name] = explore(Model(find_scheme(name), 2, ((SPLIT,), COUNT), start))
        assert found[name].complete
    # Two PMDs, then a PMD and four PTEs. More than that, and less than nothing, is what the loop can add up.
    assert found["double-map:seqlock"].values(1) == {2, 5}
    assert not found["double-map:seqlock"].violations
    for name in ("double-map:before-5.19", "double-map"):
        wrong = {one.value for one in found[name].violations}
        assert {0, 6} <= wrong


def broken_lock(path):
    """Copy mm-id with a lock that locks nothing."""
    source = inspect.getsource(mm_slots)
    lines = source.splitlines()
    without = [line for line in lines if not line.strip().startswith(("bit_spin_lock(", "bit_spin_unlock("))]
    assert len(lines) - len(without) == 4
    slots = load(path, "\n".join(without) + "\n", "mm_slots_without_lock")
    design = inspect.getsource(mm_id).replace("mapcount.schemes.mm_slots", slots.__name__)
    return bind(load(path, design, "mm_id_without_lock").SCHEME)


def test_without_the_bit_lock_an_update_is_lost(tmp_path):
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("map_ptes", 1, 1, 2),))

    def ends(scheme):
        found = explore(Model(scheme, 1, threads, statistics=True))
        assert found.complete
        totals = {found.steps.words(state)["_large_mapcount"] for state in found.finals}
        return totals, {text for state in found.finals for text in broken_at_rest(found.steps, state)}

    assert ends(find_scheme("mm-id")) == ({(1,)}, set())
    totals, broken = ends(broken_lock(tmp_path))
    assert totals == {(0,), (1,)}
    assert any("_large_mapcount" in text for text in broken)


def test_a_lost_update_is_found_by_the_shortest_way_to_a_wrong_count(tmp_path):
    """Both have read the total before one stores: the count of a reader is then too low for good."""
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("map_ptes", 1, 1, 2),), COUNT)
    found = explore(Model(broken_lock(tmp_path), 1, threads))
    (wrong,) = found.violations
    assert (wrong.value, wrong.attainable) == (1, (2,))
    assert not explore(Model(find_scheme("mm-id"), 1, threads)).violations
