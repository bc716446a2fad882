"""What counters take, by hand: words times their width."""

from __future__ import annotations

import pytest

from mapcount.schemes.catalogue import SCHEMES, find_scheme
from mapcount.schemes.footprint import fit, folio_bytes, footprint, page_bytes


def test_large_mapcount_takes_four_bytes_a_page_and_three_words():
    scheme = find_scheme("large-mapcount").scheme

    assert page_bytes(scheme) == 4
    assert folio_bytes(scheme) == 4 + 4 + 4
    assert footprint(scheme, 4).bytes_per_folio == 16 * 4 + 12
    assert footprint(scheme, 9).bytes_per_gib == 512 * (512 * 4 + 12)


def test_mm_id_adds_two_slots_of_two_words_and_no_byte_for_its_flags():
    scheme = find_scheme("mm-id").scheme

    assert folio_bytes(scheme) == 12 + 2 * (4 + 4)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_only_designs_without_a_count_per_page_leave_struct_page_one_word(scheme):
    per_page = {place.word.name for place in scheme.places if place.word.scope.value == "page" and not place.small_only}

    assert fit(scheme, 8).fits == (per_page <= {"PG_anon_exclusive"})
    assert fit(scheme, 64).memmap_bytes_per_gib == 16 << 20
    assert fit(scheme, 8).memmap_bytes_per_gib == 2 << 20


@pytest.mark.parametrize(
    ("scheme", "order_2", "order_9"),
    [
        ("double-map", 4 * 4 + 4, 4 * 512 + 4),
        ("nr-pages-mapped", 4 * 4 + 8, 4 * 512 + 8),
        ("nr-pages-mapped:bit-lock", 4 * 4 + 8, 4 * 512 + 8),
        ("total-mapcount", 4 * 4 + 12, 4 * 512 + 12),
        ("large-mapcount", 4 * 4 + 12, 4 * 512 + 12),
        ("mm-id", 4 * 4 + 28, 4 * 512 + 28),
        ("no-page-mapcount", 24, 24),
        ("total-mapped-pages", 28, 28),
    ],
)
def test_bytes_that_counters_take(scheme, order_2, order_9):
    counted = find_scheme(scheme).scheme
    assert [footprint(counted, order).bytes_per_folio for order in (2, 9)] == [order_2, order_9]


def test_a_reference_count_is_no_counter_of_a_design():
    assert footprint(find_scheme("original-thp").scheme, 9).bytes_per_folio == 512 * 4
