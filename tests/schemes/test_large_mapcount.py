"""large-mapcount on cases that were worked out by hand; its costs; and that conformance is as short as promised."""

from __future__ import annotations

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.large_mapcount import SCHEME
from schemes.one_folio import ENTIRELY_MAPPED as E
from schemes.one_folio import OneFolio

P = 512


def test_it_conforms():
    run_conformance_test(SCHEME)


def test_a_partial_unmap_of_a_thp_after_fork():
    """The first steps of the thread's question, as 6.12 answers them (tests/golden has the same)."""
    folio = OneFolio("large-mapcount", 9)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.split(2)
    folio.unmap(0, 16, 2)
    assert (folio.word("_large_mapcount"), folio.word("_entire_mapcount")) == (496, 0)
    assert folio.word("_nr_pages_mapped") == E + 496
    assert folio.pages("_mapcount") == [-1] * 16 + [0] * 496
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (P, P, 0), "the parent's PMD still maps all"
    folio.split(1)
    folio.unmap(0, 1, 1)
    assert (folio.word("_large_mapcount"), folio.word("_entire_mapcount")) == (1006, -1)
    assert folio.word("_nr_pages_mapped") == 511
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (511, 0, 1)
    assert folio.read("partially_mapped") == 1
    assert folio.others_untouched()


def test_the_mark_stays_when_the_page_comes_back():
    folio = OneFolio("large-mapcount", 2)
    folio.new(1)
    folio.unmap(0, 1, 1)
    folio.map(0, 1, 1)
    assert (folio.read("partially_mapped"), folio.word("_nr_pages_mapped")) == (1, 4)


def test_unmapping_all_at_once_marks_nothing():
    folio = OneFolio("large-mapcount", 2)
    folio.new(1)
    folio.unmap(0, 4, 1)
    assert (folio.queued, folio.mapped) == (0, 0)


def test_the_guess_from_the_first_page_is_wrong_both_ways():
    folio = OneFolio("large-mapcount", 2, Kind.SHMEM)
    folio.map(1, 2, 1)
    folio.map(1, 2, 2)
    assert folio.read("mapped_shared") == 0, "two map it, its first page is not mapped"
    twice = OneFolio("large-mapcount", 2, Kind.SHMEM)
    twice.map(0, 1, 1)
    twice.map(0, 1, 1)
    assert twice.read("mapped_shared") == 1, "one maps its first page twice"


def test_a_pinned_folio_is_not_shared_while_it_is_exclusive():
    folio = OneFolio("large-mapcount", 2)
    folio.new(1)
    folio.memory.pinned[1] = 1
    assert folio.dup(0, 4, 2) == 1
    assert (folio.word("_large_mapcount"), folio.pages("PG_anon_exclusive")) == (3, [1] * 4)
    folio.memory.pinned[1] = 0
    assert folio.dup(0, 4, 2) == 0
    folio.memory.pinned[1] = 1
    assert folio.dup(0, 4, 3) == 0, "nothing of it is exclusive any more"
    assert folio.word("_large_mapcount") == 11


@pytest.mark.parametrize(("scheme", "unmap"), [("large-mapcount", 16 + 2), ("large-mapcount:unbatched", 2 * 16 + 1)])
def test_locked_operations(scheme, unmap):
    folio = OneFolio(scheme, 4, Kind.SHMEM)
    folio.map(0, 16, 1)
    assert folio.locked == unmap
    folio.unmap(0, 16, 1)
    assert folio.locked == unmap
    folio.map_pmd(1)
    assert folio.locked == 3
    folio.map_pmd(2)
    assert folio.locked == 2
    folio.unmap_pmd(2)
    folio.unmap_pmd(1)
    assert folio.locked == 3


def test_splitting_the_only_pmd_takes_p_plus_5_locked_operations():
    folio = OneFolio("large-mapcount", 9)
    folio.new_pmd(1)
    folio.split(1)
    assert folio.locked == P + 5


def test_readers_are_one_or_two_loads():
    folio = OneFolio("large-mapcount", 9)
    folio.new(1)
    assert (folio.read("folio_mapcount"), folio.loads) == (512, 1)
    assert (folio.read("folio_mapped"), folio.loads) == (1, 1)
    assert (folio.read("page_mapcount", 511), folio.loads) == (1, 2)
