"""nr-pages-mapped and the steps that led to it, by hand: the loops, the sums, the lock, the loop that is too short."""

from __future__ import annotations

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.nr_pages_mapped import SCHEME
from mapcount.schemes.ops import Access
from schemes.one_folio import ENTIRELY_MAPPED as E
from schemes.one_folio import OneFolio

ALL = ("nr-pages-mapped", "nr-pages-mapped:sum", "nr-pages-mapped:bit-lock", "nr-pages-mapped:short-loop")


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize("scheme", ALL)
def test_a_thp_mapped_both_ways(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.split(2)
    folio.unmap(0, 3, 2)
    assert folio.pages("_mapcount") == [-1] * 3 + [0] * 5
    if "_nr_pages_mapped" in folio.memory.words:
        assert folio.word("_nr_pages_mapped") == E + 5
    else:
        assert folio.word("subpages_mapcount") == 5
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (8, 8, 0)
    assert folio.read("folio_mapcount") == 6
    folio.unmap_pmd(1)
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (5, 0, 1)
    assert folio.read("folio_mapcount") == 5
    assert folio.others_untouched()


@pytest.mark.parametrize("scheme", ALL)
def test_the_last_pte_queues_a_folio_that_nothing_maps(scheme):
    folio = OneFolio(scheme, 3)
    folio.new(1)
    folio.unmap(0, 8, 1)
    assert (folio.read("folio_mapped"), folio.queued) == (0, 1)


@pytest.mark.parametrize(
    ("scheme", "map_ptes", "map_pmd", "dup_ptes", "split"),
    [
        ("nr-pages-mapped", 2 * 16, 2, 16, 2 * 16 + 2),
        ("nr-pages-mapped:sum", 2 * 16, 1, 2 * 16, 1 + 16 + 1),
        ("nr-pages-mapped:bit-lock", 16, 1, 16, 16 + 1),
    ],
)
def test_locked_operations(scheme, map_ptes, map_pmd, dup_ptes, split):
    def locked(folio):
        # The lock is a PG_ flag, and counts here.
        return sum(
            touch.access is Access.LOCKED and touch.word != "PG_anon_exclusive" for touch in folio.memory.touched
        )

    folio = OneFolio(scheme, 4, Kind.SHMEM)
    folio.map(0, 16, 1)
    assert locked(folio) == map_ptes
    folio.unmap(0, 16, 1)
    assert locked(folio) == map_ptes
    folio.map_pmd(1)
    assert locked(folio) == map_pmd
    anon = OneFolio(scheme, 4)
    anon.new_pmd(1)
    anon.split(1)
    assert locked(anon) == split
    anon.dup(0, 16, 2)
    assert locked(anon) == dup_ptes


@pytest.mark.parametrize(
    ("scheme", "whole", "parts"),
    [
        ("nr-pages-mapped", 2, 512 + 2),
        ("nr-pages-mapped:sum", 2, 2),
        ("nr-pages-mapped:bit-lock", 2, 2),
        ("nr-pages-mapped:short-loop", 2, 2 + 3),
    ],
)
def test_loads_of_folio_mapcount(scheme, whole, parts):
    folio = OneFolio(scheme, 9, Kind.SHMEM)
    folio.map_pmd(1)
    assert (folio.read("folio_mapcount"), folio.loads) == (1, whole)
    folio.map(0, 3, 2)
    assert (folio.read("folio_mapcount"), folio.loads) == (4, parts)


def between(folio, after, action):
    """Let `action` happen after so many loads of what is read next."""
    load, left = folio.memory.load, [after]

    def counting(word, index):
        value = load(word, index)
        left[0] -= 1
        if left[0] == 0:
            folio.memory.load = load
            action()
            folio.memory.load = counting
        return value

    folio.memory.load = counting


def test_a_loop_that_stops_early_hides_a_page_that_was_always_mapped():
    """The short loop: page 1 is mapped three times throughout; page 0 becomes mapped meanwhile."""
    answers = []
    for scheme in ("nr-pages-mapped:short-loop", "nr-pages-mapped"):
        folio = OneFolio(scheme, 3, Kind.SHMEM)
        for mm in (1, 2, 3):
            folio.map(1, 1, mm)
        between(folio, 2, lambda folio=folio: folio.map(0, 1, 4))
        answers.append(folio.read("folio_mapcount"))
    assert answers == [1, 4], "3 or 4 were true"


def test_a_mapped_folio_may_read_as_mapped_zero_times():
    """The false zero: no PMD is seen, then a PMD replaces the PTEs, then no PTEs are seen."""
    folio = OneFolio("nr-pages-mapped", 3, Kind.SHMEM)
    folio.map(0, 8, 1)

    def a_pmd_replaces_the_ptes():
        folio.map_pmd(2)
        folio.unmap(0, 8, 1)

    between(folio, 1, a_pmd_replaces_the_ptes)
    assert folio.read("folio_mapcount") == 0


def test_the_lock_is_free_after_every_operation():
    folio = OneFolio("nr-pages-mapped:bit-lock", 3)
    for action in (
        lambda: folio.new_pmd(1),
        lambda: folio.dup_pmd(2),
        lambda: folio.split(1),
        lambda: folio.dup(0, 8, 3),
        lambda: folio.unmap(0, 8, 1),
        lambda: folio.map(0, 2, 1),
        lambda: folio.unmap_pmd(2),
        lambda: folio.map_pmd(2),
    ):
        action()
        assert folio.word("PG_locked") == 0
        plain = {touch.word for touch in folio.memory.touched if touch.access is Access.LOCKED}
        assert plain <= {"PG_locked", "PG_anon_exclusive"}, "all counts change by plain stores"


def test_a_hugetlb_folio_leaves_the_number_of_pages_alone():
    folio = OneFolio("nr-pages-mapped", 3, Kind.HUGETLB)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    assert (folio.word("_nr_pages_mapped"), folio.word("_entire_mapcount")) == (0, 1)
    assert (folio.read("folio_mapcount"), folio.read("folio_mapped")) == (2, 1)
