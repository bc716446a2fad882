"""Small constants change nothing but the constants; unsafe ones are refused, and would change something."""

from __future__ import annotations

import dataclasses

import pytest

from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.rest import broken_at_rest
from mapcount.check.scaling import narrowed, scaled
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.bind import bind
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.schemes.pages_mapped import ENTIRELY_MAPPED

SCALABLE = [name for name in scheme_ids() if find_scheme(name).scheme.scalable]
THREADS = (
    (Call("unmap_pmd", mm=1), Call("map_ptes", 0, 3, 1)),
    (Call("map_ptes", 0, 4, 2), Call("unmap_ptes", 1, 2, 2)),
)
START = (Call("map_pmd", mm=1),)


def outcome(scheme, threads=THREADS):
    """Explore; return states, steps, and per final state the words in which the constant does not occur."""
    found = explore(Model(scheme, 2, threads, START, Kind.FILE, statistics=True))
    mark = scheme.constants.get("ENTIRELY_MAPPED", ENTIRELY_MAPPED)
    finals = set()
    for state in found.finals:
        words = found.steps.words(state)
        words["_nr_pages_mapped"] = divmod(words.get("_nr_pages_mapped", (0,))[0], mark)
        finals.add(tuple(sorted(words.items())))
    return found.states, found.transitions, finals


@pytest.mark.parametrize("scheme_id", SCALABLE)
def test_small_constants_give_the_same_states(scheme_id):
    scheme = find_scheme(scheme_id)
    small = scaled(scheme, 2, 2)
    assert small.constants["ENTIRELY_MAPPED"] == 32
    assert small.id == scheme.id
    assert outcome(small) == outcome(scheme)
    assert outcome(scaled(scheme, 2, 2, {"ENTIRELY_MAPPED": 128})) == outcome(scheme)


def test_a_mark_that_a_count_can_reach_gives_others():
    """4 pages and a mark of 4: a folio that PTEs map whole looks as if a PMD mapped it."""
    scheme = find_scheme("large-mapcount")
    unsafe = bind(scheme.scheme, "", {"ENTIRELY_MAPPED": 4})
    threads = ((Call("map_ptes", 0, 4, 2),), (Call("map_ptes", 0, 4, 3),))
    assert outcome(unsafe, threads)[2] != outcome(scheme, threads)[2]


@pytest.mark.parametrize(
    ("constants", "reason"),
    [
        ({"ENTIRELY_MAPPED": 16}, "is not safe: 4 pages and 2 threads need a power of two from 32 on"),
        ({"ENTIRELY_MAPPED": 33}, "is not safe"),
        ({"ENTIRELY_MAPPED": 1 << 30}, "does not fit: large-mapcount has a word of 32 bits"),
        ({"UNBATCHED": 64}, "UNBATCHED is not a constant that may be made small"),
    ],
)
def test_what_is_not_safe_is_refused(constants, reason):
    with pytest.raises(UsageError, match=reason):
        scaled(find_scheme("large-mapcount"), 2, 2, constants)


def test_invariants_are_asked_of_the_real_constants_alone():
    small = explore(Model(scaled(find_scheme("mm-id"), 2, 2), 2, THREADS, START, Kind.FILE, statistics=True))
    with pytest.raises(UsageError, match="invariants know ENTIRELY_MAPPED as it is"):
        broken_at_rest(small.steps, small.finals[0])
    without = explore(Model(find_scheme("mm-id"), 2, THREADS, START, Kind.FILE))
    with pytest.raises(UsageError, match="invariants speak of statistics"):
        broken_at_rest(without.steps, without.finals[0])


NARROW = [name for name in scheme_ids() if find_scheme(name).scheme.narrow]


@pytest.mark.parametrize(
    ("context", "writers"), [("madvise", "hand-over"), ("reclaim", "pmd-and-ptes"), ("rest", "three-halves")]
)
@pytest.mark.parametrize("scheme", NARROW)
def test_narrow_numbers_give_the_same_states_and_answers(scheme, context, writers):
    """rmap-id's sums and its sequence count, in 12 and 12 bits as in 32 and 32."""
    model = model_of(Cell(scheme, context, writers, 4))
    wide, narrow = (explore(one) for one in (model, narrowed(model)))
    assert (wide.states, wide.transitions) == (narrow.states, narrow.transitions)
    told = [{(one.thread, one.call, one.value, one.attainable) for one in found.observed} for found in (wide, narrow)]
    assert told[0] == told[1]
    beyond = [[max(map(max, found.ranges.values())) >= 1 << 31] for found in (wide, narrow)]
    assert beyond == [[True], [False]]


def test_larger_folios_keep_their_numbers():
    """Bases of 33 and more do not fit."""
    model = Model(find_scheme("rmap-id"), 3, ((Call("map_ptes", mm=1),),), (), Kind.FILE)
    assert narrowed(model) is model


def test_too_narrow_numbers_give_others():
    """One bit of writers: the second one who is inside looks like one more sequence."""
    model = model_of(Cell("rmap-id", "madvise", "hand-over", 4))
    small = bind(model.scheme.scheme, "", {**model.scheme.constants, "WRITERS": 1, "SEQUENCE_STEP": 2})
    assert explore(dataclasses.replace(model, scheme=small)).states != explore(model).states
