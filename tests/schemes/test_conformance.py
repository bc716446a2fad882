"""The shipped test passes on every scheme that ships, fails on broken ones, and tells the shortest history that breaks them."""

from __future__ import annotations

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind
from mapcount.schemes.bind import bind
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.schemes.conformance import FOLIOS, allowed, play, run_conformance_test
from mapcount.schemes.history import FolioSpec, Wish, World
from mapcount.schemes.large_mapcount import SCHEME as LARGE
from mapcount.schemes.scheme import Promise, Quantity, Reader
from schemes.mutation import mutated

MUTATIONS = [
    # off by one
    (
        "large_mapcount",
        "large_mapcount",
        "atomic_sub(m, _large_mapcount, folio, nr)",
        "atomic_sub(m, _large_mapcount, folio, 1)",
    ),
    ("large_mapcount", "pages_mapped", "range(page, page + nr)", "range(page, page + nr - 1)"),
    ("no_page_mapcount", "no_page_mapcount", "elif mapcount < 1 << order", "elif mapcount <= 1 << order"),
    ("no_page_mapcount", "no_page_mapcount", "(1 << order) // 2)", "(1 << order))"),
    ("nr_pages_mapped", "nr_pages_mapped", "return mapcount + (1 << order)", "return mapcount + (1 << order) - 1"),
    # a missing decrement or increment
    ("large_mapcount", "large_mapcount", "    atomic_dec(m, _large_mapcount, folio)\n    if", "    if"),
    ("mm_id", "mm_id", "    sub_large_mapcount(m, folio, 1, mm)\n", ""),
    ("double_map", "double_map", "                atomic_dec(m, _mapcount, i)\n", "                pass\n"),
    ("double_map", "double_map", "            mapcount -= test_bit(m, PG_double_map, folio)".lstrip(" "), "pass"),
    (
        "total_mapcount",
        "total_mapcount",
        "            atomic_inc(m, _total_mapcount, folio)\n    else",
        "            pass\n    else",
    ),
    ("total_mapped_pages", "total_mapped_pages", "    add_to_total(m, folio, -nr)\n", ""),
    # a wrong bias
    (
        "large_mapcount",
        "large_mapcount",
        "atomic_set(m, _large_mapcount, folio, nr - 1)",
        "atomic_set(m, _large_mapcount, folio, nr)",
    ),
    (
        "total_mapcount",
        "total_mapcount",
        "return atomic_read(m, _total_mapcount, folio) >= 0",
        "return atomic_read(m, _total_mapcount, folio) > 0",
    ),
    (
        "double_map",
        "double_map",
        "atomic_set(m, compound_mapcount, folio, 0)",
        "atomic_set(m, compound_mapcount, folio, 1)",
    ),
    ("mm_id", "mm_slots", "store(m, _mm_id_mapcount_1, folio, nr - 1)", "store(m, _mm_id_mapcount_1, folio, nr)"),
    # a swapped slot
    ("mm_id", "mm_slots", "store(m, _mm_id_1, folio, mm)", "store(m, _mm_id_0, folio, mm)"),
    ("no_page_mapcount", "mm_slots", "store(m, _mm_id_1, folio, 0)", "store(m, _mm_id_0, folio, 0)"),
    # SHARED, the statistics, the flag of anon pages, the lock
    ("mm_id", "mm_slots", "if large != nr - 1:", "if large == nr - 1:"),
    (
        "mm_id",
        "mm_slots",
        "    if not tracked:\n",
        "    if 1:\n        store_bit(m, FOLIO_MM_IDS_SHARED, folio, 0)\n    if not tracked:\n",
    ),
    (
        "mm_id",
        "mm_slots",
        "    bit_spin_unlock(m, FOLIO_MM_IDS_LOCK, folio)\n    return large + 1\n\n\ndef sub",
        "    return large + 1\n\n\ndef sub",
    ),
    (
        "large_mapcount",
        "pages_mapped",
        "< ENTIRELY_MAPPED:\n        return last",
        "<= ENTIRELY_MAPPED:\n        return last",
    ),
    ("total_mapped_pages", "total_mapped_pages", "== nr_pages - 1", "== nr_pages"),
    ("double_map", "double_map", "folio) + 1 > 1 and not test", "folio) + 1 > 2 and not test"),
    ("double_map", "double_map", "            share(m, folio, i)\n", "            pass\n"),
    ("large_mapcount", "anon_exclusive", "                return 1", "                return 0"),
]


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_every_scheme_that_ships_conforms(scheme_id):
    run_conformance_test(find_scheme(scheme_id), histories=101, seed=7)


@pytest.mark.parametrize(("scheme", "module", "old", "new"), MUTATIONS)
def test_a_broken_scheme_is_found(scheme, module, old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated(scheme, module, old, new))


@pytest.mark.parametrize(
    ("variant", "module", "old", "new"),
    [
        ("seqlock", "mapcount_seqlock", "folio) + 1)\n        bit_spin_unlock", "folio))\n        bit_spin_unlock"),
        ("seqlock", "double_map", "        each = 2", "        each = 1"),
        ("before-5.19", "double_map", "        return folio_maybe_dma_pinned(m, folio)", "        return 1"),
    ],
)
def test_a_broken_variant_of_double_map_is_found(variant, module, old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("double_map", module, old, new, variant))


@pytest.mark.parametrize(
    ("variant", "module", "old", "new"),
    [
        ("sum", "subpages_mapcount", "        atomic_dec(m, subpages_mapcount, folio)\n", ""),
        ("sum", "subpages_mapcount", "without -= 1", "without -= 0"),
        ("bit-lock", "subpages_mapcount", "entire, total - 1", "entire, total"),
        ("bit-lock", "subpages_mapcount", "    bit_spin_unlock(m, MAPCOUNTS_LOCK, folio)\n", ""),
        ("short-loop", "nr_pages_mapped", "pages > 0 and", "pages > 1 and"),
    ],
)
def test_a_broken_variant_of_nr_pages_mapped_is_found(variant, module, old, new):
    broken = mutated("nr_pages_mapped", module, old, new, variant)
    with pytest.raises((ConformanceError, AssertionError)):  # a lock that stays locked is found by taking it again
        run_conformance_test(broken)


def test_the_history_told_is_as_short_as_it_can_be():
    broken = mutated("large_mapcount", "large_mapcount", "_large_mapcount, folio, nr)", "_large_mapcount, folio, 1)")
    with pytest.raises(ConformanceError) as told:
        run_conformance_test(broken)
    lines = str(told.value).splitlines()
    assert lines[0].startswith("large-mapcount: _large_mapcount + 1 is")
    wishes = [line for line in lines if "Wish(" in line]
    assert 1 <= len(wishes) <= 3, "one mapping of several pages, one unmapping"
    assert lines[-1].startswith("(seed 1, history ")


def test_the_same_seed_gives_the_same_histories():
    def told(seed):
        with pytest.raises(ConformanceError) as error:
            run_conformance_test(mutated("mm_id", "mm_slots", "if large != nr - 1:", "if large == nr - 1:"), seed=seed)
        return str(error.value)

    assert told(3) == told(3)


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        (Promise.EXACT, (3, 3)),
        (Promise.NEVER_LESS, (3, 1 << 62)),
        (Promise.NEVER_MORE, (-(1 << 62), 3)),
        (Promise.ESTIMATE, (-(1 << 62), 1 << 62)),
        (Promise.BOUNDED, (2, 5)),
    ],
)
def test_what_a_promise_allows(promise, expected):
    world = World([FolioSpec(2, Kind.ANON)], 3)
    world.truths[0].map(0, 3, 1, 1)
    bounds = (lambda truth: (truth.entries() - 1, truth.entries() + 2)) if promise is Promise.BOUNDED else None
    assert allowed(Reader("r", Quantity.ENTRIES, promise, "", bounds), world, 0, 0) == expected


def test_a_reader_that_breaks_its_promise_is_found():
    broken = mutated("mm_id", "mm_slots", "    return test_bit(m, FOLIO_MM_IDS_SHARED, folio)", "    return 0")
    with pytest.raises(ConformanceError, match="mapped_shared of page 0 says 0, promised is never less of 1"):
        run_conformance_test(broken)


def test_orders_without_room_are_left_out_and_all_others_are_not():
    assert {spec.order for spec in FOLIOS} == {0, 1, 2, 3}
    for scheme_id in scheme_ids():
        scheme = find_scheme(scheme_id).scheme
        assert scheme.unsupported_orders == ((1,) if scheme.id in {"total-mapcount", "rmap-id"} else ())


def test_a_history_may_be_played_by_itself():
    spec = [FolioSpec(3, Kind.ANON)]
    wishes = [Wish("new_pmd", 0, 1, 0, 0, 8), Wish("fork", 0, 1, 0, 0, 8), Wish("split", 0, 2, 0, 0, 8)]
    assert play(bind(LARGE), spec, wishes) is None
