"""mm-id: what it has of 6.12, what is new, and what it costs. The slots themselves: test_mm_slots.py."""

from __future__ import annotations

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.mm_id import SCHEME
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


def test_it_counts_what_6_12_counts():
    folios = [OneFolio(scheme, 3) for scheme in ("large-mapcount", "mm-id")]
    for folio in folios:
        folio.new_pmd(1)
        folio.dup_pmd(2)
        folio.split(1)
        folio.unmap(2, 5, 1)
        folio.unmap_pmd(2)
    ours, theirs = (
        [folio.word(name) for name in ("_large_mapcount", "_entire_mapcount", "_nr_pages_mapped")]
        + [folio.pages("_mapcount"), folio.mapped, folio.queued]
        for folio in folios
    )
    assert ours == theirs == [2, -1, 3, [0, 0, -1, -1, -1, -1, -1, 0], 3, 1]


def test_a_share_that_6_12_does_not_see_is_seen():
    folio = OneFolio("mm-id", 2, Kind.SHMEM)
    folio.map(1, 2, 1)
    folio.map(1, 2, 2)
    assert folio.read("mapped_shared") == 1
    twice = OneFolio("mm-id", 2, Kind.SHMEM)
    twice.map(0, 1, 1)
    twice.map(0, 1, 1)
    assert twice.read("mapped_shared") == 0


def test_it_has_as_many_locked_operations_as_6_12():
    folio = OneFolio("mm-id", 4, Kind.SHMEM)
    folio.map(0, 16, 1)
    assert folio.locked == 16 + 2
    folio.unmap(0, 16, 1)
    assert folio.locked == 16 + 2
    folio.map_pmd(1)
    assert folio.locked == 3
    folio.unmap_pmd(1)
    assert folio.locked == 3


@pytest.mark.parametrize("mms", [1, 2])
def test_a_small_folio_and_a_hugetlb_one_are_shared_if_mapped_twice(mms):
    for order, kind in ((0, Kind.ANON), (3, Kind.HUGETLB)):
        folio = OneFolio("mm-id", order, kind)
        folio.new(1)
        for mm in range(2, mms + 1):
            folio.dup(0, 1 << order, mm)
        assert folio.read("mapped_shared") == int(mms > 1)
        assert (folio.word("_mm_id[0]"), folio.mapped) == (0, int(kind == Kind.ANON))
