"""Ablation against designs that really went without the word, and against itself: what stays is the same in every state."""

from __future__ import annotations

import pytest

from mapcount.check.ablation import DIES, ESTIMATE, STAYS, ablate
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.steps import cost_of


def verdicts(found):
    return {loss.name: loss.verdict for loss in found.losses}


def test_mm_id_without_nr_pages_mapped():
    found = ablate(find_scheme("mm-id"), ["_nr_pages_mapped"])
    assert found.falls == ()
    assert verdicts(found) == {
        "folio_mapcount": STAYS,
        "folio_mapped": STAYS,
        "page_mapcount": STAYS,
        "mapped_shared": STAYS,
        "partially_mapped": DIES,
        "NR_ANON_MAPPED": ESTIMATE,
        "NR_FILE_MAPPED": ESTIMATE,
        "NR_ANON_THPS": ESTIMATE,
        "NR_SHMEM_PMDMAPPED": ESTIMATE,
        "NR_FILE_PMDMAPPED": ESTIMATE,
        "deferred split queue": DIES,
    }
    assert {use.function for use in found.uses} == {
        "unmap_ptes",
        "map_pages_batched",
        "unmap_pages_batched",
        "pages_from_first_pmd",
        "pages_from_last_pmd",
    }
    assert [row.with_bytes - row.without_bytes for row in found.counters] == [4, 4, 4]


def test_mm_id_without_counts_of_pages_costs_what_no_page_mapcount_costs():
    """The kernel took the same words away (6.15, CONFIG_NO_PAGE_MAPCOUNT): LOCKed operations and bytes are known."""
    found, real = ablate(find_scheme("mm-id"), ["_mapcount"]), find_scheme("no-page-mapcount")
    assert found.falls == ("_nr_pages_mapped",)
    assert found.feeds == {"_nr_pages_mapped": ("_mapcount",)}
    for saving in found.savings:
        expected = cost_of(real, saving.after.operation, saving.after.order)
        assert (saving.after.locked, saving.after.struct_pages) == (expected.locked, expected.struct_pages), saving
    assert verdicts(found)["page_mapcount"] == ESTIMATE
    assert [row.without_bytes for row in found.counters] == [4 * 2 + 4 * 4] * 3


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("mm-id", ["_large_mapcount"]),
        ("mm-id", ["_mm_id[0]"]),
        ("large-mapcount", ["_nr_pages_mapped", "_entire_mapcount"]),
        ("double-map", ["PG_double_map"]),
        ("complete-mappings", ["_nr_pages_mapped"]),
        ("zero-one-many:walk", ["folio->_mapcount"]),
        ("original-thp", ["_count"]),
    ],
)
def test_what_stays_is_the_same_in_every_state(scheme, words):
    """A miss of the data flow would show here."""
    found = ablate(find_scheme(scheme), words)
    for loss in found.losses:
        if loss.verdict == STAYS:
            assert (loss.needs, loss.same) == ((), loss.states), loss
        else:
            assert loss.needs
            assert loss.states


def test_a_word_that_is_only_written_takes_nothing_with_it():
    found = ablate(find_scheme("original-thp"), ["_count"])
    assert set(verdicts(found).values()) == {STAYS}
    assert found.uses == ()
    split = next(row for row in found.savings if row.before.operation == "split_pmd")
    assert split.before.locked - split.after.locked == 512


def test_the_total_takes_what_it_feeds():
    """Without the total nobody knows when one slot owns all: SHARED falls, and with both mapped_shared dies."""
    found = ablate(find_scheme("mm-id"), ["_large_mapcount"])
    assert "FOLIO_MM_IDS_SHARED" in found.falls
    assert {name for name, verdict in verdicts(found).items() if verdict == DIES} == {
        "folio_mapcount",
        "folio_mapped",
        "mapped_shared",
    }


def test_a_word_that_is_not_there_is_told_with_those_that_are():
    with pytest.raises(UsageError, match="mm-id has no word '_mapcont'; it has: _mapcount, PG_anon_exclusive"):
        ablate(find_scheme("mm-id"), ["_mapcont"])
