"""Where words lie, and what a folio of each order costs."""

from __future__ import annotations

import pytest

from mapcount.schemes.catalogue import SCHEMES, find_scheme, scheme_ids
from mapcount.schemes.words import STRUCT_PAGE_BYTES, Scope, folio_flag, folio_word, page_flag, page_word


def test_a_word_has_a_place_inside_one_struct_page():
    place = folio_word("x", bias=-1).at(60, page=2)
    assert (place.word.scope, place.page, place.offset, place.word.bias) == (Scope.FOLIO, 2, 60, -1)
    with pytest.raises(ValueError, match="offset 64 is not inside a struct page of 64 bytes"):
        folio_word("x").at(STRUCT_PAGE_BYTES)
    with pytest.raises(ValueError, match="offset -4"):
        page_word("x").at(-4)


def test_a_flag_is_one_bit_of_a_word():
    flag = folio_flag("PG_x", "flags").at(0, page=1, bit=6)
    assert (flag.word.is_flag, flag.word.width_bits, flag.bit) == (True, 1, 6)
    assert page_flag("PG_y").scope is Scope.PAGE
    assert not page_word("z").is_flag


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_no_two_words_of_a_scheme_overlap(scheme_id):
    taken = set()
    for place in find_scheme(scheme_id).scheme.places:
        word = place.word
        if not word.is_flag:
            bits = {(place.page, bit) for bit in range(place.offset * 8, place.offset * 8 + word.width_bits)}
        elif place.word.container == "_mm_ids":
            continue  # the highest bits of the two ids, which are 31 bits wide
        else:
            bits = {(place.page, place.offset * 8 + place.bit)}
        # A page word that large folios leave alone may be taken by a folio word.
        key = {(place.small_only, *bit) for bit in bits}
        assert not key & taken, word.name
        taken |= key


@pytest.mark.parametrize(
    ("scheme", "small", "order_2", "order_9"),
    [
        ("double-map", 4, 4 * 4 + 4, 4 * 512 + 4),
        ("nr-pages-mapped", 4, 4 * 4 + 8, 4 * 512 + 8),
        ("nr-pages-mapped:bit-lock", 4, 4 * 4 + 8, 4 * 512 + 8),
        ("total-mapcount", 4, 4 * 4 + 12, 4 * 512 + 12),
        ("large-mapcount", 4, 4 * 4 + 12, 4 * 512 + 12),
        ("mm-id", 4, 4 * 4 + 28, 4 * 512 + 28),
        ("no-page-mapcount", 4, 24, 24),
        ("total-mapped-pages", 4, 28, 28),
    ],
)
def test_bytes_that_counters_take(scheme, small, order_2, order_9):
    counted = find_scheme(scheme).scheme
    assert [counted.counter_bytes(order) for order in (0, 2, 9)] == [small, order_2, order_9]


def test_every_reader_that_is_not_there_has_a_reason():
    for scheme in SCHEMES:
        readers = {reader.name for reader in scheme.readers}
        asked = {"folio_mapcount", "folio_mapped", "page_mapcount", "mapped_shared", "partially_mapped"}
        assert asked - readers == set(scheme.cannot) & asked, scheme.id
        assert not readers & set(scheme.cannot), scheme.id
        assert all(len(reason.split()) > 3 for reason in scheme.cannot.values())
