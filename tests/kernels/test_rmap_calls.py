"""Calls of rmap out of stores to the count of all mappings, made by hand."""

from __future__ import annotations

from mapcount.kernels.access_log import LOAD, LOCKED_LOAD, LOCKED_STORE, STORE, Record
from mapcount.kernels.rmap_calls import Change, RmapCall, calls, histogram

AT, OTHER = 0xFFFFEA0000100050, 0xFFFFEA0000200050
FUNCTIONS = {
    1: "prep_compound_page",
    2: "folio_add_new_anon_rmap",
    3: "copy_page_range",
    4: "folio_remove_rmap_ptes",
    5: "copy_huge_pmd",
    6: "folio_remove_rmap_pmd",
    7: "folio_add_anon_rmap_ptes",
    8: "folio_try_dup_anon_rmap_ptes",
}


def write(function, value, kind=STORE, at=AT, pages=16, size=4):
    return Record(kind, function, at, size, value & 0xFFFFFFFF, context=pages)


def of(*records, before=None):
    return calls(records, FUNCTIONS.__getitem__, before or {})


def test_each_call_tells_its_pages_by_what_it_adds_or_takes():
    found = of(
        write(1, -1), write(2, 15), write(3, 31, LOCKED_STORE), write(4, 24, LOCKED_STORE), write(8, 31), write(4, 15)
    )
    assert found == [
        RmapCall(Change.NEW, 16, 16, False, "folio_add_new_anon_rmap"),
        RmapCall(Change.FORK, 16, 16, False, "copy_page_range"),
        RmapCall(Change.UNMAP, 7, 16, False, "folio_remove_rmap_ptes"),
        RmapCall(Change.FORK, 7, 16, False, "folio_try_dup_anon_rmap_ptes"),
        RmapCall(Change.UNMAP, 16, 16, False, "folio_remove_rmap_ptes"),
    ]


def test_a_pmd_covers_the_folio():
    found = of(
        write(1, -1), write(2, 0, pages=512), write(5, 1, pages=512), write(7, 513, pages=512), write(6, 512, pages=512)
    )
    assert [(call.change, call.nr_pages, call.by_pmd) for call in found] == [
        (Change.NEW, 512, True),
        (Change.FORK, 512, True),
        (Change.MAP, 512, False),
        (Change.UNMAP, 512, True),
    ]


def test_each_folio_has_its_own_count_and_what_was_there_before_is_known():
    found = of(write(4, 4), write(4, 100, at=OTHER), before={AT: 7, OTHER: 101})
    assert [call.nr_pages for call in found] == [3, 1]


def test_loads_and_wider_stores_are_of_something_else():
    records = [write(4, 3, LOAD), write(4, 3, LOCKED_LOAD), write(4, 3, size=8), write(4, 9)]
    assert [call.nr_pages for call in of(*records, before={AT: 15})] == [6]


def test_a_histogram_counts_by_change_order_level_and_pages():
    found = of(write(4, 8), write(4, 4), write(4, 0), write(6, 99, at=OTHER, pages=512), before={AT: 12, OTHER: 100})
    assert histogram(found) == {(Change.UNMAP, 4, False, 4): 3, (Change.UNMAP, 9, True, 512): 1}
