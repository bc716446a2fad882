"""The truth of a folio, on mappings whose answers can be read off."""

from __future__ import annotations

from mapcount.schemes.scheme import Quantity
from mapcount.schemes.truth import FolioTruth, truth_of


def test_the_answers_of_a_folio_of_four_pages():
    # mm 1 maps pages 0 to 2 by one VMA and page 2 by another; mm 2 maps all by a PMD, mm 3 all by PTEs of two tables.
    truth = FolioTruth(2)
    truth.map(0, 3, 1, 1)
    truth.map(2, 1, 1, 1, vma=1)
    truth.map_huge(2, 1)
    truth.map(0, 2, 3, 1)
    truth.map(2, 2, 3, 1, table=1)
    answers = {quantity: truth_of(quantity, truth, 2) for quantity in Quantity}
    assert answers == {
        Quantity.ENTRIES: 4 + 1 + 4,
        Quantity.PAGE_ENTRIES: 2 + 1 + 1,
        Quantity.MAPPED: 1,
        Quantity.PAGES_MAPPED: 4,
        Quantity.SHARED: 1,
        Quantity.PARTIAL: 0,
        Quantity.ADDRESS_SPACES: 3,
        Quantity.VMAS: 4,
        Quantity.TABLE_PAIRS: 5,
        Quantity.COMPLETE_MAPPINGS: 2,
        Quantity.EXTRA_REFERENCES: 0,
        Quantity.OTHERS: 1,
    }
    assert truth.entries_of(1) == 4
    assert truth.pte_counts() == [2, 2, 3, 1]
    truth.map_huge(2, -1)
    truth.map(0, 2, 3, -1)
    truth.map(2, 2, 3, -1, table=1)
    assert truth_of(Quantity.PARTIAL, truth) == 1
    assert truth_of(Quantity.PAGES_MAPPED, truth) == 3
    assert truth_of(Quantity.SHARED, truth) == 0


def test_an_unmapped_folio():
    truth = FolioTruth(3)
    assert {truth_of(quantity, truth) for quantity in Quantity} == {0}
    truth.map(0, 8, 5, 1)
    truth.map(0, 8, 5, -1)
    assert not truth.ptes
    assert not truth.mms()
