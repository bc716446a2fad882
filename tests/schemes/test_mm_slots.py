"""Owner slots with three address spaces, worked out by hand; and that two at a time are always told apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from schemes.one_folio import OneFolio

A, B, C, D = 1, 2, 3, 4
SCHEMES = ("mm-id", "no-page-mapcount", "total-mapped-pages")


def slots(folio):
    """Return [(id, stored count), (id, stored count)], SHARED, the stored total."""
    pairs = [(folio.word(f"_mm_id[{i}]"), folio.word(f"_mm_id_mapcount[{i}]")) for i in (0, 1)]
    return pairs, folio.word("FOLIO_MM_IDS_SHARED"), folio.word("_large_mapcount")


FREE = (0, -1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_never_equal_again(scheme):
    """Never equal again: C maps 2 untracked, A leaves, C maps 1; its slot has 1 of 3, also when it is alone."""
    folio = OneFolio(scheme, 4, Kind.SHMEM)
    folio.map(0, 1, A)
    assert slots(folio) == ([(A, 0), FREE], 0, 0)
    folio.map(0, 1, B)
    assert slots(folio) == ([(A, 0), (B, 0)], 1, 1)
    folio.map(0, 2, C)
    assert slots(folio) == ([(A, 0), (B, 0)], 1, 3)
    folio.unmap(0, 1, A)
    assert slots(folio) == ([FREE, (B, 0)], 1, 2)
    folio.map(2, 1, C)
    assert slots(folio) == ([(C, 0), (B, 0)], 1, 3)
    folio.unmap(0, 1, B)
    assert slots(folio) == ([(C, 0), FREE], 1, 2)
    assert folio.read("mapped_shared") == 1, "C is alone, and its slot says 1 of 3"
    folio.unmap(2, 1, C)
    assert slots(folio) == ([FREE, FREE], 1, 1), "one more than the slot had: it is free, and 1 is not its count"
    assert folio.read("mapped_shared") == 1
    folio.unmap(1, 1, C)
    assert slots(folio) == ([FREE, FREE], 1, 0)
    assert folio.read("mapped_shared") == 0, "one mapping cannot be shared, whatever the flag says"
    folio.unmap(0, 1, C)
    assert slots(folio) == ([FREE, FREE], 0, -1), "unmapped: the free slots' -1 is the total"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slot_that_owns_all_again_clears_shared(scheme):
    folio = OneFolio(scheme, 3)
    folio.new(A)
    folio.dup(0, 8, B)
    folio.dup(0, 8, C)
    assert slots(folio) == ([(A, 7), (B, 7)], 1, 23)
    folio.unmap(0, 8, A)
    assert slots(folio) == ([FREE, (B, 7)], 1, 15)
    folio.unmap(0, 3, C)
    assert slots(folio) == ([FREE, (B, 7)], 1, 12), "C is not tracked, and B's 8 are not all 13"
    folio.unmap(3, 5, C)
    assert slots(folio) == ([FREE, (B, 7)], 0, 7), "the untracked one is gone: B owns all"
    assert folio.read("mapped_shared") == 0


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_pmd_split_keeps_the_slot(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(A)
    folio.dup_pmd(B)
    folio.split(A)
    assert slots(folio) == ([(A, 7), (B, 0)], 1, 8)
    folio.unmap_pmd(B)
    assert slots(folio) == ([(A, 7), FREE], 0, 7)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_split_by_one_without_a_slot_takes_a_free_one(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(A)
    folio.dup_pmd(B)
    folio.dup_pmd(C)
    folio.unmap_pmd(A)
    folio.split(C)
    # C's 8 PTEs go into slot 0; taking away its PMD leaves 7 there of the 8 that it has.
    assert slots(folio) == ([(C, 6), (B, 0)], 1, 8)
    folio.unmap_pmd(B)
    assert slots(folio) == ([(C, 6), FREE], 1, 7)


def test_the_lock_is_one_locked_operation_and_a_plain_release():
    folio = OneFolio("mm-id", 3)
    folio.new(A)
    folio.dup(0, 8, B)
    folio.unmap(0, 1, B)
    lock = [touch.access.value for touch in folio.memory.touched if touch.word == "FOLIO_MM_IDS_LOCK"]
    assert lock == ["locked", "store"]


STEP = st.tuples(st.integers(1, 4), st.integers(0, 7), st.integers(1, 8), st.booleans())


@given(st.sampled_from(SCHEMES), st.lists(STEP, max_size=67))
def test_with_two_at_a_time_shared_is_exact(scheme, steps):
    """Four address spaces come and go, never three at a time."""
    folio = OneFolio(scheme, 3, Kind.SHMEM)
    mapped = {mm: set() for mm in (A, B, C, D)}
    for mm, first, nr, adds in steps:
        wanted = range(first, min(8, first + nr))
        pages = [i for i in wanted if (i not in mapped[mm]) == adds]
        if adds and len({other for other in mapped if mapped[other]} | {mm}) > 2:
            continue
        for i in pages:
            (folio.map if adds else folio.unmap)(i, 1, mm)
            mapped[mm] ^= {i}
        alone = sum(bool(pages) for pages in mapped.values()) <= 1
        assert folio.word("FOLIO_MM_IDS_SHARED") == int(not alone)
        assert folio.read("mapped_shared") == int(not alone)


@given(st.sampled_from(SCHEMES), st.lists(STEP, max_size=67))
def test_with_four_at_a_time_it_is_never_missed(scheme, steps):
    folio = OneFolio(scheme, 3, Kind.SHMEM)
    mapped = {mm: set() for mm in (A, B, C, D)}
    for mm, first, nr, adds in steps:
        pages = [i for i in range(first, min(8, first + nr)) if (i not in mapped[mm]) == adds]
        for i in pages:
            (folio.map if adds else folio.unmap)(i, 1, mm)
            mapped[mm] ^= {i}
        shared = sum(bool(pages) for pages in mapped.values()) > 1
        assert folio.read("mapped_shared") >= int(shared)
