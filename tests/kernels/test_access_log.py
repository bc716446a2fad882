"""Records of a plugin, made by hand, and the words and values that they must give."""

from __future__ import annotations

import pytest

from mapcount.kernels.access_log import (
    ENTRY,
    LOAD,
    LOCKED_LOAD,
    LOCKED_STORE,
    STORE,
    Decoder,
    Record,
    born_at,
    until_freed,
)
from mapcount.kernels.access_words import WordBits, rest_of, words_of
from mapcount.kernels.layout import Layout
from mapcount.kernels.word_access import WordAccess
from mapcount.schemes.ops import Access

HEAD = 0xFFFFEA0000100000
PAGES = 5


LAYOUT = Layout(
    page={"flags": 0, "mapping": 24, "_mapcount": 48, "_refcount": 52, "compound_head": 8},
    folio={
        "_large_mapcount": 80,
        "_nr_pages_mapped": 84,
        "_entire_mapcount": 88,
        "_mm_id_mapcount[0]": 96,
        "_mm_id_mapcount[1]": 100,
        "_mm_ids": 104,
    },
    task={},
    mm={},
    flags={"anon_exclusive": 11, "double_map": 6, "partially_mapped": 16, "head": 6},
)
"""That of 6.18, as far as it is asked for."""


def blank():
    """PAGES struct pages that nothing maps."""
    page = bytearray(64)
    page[48:52] = b"\xff" * 4
    memory = bytearray(page * PAGES)
    memory[64 + 16 : 64 + 20] = memory[64 + 24 : 64 + 28] = b"\xff" * 4
    memory[64 + 32 : 64 + 40] = b"\xff" * 8
    memory[52] = 1
    return bytes(memory)


@pytest.fixture
def decoder():
    return Decoder(words_of(LAYOUT, page_mapcount=True), rest_of(LAYOUT), {7: "first", 8: "second"}.__getitem__)


def locked(address, size, old, new, **more):
    return [
        Record(LOCKED_LOAD, 7, HEAD + address, size, old, **more),
        Record(LOCKED_STORE, 7, HEAD + address, size, new, **more),
    ]


def test_a_locked_counter_is_one_access_with_both_values(decoder):
    log = decoder.decode(locked(2 * 64 + 48, 4, 0xFFFFFFFF, 0), HEAD, blank())

    assert log.accesses == [WordAccess(Access.LOCKED, "_mapcount", 2, -1, 0, "first")]
    assert (log.others, log.torn) == ({}, 0)


def test_a_plain_store_has_the_value_that_was_there_before(decoder):
    records = [Record(STORE, 7, HEAD + 80, 4, 6), Record(STORE, 8, HEAD + 80, 4, 11)]

    assert decoder.decode(records, HEAD, blank()).accesses == [
        WordAccess(Access.STORE, "_large_mapcount", 0, -1, 6, "first"),
        WordAccess(Access.STORE, "_large_mapcount", 0, 6, 11, "second"),
    ]


def test_flags_are_told_by_the_bit_of_the_instruction_also_if_it_changes_nothing(decoder):
    of_page_3 = 3 * 64
    records = locked(of_page_3 + 1, 1, 0, 8, bit=3) + locked(of_page_3 + 1, 1, 8, 8, bit=3)
    records += locked(of_page_3 + 1, 1, 8, 9, bit=0)  # PG_active: no word
    records += locked(of_page_3, 8, 0x900, 0x900, bit=11)

    log = decoder.decode(records, HEAD, blank())
    assert [(access.word, access.at, access.before, access.after) for access in log.accesses] == [
        ("PG_anon_exclusive", 3, 0, 1),
        ("PG_anon_exclusive", 3, 1, 1),
        ("PG_anon_exclusive", 3, 1, 1),
    ]
    assert log.others == {(Access.LOCKED, "flags"): 1}


def test_the_words_in_mm_ids_are_told_apart_by_what_changes(decoder):
    ids = 104
    records = [
        *locked(ids, 8, 0, 1 << 31, bit=31),
        Record(STORE, 7, HEAD + ids, 4, 1 << 31 | 5),
        Record(STORE, 7, HEAD + ids + 4, 4, 9),
        Record(STORE, 7, HEAD + ids, 8, 1 << 63 | 9 << 32 | 1 << 31 | 5),
        Record(STORE, 7, HEAD + ids, 8, 1 << 63 | 9 << 32 | 1 << 31 | 5),
        Record(STORE, 7, HEAD + ids, 8, 1 << 63 | 9 << 32 | 5),
        Record(STORE, 7, HEAD + ids - 4, 4, 2),
    ]
    log = decoder.decode(records, HEAD, blank())
    assert [(access.word, access.before, access.after) for access in log.accesses] == [
        ("FOLIO_MM_IDS_LOCK", 0, 1),
        ("_mm_id[0]", 0, 5),
        ("_mm_id[1]", 0, 9),
        ("FOLIO_MM_IDS_SHARED", 0, 1),
        ("_mm_ids", 0, 0),
        ("FOLIO_MM_IDS_LOCK", 1, 0),
        ("_mm_id_mapcount[1]", -1, 2),
    ]


def test_ids_get_the_names_of_their_address_spaces():
    decoder = Decoder(words_of(LAYOUT, page_mapcount=True), {0: ("flags", 8)}, str, {77: 1, 5: 2}.__getitem__)
    records = [
        Record(STORE, 7, HEAD + 104, 4, 77),
        Record(STORE, 7, HEAD + 104, 4, 5),
        Record(STORE, 7, HEAD + 104, 4, 0),
    ]

    changes = [(access.before, access.after) for access in decoder.decode(records, HEAD, blank()).accesses]
    assert changes == [(0, 1), (1, 2), (2, 0)]


def test_a_load_that_sees_what_nobody_was_seen_to_store_is_torn(decoder):
    good = [Record(STORE, 7, HEAD + 80, 4, 6), Record(LOAD, 7, HEAD + 80, 4, 6)]
    assert decoder.decode(good, HEAD, blank()).torn == 0
    for kind in (LOAD, LOCKED_LOAD):
        assert decoder.decode([*good, Record(kind, 7, HEAD + 80, 4, 8)], HEAD, blank()).torn == 1


def test_what_lies_outside_of_the_folio_and_calls_are_passed_over(decoder):
    records = [
        Record(STORE, 7, HEAD - 64 + 48, 4, 1),
        Record(STORE, 7, HEAD + PAGES * 64 + 48, 4, 1),
        Record(ENTRY, 7),
        Record(STORE, 7, HEAD + 64 + 8, 8, 1),
    ]
    log = decoder.decode(records, HEAD, blank())
    assert (log.accesses, log.others) == ([], {(Access.STORE, "tail lru"): 1})


def test_without_counts_per_page_what_is_left_of_their_field_is_no_word():
    names = {word.name for word in words_of(LAYOUT, page_mapcount=False)}
    assert "_nr_pages_mapped" not in names
    assert {"_mapcount", "_large_mapcount", "FOLIO_MM_IDS_SHARED"} <= names
    assert "PG_double_map" not in names, "the flag's number is that of another, where there is no compound_mapcount"


def test_a_folio_is_born_after_the_last_that_its_maker_did_to_it():
    join = 8
    records = [
        Record(STORE, 7, HEAD + 48, 4, 0xFFFFFFFF),
        *(Record(STORE, 8, HEAD + page * 64 + join, 8, HEAD | 1) for page in range(1, PAGES)),
        Record(STORE, 8, HEAD + 64 + 16, 4, 0xFFFFFFFF),
        Record(STORE, 7, HEAD + 80, 4, 0),
        Record(STORE, 8, HEAD + 64 * 64 + join, 8, 1),
    ]
    function_of = {7: "other", 8: "prep_compound_page"}.__getitem__
    assert born_at(records, HEAD, PAGES, function_of) == PAGES + 1
    assert born_at(records[:1], HEAD, PAGES, function_of) == 0


def test_records_before_the_birth_only_leave_their_values(decoder):
    records = [Record(STORE, 7, HEAD + 80, 4, 6), Record(STORE, 7, HEAD + 80, 4, 7)]
    [access] = decoder.decode(records, HEAD, blank(), since=1).accesses
    assert (access.before, access.after) == (6, 7)


def test_a_folio_is_its_owner_s_until_its_last_reference_goes():
    unmap, put = WordAccess(Access.LOCKED, "_mapcount", 0, 0, -1), WordAccess(Access.LOCKED, "_refcount", 0, 1, 0)
    reset = WordAccess(Access.STORE, "_mapcount", 0, -1, -1)
    assert until_freed([unmap, put, reset]) == (unmap, put)
    assert until_freed([unmap]) == (unmap,)


def test_a_word_overlaps_the_bytes_it_lies_in_and_no_others():
    flag = WordBits("PG_anon_exclusive", None, 11, 1, signed=False)
    assert flag.overlaps(4, 1, 2) and flag.overlaps(4, 0, 8)
    assert not flag.overlaps(4, 0, 1) and not flag.overlaps(4, 2, 8)
    assert not WordBits("x", 1, 128).overlaps(2, 16, 20)
