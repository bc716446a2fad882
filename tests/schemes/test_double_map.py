"""double-map by hand: every kind of PMD step with PG_double_map and without, files, the statistics' weak spot, its costs."""

from __future__ import annotations

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.double_map import SCHEME
from mapcount.schemes.ops import Access
from schemes.one_folio import OneFolio

VARIANTS = ("double-map", "double-map:before-5.19", "double-map:seqlock")
P = 8


def test_it_conforms():
    run_conformance_test(SCHEME)


def words(folio):
    return folio.word("compound_mapcount"), folio.word("PG_double_map"), folio.pages("_mapcount")


@pytest.mark.parametrize("scheme", VARIANTS)
def test_the_flag_through_the_life_of_a_thp(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    assert words(folio) == (0, 0, [-1] * P)
    folio.dup_pmd(2)
    folio.dup_pmd(3)
    assert words(folio) == (2, 0, [-1] * P)
    folio.split(2)  # the first split while others have PMDs: each page's PTE, and one more
    assert words(folio) == (1, 1, [1] * P)
    folio.split(3)  # the flag is set already: the PTEs alone
    assert words(folio) == (0, 1, [2] * P)
    folio.unmap(0, 5, 2)
    folio.unmap(0, 5, 3)
    assert words(folio) == (0, 1, [0] * 5 + [2] * 3)
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (P, P, 0), "mm 1's PMD maps the five"
    assert [folio.read("page_mapcount", i) for i in (0, 7)] == [1, 3]
    assert folio.read("folio_mapcount") == 1 + 3 + 3
    folio.unmap_pmd(1)  # the last PMD: the one more goes from each page
    assert words(folio) == (-1, 0, [-1] * 5 + [1] * 3)
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (3, 0, 1)
    assert folio.others_untouched()


@pytest.mark.parametrize("scheme", VARIANTS)
def test_splitting_the_only_pmd_needs_no_flag(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    folio.split(1)
    assert words(folio) == (-1, 0, [0] * P)
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (P, 0, 0)


@pytest.mark.parametrize("scheme", VARIANTS)
def test_splitting_the_last_of_two_pmds_clears_it(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.split(2)
    folio.split(1)
    assert words(folio) == (-1, 0, [1] * P)


def test_a_pmd_of_a_file_is_counted_by_every_page():
    folio = OneFolio("double-map", 3, Kind.SHMEM)
    folio.map_pmd(1)
    folio.map_pmd(2)
    assert words(folio) == (1, 0, [1] * P)
    folio.map(3, 2, 3)
    assert words(folio) == (1, 1, [1, 1, 1, 2, 2, 1, 1, 1])
    assert folio.read("folio_mapcount") == 4
    assert [folio.read("page_mapcount", i) for i in (0, 3)] == [2, 3]
    folio.unmap_pmd(1)
    folio.unmap_pmd(2)
    folio.unmap(3, 2, 3)
    assert words(folio) == (-1, 1, [-1] * P), "the flag stays until the folio leaves the page cache"
    assert (folio.mapped, folio.pmd_mapped, folio.queued) == (0, 0, 0)


@pytest.mark.parametrize(("scheme", "after"), [("double-map", 0), ("double-map:before-5.19", 1)])
def test_a_first_pmd_of_a_file_that_nothing_maps_clears_it_from_5_18(scheme, after):
    folio = OneFolio(scheme, 3, Kind.FILE)
    folio.map(0, 1, 1)
    folio.unmap(0, 1, 1)
    folio.map_pmd(1)
    assert folio.word("PG_double_map") == after
    mixed = OneFolio(scheme, 3, Kind.FILE)
    mixed.map(0, 1, 1)
    mixed.map_pmd(2)
    assert mixed.word("PG_double_map") == 1


def test_pages_of_an_anon_folio_mapped_both_ways_without_a_split_are_counted_twice():
    """NR_ANON_MAPPED drifts: the PMD is split before the PTE goes, and one of nine remains."""
    folio = OneFolio("double-map", 3)
    folio.new_pmd(1)
    folio.map(0, 1, 2)
    assert folio.mapped == P + 1
    folio.split(1)
    folio.unmap(0, 1, 2)
    folio.unmap(0, P, 1)
    assert folio.read("folio_mapcount") == 0
    assert folio.mapped == 1


def test_unmapping_the_last_page_queues_the_folio_all_the_same():
    folio = OneFolio("double-map", 3)
    folio.new_pmd(1)
    folio.split(1)
    folio.unmap(0, P, 1)
    assert (folio.read("folio_mapped"), folio.queued) == (0, 1)


@pytest.mark.parametrize("scheme", VARIANTS)
def test_whole_unmapping_by_pmd_queues_nothing(scheme):
    folio = OneFolio(scheme, 3)
    folio.new_pmd(1)
    folio.unmap_pmd(1)
    assert (folio.mapped, folio.queued) == (0, 0)


def test_locked_operations():
    folio = OneFolio("double-map", 9)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    assert folio.locked == 1
    folio.split(2)
    assert folio.locked == 2 * 512 + 1
    folio.unmap(0, 16, 2)
    assert folio.locked == 16
    folio.unmap_pmd(1)
    assert folio.locked == 1 + 512
    shmem = OneFolio("double-map", 9, Kind.SHMEM)
    shmem.map_pmd(1)
    assert shmem.locked == 513
    shmem.unmap_pmd(1)
    assert shmem.locked == 513


def test_readers_look_at_every_page():
    folio = OneFolio("double-map", 9)
    folio.new_pmd(1)
    assert (folio.read("folio_mapcount"), folio.loads) == (1, 512 + 2)
    assert (folio.read("folio_mapped"), folio.loads) == (1, 1)
    folio.unmap_pmd(1)
    assert (folio.read("folio_mapped"), folio.loads) == (0, 512 + 1)
    assert (folio.read("page_mapcount", 3), folio.loads) == (0, 3)


def test_before_5_18_the_most_mapped_page_decides():
    old, new = OneFolio("double-map:before-5.19", 3), OneFolio("double-map", 3)
    for folio in (old, new):
        folio.new_pmd(1)
        folio.dup_pmd(2)
        folio.split(2)
        folio.split(1)
        folio.unmap(0, 1, 2)
    assert (old.read("mapped_shared"), new.read("mapped_shared")) == (1, 0), (
        "the first page is mapped once, others twice"
    )


def test_before_5_18_every_pinned_folio_is_copied_at_fork():
    old, new = OneFolio("double-map:before-5.19", 3), OneFolio("double-map", 3)
    for folio in (old, new):
        folio.new_pmd(1)
        folio.dup_pmd(2)
        folio.memory.pinned[1] = 1
    assert (old.dup_pmd(3), new.dup_pmd(3)) == (1, 0)


def test_the_seqlock_is_held_while_counts_move_and_nowhere_else():
    folio = OneFolio("double-map:seqlock", 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    assert folio.word("mapcount_seqcount") == 0
    folio.split(2)
    assert folio.word("mapcount_seqcount") == 2
    order = [touch.word for touch in folio.memory.touched if touch.access is not Access.LOAD]
    assert order[:2] == ["PG_locked", "mapcount_seqcount"]
    assert order[-2:] == ["mapcount_seqcount", "PG_locked"]
    assert order.count("_mapcount") == P, "one or two at once"
    folio.unmap_pmd(1)
    assert folio.word("mapcount_seqcount") == 4
    assert (folio.read("folio_mapcount"), folio.loads) == (P, P + 2 + 2), "the count before and after"


def test_a_reader_tries_again_after_a_writer():
    folio = OneFolio("double-map:seqlock", 3)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    load, seen = folio.memory.load, []

    def a_split_comes_between(word, index):
        seen.append(word.name)
        if seen.count("_mapcount") == 3 and word.name == "_mapcount":
            folio.memory.load = load
            folio.split(2)
            folio.memory.load = a_split_comes_between
        return load(word, index)

    folio.memory.load = a_split_comes_between
    assert folio.read("folio_mapcount") == 1 + P
    assert seen.count("mapcount_seqcount") == 4
    torn, seen = OneFolio("double-map:before-5.19", 3), []
    torn.new_pmd(1)
    torn.dup_pmd(2)
    plain = torn.memory.load

    def once(word, index):
        seen.append(word.name)
        if len(seen) == 4:
            torn.memory.load = plain
            torn.split(2)
        return plain(word, index)

    torn.memory.load = once
    assert torn.read("folio_mapcount") not in {2, 1 + P}, "without it, a sum that was never true"
