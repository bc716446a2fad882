"""total-mapped-pages: the PMD statistics by arithmetic, and hugetlb. The rest is in test_no_page_mapcount.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.total_mapped_pages import SCHEME
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 7)), max_size=61))
def test_pmd_mapped_pages_follow_from_the_two_counts(steps):
    folio = OneFolio("total-mapped-pages", 3, Kind.SHMEM)
    pmds, ptes = 0, []
    for adds, pmd, i in steps:
        if pmd and adds:
            folio.map_pmd(1)
            pmds += 1
        elif pmd and pmds:
            folio.unmap_pmd(1)
            pmds -= 1
        elif not pmd and adds:
            folio.map(i, 1, 1)
            ptes.append(i)
        elif not pmd and ptes:
            folio.unmap(ptes.pop(), 1, 1)
        assert folio.pmd_mapped == (8 if pmds else 0)
        assert folio.word("_total_mapped_pages") == 8 * pmds + len(ptes)
        assert folio.word("_total_mapped_pages") - (folio.word("_large_mapcount") + 1) == 7 * pmds


def test_no_entire_mapcount():
    assert "_entire_mapcount" not in {place.word.name for place in SCHEME.places}


@pytest.mark.parametrize("maps", [1, 2, 3])
def test_hugetlb_counts_mappings_alone_and_its_mean_is_1(maps):
    """As posted: the mappings of a hugetlb folio are divided by its pages. Kernels up to 7.3 give the mappings."""
    folio, before = OneFolio("total-mapped-pages", 9, Kind.HUGETLB), OneFolio("no-page-mapcount", 9, Kind.HUGETLB)
    for one in (folio, before):
        one.new_pmd(1)
        for mm in range(2, maps + 1):
            one.dup_pmd(mm)
    assert (folio.word("_large_mapcount"), folio.word("_total_mapped_pages")) == (maps - 1, 0)
    assert folio.read("folio_average_page_mapcount") == 1
    assert before.read("folio_average_page_mapcount") == maps
    assert folio.read("mapped_shared") == int(maps > 1)
    assert (folio.mapped, folio.pmd_mapped) == (0, 0)
