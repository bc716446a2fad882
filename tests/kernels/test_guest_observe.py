"""What is seen of a guest, of memory made by hand: runs against brute force, names from step to step."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.guest_ram import Ram
from mapcount.errors import GuestError
from mapcount.kernels.guest_observe import GuestObserver
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import Mapped
from mapcount.scenarios.steps import Fallocate, Mmap, Mremap, Munmap, Span, area_address

ANON, FILE = 0xFFFF888000ABC001, 0xFFFF888000DEF000
HEADS = (1024, 1536, 1792, 1808)
ORDERS = (9, 8, 4, 0)


def machine(*processes):
    """Return memory with processes (name, pid from 100 on), and the frame of the page table of each."""
    ram = Ram()
    ram.task(0)
    return ram, {name: ram.task(100 + number, mm_id=7 + number) for number, name in enumerate(processes)}


def observer(ram):
    return GuestObserver(ram.memory(), page_mapcount=True)


def pids(*processes):
    return {name: 100 + number for number, name in enumerate(processes)}


def put(ram, top, area, page, pfn):
    ram.map(top, area_address(area, page), pfn << 12 | 1)


pages_of_folios = st.integers(0, 3).flatmap(lambda i: st.tuples(st.just(i), st.integers(0, (1 << ORDERS[i]) - 1)))
stretches = st.tuples(st.sampled_from("ab"), st.integers(0, 1040), pages_of_folios, st.integers(1, 29))


@given(st.lists(stretches, max_size=11))
def test_runs_are_maximal_and_say_what_every_entry_says(wanted):
    ram, tops = machine("p")
    for head, order in zip(HEADS, ORDERS, strict=True):
        ram.folio(head, order, mapping=ANON)
    expected = {}
    for area, page, (number, first), length in wanted:
        for i in range(min(length, (1 << ORDERS[number]) - first)):
            put(ram, tops["p"], area, page + i, HEADS[number] + first + i)
            expected[area, page + i] = number, first + i
    rows, folios, names = observer(ram).look(pids("p"))
    assert list(rows) == sorted(rows)
    seen = {}
    for row in rows:
        assert row.process == "p" and row.level is Level.PTE
        for i in range(row.nr_pages):
            assert (row.area, row.page + i) not in seen
            seen[row.area, row.page + i] = row.folio, row.first + i
    assert seen == {place: (names[HEADS[number]], page) for place, (number, page) in expected.items()}
    assert set(folios) == set(names.values())
    for one, other in pairwise(rows):
        joined = (one.area, one.page + one.nr_pages, one.folio, one.first + one.nr_pages) == (
            other.area,
            other.page,
            other.folio,
            other.first,
        )
        assert not joined or other.page % 512 == 0


def test_levels_and_page_tables_part_runs():
    ram, tops = machine("p", "c")
    ram.folio(1024, 9, mapping=ANON)
    ram.map(tops["p"], area_address("a", 512), 1024 << 12 | 0x81, shift=21)
    for page in range(16):
        put(ram, tops["c"], "b", 504 + page, 1024 + 40 + page)
    rows, folios, _ = observer(ram).look(pids("p", "c"))
    assert rows == (
        Mapped("c", "b", 504, "f0", 40, 8, Level.PTE),
        Mapped("c", "b", 512, "f0", 48, 8, Level.PTE),
        Mapped("p", "a", 512, "f0", 0, 512, Level.PMD),
    )
    assert folios["f0"].order == 9


def test_slots_have_the_names_of_processes():
    ram, tops = machine("p", "c")
    ram.folio(1024, 2, mapping=ANON)
    ram.word(1024, 104, "Q", 8 | 7 << 32)
    put(ram, tops["p"], "a", 0, 1024)
    _, folios, _ = observer(ram).look(pids("p", "c"))
    assert folios["f0"].words["_mm_id"] == ("c", "p")


def test_a_folio_keeps_its_name_where_it_moves_and_a_freed_frame_is_another():
    ram, tops = machine("p")
    look = observer(ram)
    ram.folio(1024, 2, mapping=ANON)
    put(ram, tops["p"], "a", 0, 1024)
    assert look.look(pids("p"))[0][0].folio == "f0"
    look.moved(Mremap("p", Span("a", 0, 1), "b", 5))
    ram.map(tops["p"], area_address("a", 0), 0)
    put(ram, tops["p"], "b", 5, 1024)
    assert look.look(pids("p"))[0] == (Mapped("p", "b", 5, "f0", 0, 1, Level.PTE),)
    # Unmapped, freed, and given out again by the next fault.
    look.moved(Munmap("p", Span("b", 5, 6)))
    ram.map(tops["p"], area_address("b", 5), 0)
    assert look.look(pids("p"))[:2] == ((), {})
    put(ram, tops["p"], "a", 3, 1024)
    assert look.look(pids("p"))[0] == (Mapped("p", "a", 3, "f1", 0, 1, Level.PTE),)


def test_a_page_of_a_file_stays_while_it_holds_data():
    ram, tops = machine("p")
    look = observer(ram)
    swapbacked = 1 << ram.layout.flags["swapbacked"]
    ram.folio(1024, 4, mapping=FILE, flags=swapbacked, refcount=17)
    put(ram, tops["p"], "a", 3, 1027)
    assert look.look(pids("p"))[1]["f0"].kind is Kind.SHMEM
    ram.map(tops["p"], area_address("a", 3), 0)
    ram.word(1024, 52, "i", 16)
    rows, folios, _ = look.look(pids("p"))
    assert rows == () and folios["f0"].words["_refcount"] == 16
    put(ram, tops["p"], "b", 1, 1025)
    assert look.look(pids("p"))[0] == (Mapped("p", "b", 1, "f0", 1, 1, Level.PTE),)
    # A hole is punched: gone, though its struct page still says what it was.
    ram.map(tops["p"], area_address("b", 1), 0)
    look.moved(Fallocate("p", "f", 0, 16, punch=True))
    ram.word(1024, 24, "Q", 0)
    ram.word(1024, 52, "i", 0)
    assert look.look(pids("p"))[:2] == ((), {})


@pytest.mark.parametrize(
    "reused",
    [
        lambda ram: ram.folio(1024, 4, mapping=FILE + 0x100, flags=1 << 17, refcount=16),
        lambda ram: ram.folio(1024, 3, mapping=FILE, flags=1 << 17, refcount=8),
        lambda ram: ram.folio(1024, 4, mapping=ANON, flags=1 << 17, refcount=16),
        lambda ram: ram.folio(1016, 4, mapping=FILE, flags=1 << 17, refcount=16),
        lambda ram: ram.word(1024, 52, "i", 0),
    ],
)
def test_a_page_of_a_file_that_became_something_else_is_gone(reused):
    ram, tops = machine("p")
    look = observer(ram)
    ram.folio(1024, 4, mapping=FILE, flags=1 << 17, refcount=17)
    put(ram, tops["p"], "a", 3, 1027)
    look.look(pids("p"))
    ram.map(tops["p"], area_address("a", 3), 0)
    reused(ram)
    assert look.look(pids("p"))[1] == {}


def test_hugetlb_is_what_was_mapped_so_last():
    ram, tops = machine("p")
    look = observer(ram)
    ram.folio(1024, 9, mapping=ANON)
    ram.map(tops["p"], area_address("a"), 1024 << 12 | 0x81, shift=21)
    look.moved(Mmap("p", Span("a", 0, 1024), Kind.HUGETLB))
    assert look.look(pids("p"))[1]["f0"].kind is Kind.HUGETLB
    look.moved(Mmap("p", Span("a", 0, 512)))
    assert look.look(pids("p"))[1].popitem()[1].kind is Kind.ANON


def test_the_zero_page_is_no_folio():
    ram, tops = machine("p")
    ram.folio(7, 0, mapping=0, flags=1 << ram.layout.flags["reserved"])
    ram.folio(1808, 0, mapping=ANON)
    for page, pfn in enumerate((7, 1808, 7)):
        put(ram, tops["p"], "a", page, pfn)
    rows, folios, _ = observer(ram).look(pids("p"))
    assert rows == (Mapped("p", "a", 1, "f0", 0, 1, Level.PTE),)
    assert list(folios) == ["f0"]


def test_a_process_that_is_gone_is_an_error():
    ram, _ = machine("p")
    with pytest.raises(GuestError, match="no process 101"):
        observer(ram).look(pids("p", "c"))
