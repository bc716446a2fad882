"""Expectations, each on an observation worked out by hand: one that holds, and one that does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.expectations import MAPPED, QUANTITIES, RESULT, judge, page_counts
from mapcount.scenarios.observation import FolioState, Mapped, Observation
from mapcount.scenarios.parser import parse

WORDS = {
    "_mapcount": ((-1, 1), (0, 511)),
    "PG_anon_exclusive": ((1, 1), (0, 511)),
    "_entire_mapcount": 0,
    "_large_mapcount": 510,
    "_nr_pages_mapped": 0x800000 + 511,
    "_mm_id": ("p", None),
    "_mm_id_mapcount": (0, -1),
    "shared": 1,
    "deferred": 0,
    "_refcount": 513,
}
SEEN = Observation(
    -14,
    (
        Mapped("c", "a", 1, "f0", 1, 511, Level.PTE),
        Mapped("d", "b", 7, "f2", 3, 2, Level.PTE),
        Mapped("p", "a", 0, "f0", 0, 512, Level.PMD),
        Mapped("p", "b", 0, "f1", 0, 1, Level.PTE),
    ),
    {
        "f0": FolioState(9, Kind.ANON, WORDS),
        "f1": FolioState(0, Kind.KSM, {"kpagecount": ((3, 1),)}),
        "f2": FolioState(4, Kind.SHMEM, {"compound_mapcount": -1}),
    },
)
"""f0: a PMD of p over all, PTEs of c over all but the first page. f2: a 64k folio, pages 3 and 4 mapped."""

CASES = [
    ("a[5] mapcount 1*1 2*511", "a[5] mapcount 2*512"),
    ("a[5] mapped_pages 512", "b[7] mapped_pages 3"),
    ("a[5] entries 512", "a[5] entries 511"),
    ("b one_mm", "a[5] one_mm"),
    ("a mapped_shared", "b mapped_shared"),
    ("a[0] mapped_once", "a[1] mapped_once"),
    ("b[8] partially_mapped", "a partially_mapped"),
    ("p: a[3] pmd_mapped", "c: a[3] pmd_mapped"),
    ("p: a[3] not pud_mapped", "p: a[3] pud_mapped"),
    ("c: a[3] pte_mapped", "p: a[3] pte_mapped"),
    ("b[7] order 4", "b[7] order 9"),
    ("b kind ksm", "b kind anon"),
    ("a entire 1", "b[7] entire 1"),
    ("a large_mapcount 511", "a large_mapcount 510"),
    ("a nr_pages_mapped 511", "a nr_pages_mapped 512"),
    ("a shared", "a not shared"),
    ("a not deferred", "a deferred"),
    ("p: a[9] anon_exclusive", "c: a[9] anon_exclusive"),
    ("a refcount 513", "a refcount 512"),
    ("c: a[1] mapped", "c: a[0] mapped"),
    ("result -14", "result 0"),
    ("a _mapcount -1*1 0*511", "a _mapcount 0*512"),
    ("a _mm_id p -", "a _mm_id - p"),
    ("a _mm_id_mapcount 0 -1", "a _mm_id_mapcount 0 0"),
    ("a _nr_pages_mapped 8389119", "a _nr_pages_mapped 511"),
    ("b kpagecount 3", "b kpagecount 2"),
    ("b kpagecount 3*1", "b kpagecount 3*2"),
    ("b[7] compound_mapcount -1", "b[7] compound_mapcount 0"),
]


def verdict(line):
    text = f"p: mmap a 2M\np: mmap b 64k\np: fork c\np: fork d\nexpect {line}"
    return judge(parse(text).steps[-1], SEEN)


@pytest.mark.parametrize(("holds", "fails"), CASES)
def test_one_that_holds_and_one_that_does_not(holds, fails):
    assert verdict(holds).holds is True
    assert verdict(fails).holds is False


def test_every_quantity_has_a_case():
    assert {MAPPED, RESULT, *QUANTITIES} <= {word for holds, _ in CASES for word in holds.split()}


def test_what_was_found_is_said():
    assert verdict("a[5] mapcount 1*512").found == "1*1 2*511"
    assert verdict("a _mm_id - -").found == "p -"
    assert verdict("b[1] order 0").found == "nothing is mapped there"
    assert verdict("c: b[0] order 0").found == "nothing is mapped there by c"


@pytest.mark.parametrize(
    "line", ["b large_mapcount 1", "b shared", "b _mapcount 0", "b[7] anon_exclusive", "a kpagecount 1"]
)
def test_what_the_machine_does_not_show_cannot_be_told(line):
    assert verdict(line).holds is None
    assert line.split()[1] in verdict(line).found


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 16)), max_size=7))
def test_page_counts(runs):
    entries = [Mapped("p", "a", 0, "f0", first, min(size, 16 - first), Level.PTE) for first, size in runs]
    counts = page_counts(entries, 4)
    for page in range(16):
        assert counts[page] == sum(first <= page < first + size for first, size in runs)
