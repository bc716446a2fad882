"""The self-check: nothing to find in what real kernels were recorded with, and whatever is changed in it is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.agreement import golden_file
from mapcount.kernels.self_check import SelfCheck
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import FolioState, Mapped, Observation

GOLDEN = Path(__file__).parent.parent / "golden"
TRACES = {path.stem: golden_file.load(path) for path in sorted(GOLDEN.glob("*.json"))}
COUNTERS = {"_mapcount", "compound_mapcount", "_entire_mapcount", "_large_mapcount", "_refcount", "_nr_pages_mapped"}


@pytest.mark.parametrize("name", TRACES)
def test_real_kernels_agree_with_their_page_tables(name):
    checked = 0
    for one in TRACES[name].recorded:
        check = SelfCheck(swap=one.scenario.settings.swap)
        for seen in one.observations:
            assert check.check(seen) == [], one.scenario.name
        checked += check.folios
    assert checked > TRACES[name].steps


STATES = [
    (one.observations, at)
    for trace in TRACES.values()
    for one in trace.recorded
    if not one.scenario.settings.swap
    for at, seen in enumerate(one.observations)
    if seen.mappings
]


@given(st.data())
def test_a_counter_that_is_off_is_found(data):
    steps, at = data.draw(st.sampled_from(STATES))
    seen = steps[at]
    candidates = [
        (name, word)
        for name, folio in seen.folios.items()
        if folio.kind is not Kind.HUGETLB
        for word in folio.words.keys() & COUNTERS
    ]
    if not candidates:
        return
    name, word = data.draw(st.sampled_from(sorted(candidates)))
    by = data.draw(st.sampled_from([-512, -2, -1, 1, 2, 13, 1 << 23]))
    folio = seen.folios[name]
    value = folio.words[word]
    if isinstance(value, tuple):
        run = data.draw(st.integers(0, len(value) - 1))
        changed = tuple((one + (by if i == run else 0), length) for i, (one, length) in enumerate(value))
    else:
        changed = value + by
    found = _check_with(steps, at, name, {word: changed})
    assert word in {one.word.split(" of ")[0] for one in found if one.folio == name}


def _check_with(steps, at, name, words):
    check = SelfCheck()
    for seen in steps[:at]:
        check.check(seen)
    folio = steps[at].folios[name]
    changed = replace(folio, words={**folio.words, **words})
    return check.check(replace(steps[at], folios={**steps[at].folios, name: changed}))


@given(st.data())
def test_an_entry_that_is_not_there_is_found(data):
    steps, at = data.draw(st.sampled_from(STATES))
    seen = steps[at]
    gone = data.draw(st.sampled_from(seen.mappings))
    check = SelfCheck()
    found = check.check(replace(seen, mappings=tuple(row for row in seen.mappings if row is not gone)))
    assert gone.folio in {one.folio for one in found}


def folio(order=2, kind=Kind.ANON, **words):
    """Return a folio of four pages that p maps whole, as 6.16 has it."""
    whole = {
        "_mapcount": ((0, 4),),
        "_entire_mapcount": -1,
        "_large_mapcount": 3,
        "_nr_pages_mapped": 4,
        "_mm_id": ("p", None),
        "_mm_id_mapcount": (3, -1),
        "shared": 0,
        "PG_anon_exclusive": ((1, 4),),
        "_refcount": 4,
    }
    return FolioState(order, kind, {**whole, **words})


WHOLE = (Mapped("p", "a", 0, "f0", 0, 4, Level.PTE),)
BOTH = (Mapped("c", "a", 0, "f0", 0, 4, Level.PTE), *WHOLE)
SHARED = {
    "_mapcount": ((1, 4),),
    "_large_mapcount": 7,
    "_mm_id": ("p", "c"),
    "_mm_id_mapcount": (3, 3),
    "shared": 1,
    "PG_anon_exclusive": ((0, 4),),
    "_refcount": 8,
}


def words_of(found):
    return [one.word for one in found]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, []),
        ({"shared": 1}, ["shared"]),
        ({"_mm_id": ("c", None)}, ["_mm_id_mapcount of c"]),
        ({"_mm_id": (None, "p"), "_mm_id_mapcount": (-1, 3)}, []),
        ({"_mm_id_mapcount": (4, -1)}, ["_mm_id_mapcount of p"]),
        ({"_mm_id_mapcount": (2, -1)}, []),
        ({"_mm_id_mapcount": (-1, -1)}, ["_mm_id_mapcount of p"]),
        ({"_mm_id_mapcount": (3, 0)}, ["_mm_id_mapcount of None"]),
        ({"PG_anon_exclusive": ((0, 4),)}, []),
    ],
)
def test_who_has_a_slot(words, found):
    assert words_of(SelfCheck().check(Observation(0, WHOLE, {"f0": folio(**words)}))) == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({}, []),
        ({"shared": 0}, ["shared"]),
        ({"PG_anon_exclusive": ((0, 3), (1, 1))}, ["PG_anon_exclusive of page 3"]),
    ],
)
def test_what_two_map(words, found):
    assert words_of(SelfCheck().check(Observation(0, BOTH, {"f0": folio(**{**SHARED, **words})}))) == found


def test_shared_may_stay_once_a_third_one_was_there_until_nobody_maps_it():
    check = SelfCheck()
    third = (*BOTH, Mapped("d", "a", 0, "f0", 0, 1, Level.PTE))
    three = {**SHARED, "_mapcount": ((2, 1), (1, 3)), "_large_mapcount": 8, "_refcount": 9}
    assert check.check(Observation(0, third, {"f0": folio(**three)})) == []
    assert check.check(Observation(0, WHOLE, {"f0": folio(shared=1)})) == []
    nobody = {
        "_mapcount": ((-1, 4),),
        "_large_mapcount": -1,
        "_nr_pages_mapped": 0,
        "_mm_id": (None, None),
        "_mm_id_mapcount": (-1, -1),
    }
    unmapped = {**nobody, "_refcount": 4}
    del unmapped["_mapcount"]
    cached = folio(kind=Kind.SHMEM, **nobody, shared=1)
    assert words_of(check.check(Observation(0, (), {"f0": cached}))) == ["shared"]
    # And now it has no past any more.
    again = folio(kind=Kind.SHMEM, shared=1, _refcount=8, PG_anon_exclusive=((0, 4),))
    assert words_of(check.check(Observation(0, WHOLE, {"f0": again}))) == ["shared"]


@pytest.mark.parametrize(("swap", "found"), [(False, ["_refcount"]), (True, [])])
def test_the_swap_cache_holds_a_reference_for_each_page(swap, found):
    assert words_of(SelfCheck(swap=swap).check(Observation(0, WHOLE, {"f0": folio(_refcount=8)}))) == found


def old_thp(double, *rows, pages=((0, 512),), entire=-1, references=1):
    words = {
        "_mapcount": pages,
        "compound_mapcount": entire,
        "PG_double_map": double,
        "_refcount": references,
    }
    return Observation(0, tuple(sorted(rows)), {"f0": FolioState(9, Kind.ANON, words)})


PMD = Mapped("p", "a", 0, "f0", 0, 512, Level.PMD)
PTES = Mapped("c", "a", 0, "f0", 0, 512, Level.PTE)


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (old_thp(0, PMD, pages=((-1, 512),), entire=0), []),
        (old_thp(1, PMD, PTES, pages=((1, 512),), entire=0, references=513), []),
        (old_thp(0, PMD, PTES, pages=((0, 512),), entire=0, references=513), ["PG_double_map"]),
        # The last PTE is gone: it stays until the last PMD goes, too.
        (old_thp(1, PMD, pages=((0, 512),), entire=0), []),
        (old_thp(1, PTES, pages=((1, 512),), references=512), ["PG_double_map"]),
    ],
)
def test_double_map(seen, found):
    assert words_of(SelfCheck().check(seen)) == found
