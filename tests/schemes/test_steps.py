"""Accesses of operations against counts that real kernels were seen to make, and that can be worked out by hand."""

from __future__ import annotations

import pytest

from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.ops import Access
from mapcount.schemes.steps import cost_of, cost_of_one_page, steps_of


def locked_by_word(scheme_id, operation, order):
    counts = {}
    for touch in steps_of(find_scheme(scheme_id), operation, order):
        if touch.access is Access.LOCKED:
            counts[touch.word] = counts.get(touch.word, 0) + 1
    return counts


def test_fork_of_a_pmd_in_6_12():
    """A TCG plugin counted on 6.12: large 1, entire 1 (and the reference count); the exclusive head loses its flag."""
    assert locked_by_word("large-mapcount", "dup_pmd", 9) == {
        "PG_anon_exclusive": 1,
        "_entire_mapcount": 1,
        "_large_mapcount": 1,
    }


def test_fork_of_512_ptes_in_6_12():
    """As above: _mapcount 512, large 1."""
    counted = locked_by_word("large-mapcount", "dup_ptes", 9)

    assert (counted["_mapcount"], counted["_large_mapcount"]) == (512, 1)
    assert "_nr_pages_mapped" not in counted


def test_split_of_a_pmd_in_6_12():
    """As above: _mapcount 512, large 2, nr_pages_mapped 2, entire 1."""
    counted = locked_by_word("large-mapcount", "split_pmd", 9)
    del counted["PG_anon_exclusive"]

    assert counted == {"_mapcount": 512, "_large_mapcount": 2, "_nr_pages_mapped": 2, "_entire_mapcount": 1}


def test_fork_of_a_pmd_in_6_18_takes_the_lock_once_and_stores_five_words():
    """As above, 6.18 and 7.3: entire 1, lock 1, and plain stores: large 1, mm_id_mapcount 1, mm_ids 3."""
    steps = steps_of(find_scheme("mm-id"), "dup_pmd", 9)
    stores = [touch.word for touch in steps if touch.access is Access.STORE]

    assert locked_by_word("mm-id", "dup_pmd", 9) == {
        "PG_anon_exclusive": 1,
        "_entire_mapcount": 1,
        "FOLIO_MM_IDS_LOCK": 1,
    }
    assert sorted(stores) == sorted(
        ["_large_mapcount", "_mm_id_mapcount[1]", "_mm_id[1]", "FOLIO_MM_IDS_SHARED", "FOLIO_MM_IDS_LOCK"]
    )


def test_the_lock_encloses_what_it_protects():
    words = [touch.word for touch in steps_of(find_scheme("mm-id"), "map_pmd", 9)]
    begin, end = (i for i, word in enumerate(words) if word == "FOLIO_MM_IDS_LOCK")

    assert {"_large_mapcount", "_mm_id_mapcount[0]"} <= set(words[begin:end])
    assert {"_entire_mapcount", "_nr_pages_mapped"} == set(words[:begin]) | set(words[end + 1 :])


def test_batches_change_nr_pages_mapped_once_and_the_unbatched_variant_each_page():
    assert locked_by_word("large-mapcount", "map_ptes", 4)["_nr_pages_mapped"] == 1
    assert locked_by_word("large-mapcount:unbatched", "map_ptes", 4)["_nr_pages_mapped"] == 16


def test_struct_pages_are_counted_once():
    """Sixteen pages; the folio's words lie in the second of them."""
    assert cost_of(find_scheme("large-mapcount"), "map_ptes", 4).struct_pages == 16
    assert cost_of(find_scheme("large-mapcount"), "dup_pmd", 9).struct_pages == 2


def test_an_unknown_operation_is_named():
    with pytest.raises(ValueError, match="'remap' is no operation; there are: new_ptes"):
        steps_of(find_scheme("mm-id"), "remap", 4)


def test_one_page_of_a_whole_folio():
    """The page, _nr_pages_mapped and the lock; who counts complete mappings pays for the 511 pages that stay."""
    today, idea = (cost_of_one_page(find_scheme(name), 9) for name in ("mm-id", "complete-mappings"))
    assert (today.locked, today.lookups, today.entries_read) == (3, 0, 0)
    # 511 pages and once how many, and a complete mapping less: _entire_mapcount and its mark.
    assert (idea.locked, idea.lookups, idea.entries_read) == (511 + 1 + 2, 1, 512)
