"""Words of folios made by hand, of a kernel like 5.10 and of one like 6.16."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.guest_ram import NEW, OLD, VMEMMAP, Ram
from mapcount.kernels.folio_words import read_folio, state_of
from mapcount.mapping.schema import Kind

PFN = 1024
ANON, ANON_VMA = 1, 0xFFFF888000ABC000
ints = st.integers(-(2**31), 2**31 - 1)
mm_ids = st.integers(0, 2**31 - 1)


def state(ram, pfn=PFN, *, page_mapcount=True, processes=None, hugetlb=False):
    memory = ram.memory()
    return state_of(memory, read_folio(memory, pfn, hugetlb=hugetlb), processes or {}, page_mapcount=page_mapcount)


def flag(ram, name):
    return 1 << ram.layout.flags[name]


@given(
    st.lists(ints, min_size=16, max_size=16),
    ints,
    ints,
    ints,
    ints,
    st.tuples(ints, ints),
    st.tuples(mm_ids, mm_ids),
    st.booleans(),
)
def test_a_new_kernel_whatever_its_words_hold(pages, large, mapped, entire, references, counts, ids, shared):
    ram = Ram()
    ram.folio(PFN, 4, mapping=ANON_VMA | ANON, refcount=references)
    for page, value in enumerate(pages):
        ram.word(PFN + page, 48, "i", value)
    for offset, value in ((80, large), (84, mapped), (88, entire), (96, counts[0]), (100, counts[1])):
        ram.word(PFN, offset, "i", value)
    ram.word(PFN, 104, "Q", ids[0] | ids[1] << 32 | shared << 63)
    names = {number: f"process {number}" for number in ids if number}
    seen = state(ram, processes=names)
    assert (seen.order, seen.kind) == (4, Kind.ANON)
    words = dict(seen.words)
    assert [value for value, length in words.pop("_mapcount") for _ in range(length)] == pages
    assert words == {
        "_large_mapcount": large,
        "_nr_pages_mapped": mapped,
        "_entire_mapcount": entire,
        "_mm_id": tuple(names.get(number) for number in ids),
        "_mm_id_mapcount": counts,
        "shared": int(shared),
        "PG_anon_exclusive": ((0, 16),),
        "PG_partially_mapped": 0,
        "deferred": 0,
        "_refcount": references,
    }


def test_without_counts_per_page_their_words_are_absent():
    ram = Ram()
    ram.folio(PFN, 9, mapping=ANON_VMA | ANON)
    words = state(ram, page_mapcount=False).words
    assert not words.keys() & {"_mapcount", "_nr_pages_mapped"}
    assert words.keys() >= {"_large_mapcount", "_entire_mapcount", "_mm_id", "PG_partially_mapped"}
    # A folio of one page has its count all the same.
    ram.folio(7, 0, mapping=ANON_VMA | ANON)
    assert state(ram, 7, page_mapcount=False).words["_mapcount"] == ((-1, 1),)


def test_an_id_that_nobody_has_is_told_as_it_is():
    ram = Ram()
    ram.folio(PFN, 2, mapping=ANON_VMA | ANON)
    # Bit 31 is the lock of the word.
    ram.word(PFN, 104, "Q", 5 | 1 << 31 | 11 << 32)
    seen = state(ram, processes={11: "c"}).words
    assert (seen["_mm_id"], seen["shared"]) == (("mm id 5", "c"), 0)


def test_flags_of_pages_and_of_the_folio():
    ram = Ram()
    exclusive, partially_mapped = flag(ram, "anon_exclusive"), flag(ram, "partially_mapped")
    # Of the head, and of a page behind the second, the bit of partially_mapped means something else.
    ram.folio(PFN, 3, mapping=ANON_VMA | ANON, flags=exclusive | partially_mapped)
    ram.word(PFN + 5, 0, "Q", exclusive | partially_mapped)
    assert state(ram).words["PG_partially_mapped"] == 0
    # The order is in the same word.
    ram.word(PFN + 1, 0, "Q", partially_mapped | 3)
    words = state(ram).words
    assert words["PG_anon_exclusive"] == ((1, 1), (0, 4), (1, 1), (0, 2))
    assert words["PG_partially_mapped"] == 1


@pytest.mark.parametrize(
    ("following", "queued"),
    [(None, 0), (VMEMMAP + 77 * 64 + 144, 1), (0xFFFF888000001230, 1), (0xDEAD000000000100, 0), (0, 0)],
)
@pytest.mark.parametrize("layout", [NEW, OLD])
def test_the_deferred_split_queue(layout, following, queued):
    # Itself: an empty list. An address of the kernel: on a list. Poison: taken off one.
    ram = Ram(layout)
    ram.folio(PFN, 9, mapping=ANON_VMA | ANON)
    if following is not None:
        ram.word(PFN, layout.folio.get("_deferred_list", layout.folio.get("deferred_list")), "Q", following)
    assert state(ram).words["deferred"] == queued


def test_an_old_kernel():
    ram = Ram(OLD)
    ram.folio(PFN, 9, mapping=ANON_VMA | ANON, refcount=513)
    ram.word(PFN, 84, "i", 2)
    ram.word(PFN + 1, 0, "Q", flag(ram, "double_map"))
    ram.word(PFN + 511, 48, "i", 4)
    assert state(ram).words == {
        "_mapcount": ((-1, 511), (4, 1)),
        "compound_mapcount": 2,
        "PG_double_map": 1,
        "deferred": 0,
        "_refcount": 513,
    }


def test_a_folio_of_two_pages_has_no_room_for_a_queue():
    ram = Ram()
    ram.folio(PFN, 1, mapping=ANON_VMA | ANON)
    # What follows its two pages is another's.
    ram.word(PFN, 144, "Q", 0xFFFF888000001230)
    assert not state(ram).words.keys() & {"deferred", "PG_partially_mapped"}


def test_a_page():
    ram = Ram()
    ram.folio(PFN, 0, mapping=ANON_VMA | ANON, flags=flag(ram, "anon_exclusive"), refcount=3)
    ram.word(PFN, 48, "i", 2)
    # What lies where a large folio has its words belongs to the next page.
    ram.word(PFN + 1, 16, "i", 99)
    seen = state(ram)
    assert seen.order == 0
    assert seen.words == {"_mapcount": ((2, 1),), "PG_anon_exclusive": ((1, 1),), "_refcount": 3}


@pytest.mark.parametrize(
    ("mapping", "swapbacked", "kind"),
    [
        (0xFFFF888000ABC001, True, Kind.ANON),
        (0xFFFF888000ABC001, False, Kind.ANON),
        (0xFFFF888000ABC003, True, Kind.KSM),
        (0xFFFF888000ABC000, True, Kind.SHMEM),
        (0xFFFF888000ABC000, False, Kind.FILE),
    ],
)
def test_kinds(mapping, swapbacked, kind):
    ram = Ram()
    ram.folio(PFN, 4, mapping=mapping, flags=flag(ram, "swapbacked") if swapbacked else 0)
    seen = state(ram)
    assert seen.kind is kind
    assert ("PG_anon_exclusive" in seen.words) == (kind is Kind.ANON)
    assert ("deferred" in seen.words) == (kind is Kind.ANON)


def test_hugetlb_must_be_told_and_has_no_counts_per_page():
    # The head's _mapcount is a page type there.
    ram = Ram()
    ram.folio(PFN, 9, mapping=ANON_VMA | ANON)
    seen = state(ram, hugetlb=True)
    assert seen.kind is Kind.HUGETLB
    assert not seen.words.keys() & {"_mapcount", "PG_anon_exclusive", "deferred"}
    assert "_entire_mapcount" in seen.words


def test_zero_pages_are_told_apart():
    ram = Ram()
    ram.folio(PFN, 0, mapping=0, flags=flag(ram, "reserved"))
    ram.folio(PFN + 512, 9, mapping=0)
    frame = ram.frame()
    ram.map(0, data := 0xFFFFFFFF82000000, frame << 12 | 1)
    ram.u64(frame << 12, VMEMMAP + (PFN + 512) * 64)
    memory = ram.memory(huge_zero_folio=data)
    assert read_folio(memory, PFN).is_zero
    assert read_folio(memory, PFN + 512).is_zero
    ram.folio(PFN + 8, 3, mapping=ANON_VMA | ANON)
    assert not read_folio(memory, PFN + 8).is_zero


def test_a_kernel_in_which_shared_struct_pages_are_found_by_a_mask_reads_alike():
    layout = replace(NEW, page={**{k: v for k, v in NEW.page.items() if k != "compound_head"}, "compound_info": 8})
    ram = Ram(NEW)
    ram.folio(PFN, 4, mapping=ANON_VMA | ANON)
    before = state(ram)
    ram.layout = layout
    for page in range(1, 16):
        ram.word(PFN + page, 8, "Q", (1 << 64) - (64 << 4) | 1)
    assert state(ram) == before
