"""rmap-id by hand: sub-IDs, their sums, what a sum tells; and where the sums of the series as posted do not tell it."""

from __future__ import annotations

from itertools import combinations_with_replacement

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.looked import Looked
from mapcount.schemes.rmap_id import SCHEME
from schemes.mutation import mutated
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("            power *= base", "            power *= base - 1"),
        ("        found += power", "        found = power"),
        ("return not differ", "return differ"),
        ("SEQUENCE_STEP - 1)", "SEQUENCE_STEP)"),
    ],
)
def test_a_broken_one_is_found(old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("rmap_id", "rmap_ids", old, new), histories=61)


def subids(mm, order):
    """All sub-IDs of an mm, one of each value of a folio: one mapping of a file folio."""
    folio = OneFolio("rmap-id", order, Kind.FILE)
    folio.map(0, 1, mm)
    return [folio.word(f"_rmap_val{number}") for number in range(6)]


def test_sub_ids_of_four_pages_are_those_of_the_patch():
    assert [subids(mm, 2)[0] for mm in range(8)] == [0, 1, 5, 6, 25, 26, 30, 31]


def test_sub_ids_of_larger_folios_are_those_of_the_tables_in_the_patch():
    assert [subids(mm, 10)[0] for mm in range(8)] == [0, 1, 1025, 1026, 1050625, 1050626, 1051650, 1051651]
    assert subids(63, 10) == [1132513103723526, 0, 0, 0, 0, 0]
    assert subids(31 << 15 | 1, 12) == [1, 0, 0, 281818741907461, 0, 0]
    assert subids(0xF << 20, 15) == [0, 0, 0, 0, 0, 35188667252740]


@pytest.mark.parametrize(("order", "values"), [(2, 1), (3, 2), (5, 2), (6, 3), (9, 3), (10, 4), (12, 5), (13, 6)])
def test_every_value_has_its_field_of_the_id(order, values):
    assert [value != 0 for value in subids((1 << 24) - 1, order)] == [True] * values + [False] * (6 - values)
    assert subids(1, order) == [1, 0, 0, 0, 0, 0]


def test_no_other_four_of_order_2_add_up_to_four_times_one():
    """By brute force: of the first 8 mms any 1 to 4 mappings."""
    value = {mm: subids(mm, 2)[0] for mm in range(1, 9)}
    for nr in range(1, 5):
        for mms in combinations_with_replacement(range(1, 9), nr):
            total = sum(value[mm] for mm in mms)
            assert any(total == nr * one for one in value.values()) == (len(set(mms)) == 1), mms


def test_five_are_too_many_for_four_pages():
    """Five times one mm's is another's: above the folio's pages the value says nothing, so the total has to."""
    assert 5 * subids(1, 2)[0] == subids(2, 2)[0]


def test_values_by_hand():
    """mm 3 has three of four pages, mm 6 one: 3 * 6 + 30."""
    folio = OneFolio("rmap-id", 2, Kind.SHMEM)
    folio.map(0, 3, 3)
    folio.map(3, 1, 6)
    assert (folio.word("_total_mapcount"), folio.word("_rmap_val0"), folio.word("_rmap_val1")) == (3, 48, 0)
    for mm in (3, 6):
        folio.memory.looked[1] = Looked(mapper=mm)
        assert folio.read("mapped_shared") == 1
    folio.unmap(3, 1, 6)
    folio.memory.looked[1] = Looked(mapper=3)
    assert (folio.word("_rmap_val0"), folio.read("mapped_shared")) == (18, 0)


@pytest.mark.parametrize(("order", "locked"), [(2, 4 + 4 + 1 + 3), (9, 512 + 512 + 1 + 5), (10, 1024 + 1024 + 1 + 6)])
def test_a_call_takes_four_locked_operations_and_more_on_top(order, locked):
    """On every page its count and _nr_pages_mapped; once the total; the sequence count twice, and each value."""
    folio = OneFolio("rmap-id", order, Kind.FILE)
    folio.map(0, 1 << order, 1)
    assert folio.locked == locked


def test_who_maps_more_than_there_are_pages_counts_as_several():
    folio = OneFolio("rmap-id", 2, Kind.FILE)
    folio.map(0, 4, 1)
    folio.memory.looked[1] = Looked(mapper=1)
    assert folio.read("mapped_shared") == 0
    folio.map(0, 1, 1)
    assert folio.read("mapped_shared") == 1


COLLIDING = (2, 56, 42, 0, 70, 28, 14, 68)
"""How many of 70 mappings have the digit of 513^i: 70 times the digits of 170 = 0b10101010, plus those of 2 (x - 1)^7."""


def test_as_posted_71_mappings_of_many_mms_may_look_like_those_of_one():
    """
    2 (513 - 1)^7 is 2^64: with an eighth digit (a field of an ID above 127) sums wrap.

    The digits of 2 (x - 1)^7 are -2, 14, -42, 70, -70, 42, -14, 2. Added to 70 times the digits 0, 1, 0, 1, 0, 1, 0, 1 their
    negatives leave digits of 0 to 70, so 70 sub-IDs have that sum, none of which is that of mm 170.
    """
    mms = [sum((nr < count) << digit for digit, count in enumerate(COLLIDING)) for nr in range(70)]
    assert 170 not in mms
    assert len(set(mms)) == 7
    folio = OneFolio("rmap-id", 9, Kind.SHMEM)
    for page, mm in enumerate([*mms, 170]):
        folio.map(page, 1, mm)
    folio.memory.looked[1] = Looked(mapper=170)
    assert folio.read("mapped_shared") == 0, "false: eight address spaces map it"
    folio.memory.looked[1] = Looked(mapper=mms[0])
    assert folio.read("mapped_shared") == 1
