"""zero-one-many by hand: what stays at many, what a walk finds, and what it costs to be right."""

from __future__ import annotations

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.footprint import footprint
from mapcount.schemes.looked import Looked
from mapcount.schemes.zero_one_many import MANY, SCHEME
from schemes.mutation import mutated
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize(
    ("variant", "old", "new"),
    [
        ("", "    if count < MANY:\n        store", "    if count <= MANY:\n        store"),
        ("", "        left = MANY\n", "        left = MANY - 1\n"),
        ("", "or not lookup_vma(m, folio):\n        add_vma", "or lookup_vma(m, folio):\n        add_vma"),
        ("walk", "            left = lookup_vmas(m, folio)\n", "            pass\n"),
        ("walk", "    if left < count:", "    if left <= 1:"),
    ],
)
def test_a_broken_one_is_found(variant, old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("zero_one_many", "zero_one_many", old, new, variant))


class Mapped(OneFolio):
    """A folio of 512 pages, and how many VMAs map it, as a walk would find."""

    def __init__(self, scheme="zero-one-many", kind=Kind.FILE):
        super().__init__(scheme, 9, kind)
        self.vmas = 0

    def change(self, by):
        self.vmas += by
        self.memory.looked[1] = Looked(vmas=self.vmas)
        (self.map if by > 0 else self.unmap)(0, 512, 1)

    @property
    def count(self):
        return self.word("folio->_mapcount")


def test_up_to_two_it_counts():
    folio = Mapped()
    seen = []
    for by in (1, 1, -1, 1, -1, -1):
        folio.change(by)
        seen.append((folio.count, folio.read("folio_mapcount"), folio.read("mapped_shared"), folio.mapped))
    assert seen == [(1, 1, 0, 512), (2, 2, 1, 512), (1, 1, 0, 512), (2, 2, 1, 512), (1, 1, 0, 512), (0, 0, 0, 0)]
    assert folio.memory.lookups == 0, "whole folios, and never more than two"


def test_at_many_it_stays_though_all_are_gone():
    folio = Mapped()
    for _ in range(5):
        folio.change(1)
    assert (folio.count, folio.read("folio_mapcount")) == (MANY, 5)
    for left in (4, 3, 2, 1, 0):
        folio.change(-1)
        assert (folio.count, folio.read("folio_mapcount")) == (MANY, left), "a walk finds what the count has lost"
    assert (folio.read("folio_mapped"), folio.read("mapped_shared"), folio.mapped) == (1, 1, 512)
    assert folio.memory.lookups == 6, "each question above two was a walk"
    assert folio.memory.entries_read == (5 + 4 + 3 + 2 + 1) * 512


def test_a_walk_at_every_unmapping_from_many_is_right_and_counted():
    folio = Mapped("zero-one-many:walk")
    for _ in range(5):
        folio.change(1)
    seen = []
    for _ in range(5):
        folio.change(-1)
        seen.append((folio.count, folio.memory.lookups, folio.mapped))
    assert seen == [(MANY, 1, 512), (MANY, 2, 512), (2, 3, 512), (1, 3, 512), (0, 3, 0)]
    assert folio.memory.entries_read == (4 + 3 + 2) * 512


def test_the_second_part_of_a_vma_is_no_second_vma():
    folio = Mapped()
    folio.map(0, 7, 1)
    folio.memory.looked[1] = Looked(here=7, in_vma=7)
    folio.map(7, 11, 1)
    assert folio.count == 1
    folio.unmap(0, 11, 1)
    assert folio.count == 1
    folio.memory.looked[1] = Looked()
    folio.unmap(11, 7, 1)
    assert (folio.count, folio.memory.lookups) == (0, 4)


def test_it_takes_a_byte_of_a_folio_of_any_size():
    assert {footprint(SCHEME, order).bytes_per_folio for order in range(1, 10)} == {1}


def test_one_locked_operation_whatever_the_size():
    folio = Mapped()
    folio.change(1)
    assert folio.locked == 1
