"""The word with two counts: values that 6.2's race fix was made for, worked out for 512 pages."""

from __future__ import annotations

import pytest

from mapcount.mapping.schema import Kind
from mapcount.schemes.memory import Memory
from mapcount.schemes.pages_mapped import (
    ENTIRELY_MAPPED,
    map_pages_batched,
    map_pages_one_by_one,
    pages_from_first_pmd,
    pages_from_last_pmd,
    unmap_pages_batched,
    unmap_pages_one_by_one,
)
from mapcount.schemes.words import _mapcount, _nr_pages_mapped

E, P = 0x800000, 512


def memory(nr_pages_mapped, mapcounts=()):
    m = Memory((_mapcount.at(48), _nr_pages_mapped.at(24, page=1)), [9], [Kind.ANON])
    m.words["_nr_pages_mapped"][0] = nr_pages_mapped
    for i, value in enumerate(mapcounts):
        m.words["_mapcount"][i] = value
    return m


def test_the_bit_is_above_the_pages_of_the_largest_folio():
    assert ENTIRELY_MAPPED == E > (16 << 30) // 4096


@pytest.mark.parametrize(
    ("before", "after", "pages"),
    [
        (0, E, P),  # nothing was mapped
        (16, E + 16, P - 16),
        (P, E + P, 0),
        (E, 0x1000000, -1),  # a last PMD is gone from its count, not yet from here: told when that one comes
        (P + 1, 0x800201, 0),  # a PTE that goes and comes again is here twice: E + P + 1
    ],
)
def test_a_first_pmd(before, after, pages):
    m = memory(before)
    assert pages_from_first_pmd(m, 0, 9) == pages
    assert m.words["_nr_pages_mapped"] == [after]


@pytest.mark.parametrize(
    ("before", "after", "pages"),
    [
        (E, 0, P),
        (E + 496, 496, 16),
        (E + P, P, 0),
        (0x1000000, E, -1),  # a new PMD was overtaken
        (0x800201, P + 1, 0),
    ],
)
def test_a_last_pmd(before, after, pages):
    m = memory(before)
    assert pages_from_last_pmd(m, 0, 9) == pages
    assert m.words["_nr_pages_mapped"] == [after]


@pytest.mark.parametrize("count", [map_pages_batched, map_pages_one_by_one])
@pytest.mark.parametrize(("before", "mapped"), [(1, 2), (E + 1, 0)])
def test_pages_become_mapped_once_and_only_without_a_pmd(count, before, mapped):
    m = memory(before, [-1, 0, -1])
    assert count(m, 0, 0, 3) == mapped
    assert m.words["_mapcount"][:4] == [0, 1, 0, -1]
    assert m.words["_nr_pages_mapped"] == [before + 2]


@pytest.mark.parametrize("count", [unmap_pages_batched, unmap_pages_one_by_one])
@pytest.mark.parametrize(("before", "unmapped"), [(3, 2), (E + 3, 0)])
def test_pages_become_unmapped_once_and_only_without_a_pmd(count, before, unmapped):
    m = memory(before, [0, 1, 0])
    assert count(m, 0, 0, 3) == unmapped
    assert m.words["_mapcount"][:4] == [-1, 0, -1, -1]
    assert m.words["_nr_pages_mapped"] == [before - 2]
