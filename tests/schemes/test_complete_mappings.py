"""complete-mappings by hand: what a whole folio costs, what a piece costs, and what has to be looked up."""

from __future__ import annotations

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind
from mapcount.schemes.complete_mappings import SCHEME
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.looked import Looked
from schemes.mutation import mutated
from schemes.one_folio import ENTIRELY_MAPPED, OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("        mapped -= unmap_others(m, folio, order, page, nr)\n", ""),
        ("        unmapped = -map_others(m, folio, order, page, nr)\n", "        unmapped = 0\n"),
        (
            "elif lookup_vma(m, folio) + nr == 1 << order:\n        mapped",
            "elif lookup_vma(m, folio) < 0:\n        mapped",
        ),
        (
            "elif lookup_vma(m, folio) + nr == 1 << order:\n        # The",
            "elif lookup_vma(m, folio) < 0:\n        # The",
        ),
        (
            "    mod_mapped(m, folio, -unmapped)\n\n\ndef unmap_pmd",
            "    mod_mapped(m, folio, unmapped)\n\n\ndef unmap_pmd",
        ),
    ],
)
def test_a_broken_one_is_found(old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("complete_mappings", "complete_mappings", old, new))


def unmap(folio, first, nr, left):
    folio.memory.looked[1] = Looked(here=left, in_vma=left)
    folio.unmap(first, nr, 1)


def test_a_whole_folio_of_ptes_costs_what_a_pmd_costs():
    """_entire_mapcount and _nr_pages_mapped, once each; mm-id: 512 pages, _nr_pages_mapped and the lock."""
    folio, today = OneFolio("complete-mappings", 9, Kind.FILE), OneFolio("mm-id", 9, Kind.FILE)
    for one in (folio, today):
        one.map(0, 512, 1)
    assert (folio.locked, today.locked) == (2, 514)
    assert (folio.word("_entire_mapcount"), folio.word("_nr_pages_mapped")) == (0, ENTIRELY_MAPPED)
    assert folio.memory.lookups == 0


def test_who_unmaps_a_page_of_a_whole_one_pays_for_all_that_stay():
    folio = OneFolio("complete-mappings", 9)
    folio.new(1)
    unmap(folio, 100, 1, left=511)
    # 511 pages begin to count, in two pieces that _nr_pages_mapped learns of; then the complete mapping goes.
    assert folio.locked == 511 + 2 + 2
    assert (folio.memory.lookups, folio.memory.entries_read) == (1, 512)
    assert folio.pages("_mapcount") == [0] * 100 + [-1] + [0] * 411
    assert (folio.word("_entire_mapcount"), folio.word("_nr_pages_mapped")) == (-1, 511)
    assert (folio.mapped, folio.queued) == (511, 1)
    unmap(folio, 0, 1, left=510)
    assert (folio.locked, folio.memory.lookups) == (2, 2), "no more than today, but for the look"


def test_the_last_page_of_a_fault_around_takes_all_others_back():
    folio = OneFolio("complete-mappings", 3, Kind.FILE)
    for i in range(8):
        folio.memory.looked[1] = Looked(here=i, in_vma=i)
        folio.map(i, 1, 1)
        if i < 7:
            assert folio.locked == 2
    assert folio.locked == 2 + 7 + 1, "a complete mapping, seven pages less, and once how many"
    assert folio.pages("_mapcount") == [-1] * 8
    assert (folio.word("_entire_mapcount"), folio.word("_nr_pages_mapped")) == (0, ENTIRELY_MAPPED)
    assert (folio.mapped, folio.memory.lookups) == (8, 8)


def test_others_stay_complete():
    folio = OneFolio("complete-mappings", 2)
    folio.new(1)
    assert folio.dup(0, 4, 2) == 0
    unmap(folio, 1, 2, left=2)
    assert folio.read("complete_mappings") == 1
    assert [folio.read("page_mapcount", i) for i in range(4)] == [2, 1, 1, 2]
    assert (folio.mapped, folio.queued) == (4, 0), "one still maps all"


def test_a_pmd_that_becomes_ptes_stays_complete():
    folio = OneFolio("complete-mappings", 9)
    folio.new_pmd(1)
    folio.split(1)
    assert (folio.locked, folio.word("_entire_mapcount"), folio.pmd_mapped) == (0, 0, 0)
