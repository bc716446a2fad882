"""Without counts per page: the mean and its rounding, whole folios in the statistics, partial mappings found late or never."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.no_page_mapcount import SCHEME, mean_rounded_either_way
from mapcount.schemes.truth import FolioTruth
from schemes.one_folio import OneFolio

SCHEMES = ("no-page-mapcount", "total-mapped-pages")


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("ptes", "pmds", "average"),
    [
        (0, 0, 0),
        (1, 0, 1),  # 1/16 is 0, and at least 1
        (7, 0, 1),
        (16, 0, 1),
        (23, 0, 1),  # 1.4
        (24, 0, 2),  # 1.5: halves go up
        (39, 0, 2),  # 2.4
        (40, 0, 3),  # 2.5
        (0, 1, 1),
        (0, 3, 3),
        (7, 1, 1),  # 1.4
        (8, 1, 2),  # 1.5
        (8, 2, 3),
    ],
)
def test_the_mean_is_rounded_to_the_nearest(scheme, ptes, pmds, average):
    folio = OneFolio(scheme, 4, Kind.SHMEM)
    for n in range(ptes):
        folio.map(n % 16, 1, 1)
    for _ in range(pmds):
        folio.map_pmd(2)
    assert [folio.read("folio_average_page_mapcount", i) for i in (0, 15)] == [average] * 2


def test_the_example_of_the_rfc():
    """512 pages, two PMDs and one PTE: 3 mappings of 1025 pages."""
    folio = OneFolio("total-mapped-pages", 9, Kind.SHMEM)
    folio.map_pmd(1)
    folio.map_pmd(2)
    folio.map(17, 1, 3)
    assert (folio.read("folio_mapcount"), folio.word("_total_mapped_pages")) == (3, 1025)
    assert folio.read("folio_average_page_mapcount", 100) == 2


@given(st.lists(st.integers(0, 3), min_size=8, max_size=8), st.integers(0, 3))
def test_the_bounds_are_the_mean_rounded_either_way(counts, pmds):
    truth = FolioTruth(3)
    for i, count in enumerate(counts):
        for mm in range(count):
            truth.map(i, 1, mm, 1)
    for mm in range(pmds):
        truth.map_huge(mm, 1)
    mean = sum(truth.page_entries(i) for i in range(8)) / 8
    low, high = mean_rounded_either_way(truth)
    assert low <= max(mean, 1 if mean else 0) <= high
    assert high - low <= 1
    assert (low == 0) == (mean == 0)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_whole_folio_counts_from_the_first_mapping_to_the_last(scheme):
    folio = OneFolio(scheme, 4, Kind.SHMEM)
    seen = []
    for action in (
        lambda: folio.map(3, 1, 1),
        lambda: folio.map_pmd(2),
        lambda: folio.unmap(3, 1, 1),
        lambda: folio.map(0, 2, 1),
        lambda: folio.unmap_pmd(2),
        lambda: folio.unmap(0, 1, 1),
        lambda: folio.unmap(1, 1, 1),
    ):
        action()
        seen.append((folio.mapped, folio.pmd_mapped))
    assert seen == [(16, 0), (16, 16), (16, 16), (16, 16), (16, 0), (16, 0), (0, 0)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_partial_mapping_is_found_at_once_if_one_maps_the_folio(scheme):
    folio = OneFolio(scheme, 4)
    folio.new(1)
    folio.unmap(5, 1, 1)
    assert (folio.read("partially_mapped"), folio.queued) == (1, 1)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_partial_mapping_is_found_late_if_several_do(scheme):
    """Two give back the same half: 16 mappings of 16 pages look like one of each. One more page, and it is found."""
    late, exact = OneFolio(scheme, 4), OneFolio("mm-id", 4)
    found = []
    for folio in (late, exact):
        folio.new(1)
        folio.dup(0, 16, 2)
        folio.unmap(0, 8, 1)
        folio.unmap(0, 8, 2)
        found.append(folio.read("partially_mapped"))
    assert found == [0, 1], "8 of 16 pages are mapped by nobody"
    late.unmap(8, 1, 2)
    assert late.read("partially_mapped") == 1


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_partial_mapping_may_never_be_found(scheme):
    """Three keep the second half: 24 mappings of 16 pages; then it is gone at once."""
    folio = OneFolio(scheme, 4)
    folio.new(1)
    for mm in (2, 3):
        folio.dup(0, 16, mm)
    for mm in (1, 2, 3):
        folio.unmap(0, 8, mm)
    assert folio.read("partially_mapped") == 0
    folio.unmap(8, 8, 1)
    assert folio.read("partially_mapped") == 0, "16 mappings of 16 pages"
    folio.unmap(8, 8, 2)
    assert folio.read("partially_mapped") == 1, "8 mappings"


@pytest.mark.parametrize(("scheme", "pte", "pmd", "split"), [(SCHEMES[0], 1, 2, 3), (SCHEMES[1], 1, 1, 2)])
def test_locked_operations_do_not_grow_with_the_pages(scheme, pte, pmd, split):
    folio = OneFolio(scheme, 9)
    folio.new_pmd(1)
    folio.split(1)
    assert folio.locked == split
    folio.dup(0, 512, 2)
    assert folio.locked == pte
    folio.unmap(0, 512, 2)
    assert folio.locked == pte
    folio.map_pmd(3)
    assert folio.locked == pmd
    folio.unmap_pmd(3)
    assert folio.locked == pmd


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pages_of_a_large_folio_are_never_written(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.split(1)
    folio.unmap(0, 5, 1)
    assert folio.pages("_mapcount") == [-1] * 8
    assert folio.others_untouched()
