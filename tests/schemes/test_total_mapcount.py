"""The thread's patch by hand: one counter, its place and its price."""

from __future__ import annotations

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.total_mapcount import SCHEME
from schemes.one_folio import ENTIRELY_MAPPED as E
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


def test_a_pmd_split():
    folio = OneFolio("total-mapcount", 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    assert (folio.word("_total_mapcount"), folio.word("_nr_pages_mapped")) == (1, E)
    folio.split(2)
    assert (folio.word("_total_mapcount"), folio.word("_nr_pages_mapped")) == (8, E + 8)
    total = [touch for touch in folio.memory.touched if touch.word == "_total_mapcount"]
    assert len(total) == 8 + 1, "one more for each page, one less for the PMD"
    folio.unmap(0, 3, 2)
    folio.unmap_pmd(1)
    assert (folio.word("_total_mapcount"), folio.word("_nr_pages_mapped")) == (4, 5)
    assert (folio.mapped, folio.queued) == (5, 1)
    assert folio.others_untouched()


def test_the_total_is_last_to_be_raised_and_first_to_be_lowered():
    folio = OneFolio("total-mapcount", 3, Kind.SHMEM)
    folio.map(0, 3, 1)
    assert folio.memory.touched[-1].word == "_total_mapcount"
    folio.unmap(0, 3, 1)
    assert folio.memory.touched[0].word == "_total_mapcount"


def test_locked_operations():
    anon, shmem = OneFolio("total-mapcount", 4), OneFolio("total-mapcount", 4, Kind.SHMEM)
    anon.new(1)
    anon.unmap(0, 16, 1)
    assert anon.locked == 3 * 16
    anon.map(0, 16, 1)
    assert anon.locked == 3 * 16
    shmem.map(0, 16, 1)
    assert shmem.locked == 2 * 16 + 1, "rmap takes ranges of files"
    shmem.unmap(0, 16, 1)
    assert shmem.locked == 3 * 16
    shmem.map_pmd(1)
    assert shmem.locked == 3


def test_readers_are_one_load():
    folio = OneFolio("total-mapcount", 9)
    folio.new(1)
    assert (folio.read("folio_mapcount"), folio.loads) == (512, 1)
    assert (folio.read("folio_mapped"), folio.loads) == (1, 1)


def test_a_third_struct_page_that_two_pages_do_not_have():
    assert max(place.page for place in SCHEME.places) == 2
    assert SCHEME.unsupported_orders == (1,)
