"""original-thp by hand: what a split makes of mappings, pins and statistics, on four pages unless said otherwise."""

from __future__ import annotations

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.ops import NR_ANON_THPS
from mapcount.schemes.original_thp import SCHEME, get_page_tail, put_page_tail
from schemes.mutation import mutated
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m, _mapcount, i, mapcount - 1)", "m, _mapcount, i, mapcount)"),
        ("    if mapcount:\n        mod_pmdmapped", "    if not mapcount:\n        mod_pmdmapped"),
        ("    clear_bit(m, PG_head, folio)\n", ""),
        ("        return atomic_read(m, _mapcount, folio_first_page(m, folio)) + 1", "        return 1"),
    ],
)
def test_a_broken_one_is_found(old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("original_thp", "original_thp", old, new))


def test_the_first_page_counts_for_all_while_it_is_whole():
    folio = OneFolio("original-thp", 9)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.dup_pmd(3)
    assert folio.locked == 1, "512 pages, one operation"
    assert folio.pages("_mapcount") == [2] + [-1] * 511
    assert [folio.read("page_mapcount", i) for i in (0, 1, 511)] == [3, 3, 3]
    assert (folio.mapped, folio.pmd_mapped) == (512, 512)


def test_a_split_hands_references_to_the_tails():
    """Three PMDs map it; page 1 is pinned twice, page 3 once. Each tail gets 3 + its pins + 1 of the caller."""
    folio = OneFolio("original-thp", 2)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.dup_pmd(3)
    for i in (1, 1, 3):
        get_page_tail(folio.memory, 1, folio.base + i)
    assert folio.pages("_mapcount") == [2, 1, -1, 0]
    assert folio.pages("_count") == [3, 0, 0, 0], "all pins are references to the first page"
    folio.split(1)
    assert folio.pages("_mapcount") == [2, 2, 2, 2]
    assert folio.pages("_count") == [0, 3 + 2 + 1, 3 + 0 + 1, 3 + 1 + 1]
    assert (folio.mapped, folio.pmd_mapped) == (4, 0)
    assert folio.others_untouched()


def test_a_split_costs_one_locked_operation_a_tail_page():
    folio = OneFolio("original-thp", 9)
    folio.new_pmd(1)
    folio.split(1)
    assert folio.locked == 511 + 1, "511 tails, and the first page's pins"
    folio.split(1)
    assert folio.locked == 0, "it was split for everybody"


def test_a_pin_goes_where_the_page_is():
    folio = OneFolio("original-thp", 2)
    folio.new_pmd(1)
    page = folio.base + 2
    get_page_tail(folio.memory, 1, page)
    put_page_tail(folio.memory, 1, page)
    assert (folio.pages("_mapcount"), folio.pages("_count")) == ([0, -1, -1, -1], [0, 0, 0, 0])
    get_page_tail(folio.memory, 1, page)
    folio.split(1)
    put_page_tail(folio.memory, 1, page)
    assert (folio.pages("_mapcount"), folio.pages("_count")) == ([0, 0, 0, 0], [0, 2, 2, 2])


def test_who_unmaps_a_piece_takes_the_huge_page_from_the_others():
    folio = OneFolio("original-thp", 2)
    folio.new_pmd(1)
    folio.dup_pmd(2)
    folio.split(2)
    folio.unmap(1, 3, 2)
    assert folio.memory.stats[NR_ANON_THPS][1] == 0, "mm 1 has PTEs now, whatever a later kernel would have left it"
    assert [folio.read("page_mapcount", i) for i in range(4)] == [2, 1, 1, 1]
    assert not folio.queued
    folio.unmap_pmd(1)
    assert folio.pages("_mapcount") == [0, -1, -1, -1]
    assert (folio.mapped, folio.read("folio_mapped")) == (1, 1)
    folio.unmap(0, 1, 2)
    assert (folio.mapped, folio.read("folio_mapped")) == (0, 0)


def test_file_memory_is_in_small_pages():
    folio = OneFolio("original-thp", 3, Kind.SHMEM)
    folio.map_pmd(1)
    assert folio.pages("_mapcount") == [0] * 8
    assert (folio.mapped, folio.pmd_mapped, folio.locked) == (8, 0, 8)


def test_pins_do_not_stop_fork():
    folio = OneFolio("original-thp", 3)
    folio.new_pmd(1)
    folio.memory.pinned[1] = 1
    assert folio.dup_pmd(2) == 0
