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


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_no_two_words_lie_on_top_of_each_other(scheme):
    taken = {}
    for place in scheme.places:
        if place.word.is_flag or place.small_only:
            continue
        for byte in range(place.offset, place.offset + place.word.width_bits // 8):
            # Page words lie in every struct page, so also in those that hold folio words.
            for page in range(8) if place.word.scope.value == "page" else (place.page,):
                other = taken.setdefault((page, byte), place.word.name)
                assert other == place.word.name, (page, byte)
