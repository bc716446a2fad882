"""Small constants change nothing but the constants; unsafe ones are refused, and would change something."""

from __future__ import annotations

import pytest

from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.rest import broken_at_rest
from mapcount.check.scaling import scaled
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
