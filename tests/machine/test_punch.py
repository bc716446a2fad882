"""Holes in files, as recorded kernels make them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from machine.runs import KERNELS, Run
from machine.test_folio_split import shape
from mapcount.machine.backend import ModelBackend
from mapcount.machine.punch import halves
from mapcount.scenarios.parser import parse
from mapcount.scenarios.scenario import Settings

PAGES = {"5.10", "6.1", "6.12"}
"""A large folio that is hit in part is split into pages; since 6.15 in halves."""
HUGE = {9: "always"}
ONE = "p: memfd f 2M\np: mmap a 2M shared f[0:512]\np: touch a[0:512]\n"


def sizes(run, process="p"):
    """(first page, order) of the folios that a process maps."""
    return [(first, order) for who, first, _, order, _ in shape(run) if who == process and order]


@given(st.integers(1, 9).flatmap(lambda order: st.tuples(st.just(order), st.integers(0, (1 << order) - 1))))
def test_halves_leave_a_page_alone_and_all_else_as_large_as_can_be(drawn):
    order, page = drawn
    parts = halves(order, page)
    assert [page for first, part in parts for page in range(first, first + (1 << part))] == list(range(1 << order))
    assert sorted(part for _, part in parts) == sorted([0, *range(order)])
    assert all(first % (1 << part) == 0 for first, part in parts)
    assert (page, 0) in parts


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_hole_in_small_pages_leaves_private_copies(kernel):
    text = "p: memfd f 128k\np: mmap a 128k shared f[0:32]\np: write a[0:32]\n"
    text += "p: mmap b 64k f[8:24]\np: write b[0:3]\np: read b[3:10]\np: fork c\np: punch f[4:12]"
    run = Run(kernel, text)
    areas = {(row.process, row.area, row.page) for row in run.seen.mappings}
    assert {page for who, area, page in areas if (who, area) == ("p", "a")} == {*range(4), *range(12, 32)}
    assert {page for who, area, page in areas if (who, area) == ("p", "b")} == {0, 1, 2, *range(4, 16)}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_hole_over_a_whole_folio_frees_it(kernel):
    text = "p: memfd f 4M\np: mmap a 4M shared f[0:1024]\np: touch a[0]\np: touch a[600]\np: fork c\nc: read a[3]"
    run = Run(kernel, text, shmem=HUGE)
    run.do("p: punch f[0:512]")
    assert shape(run) == [("p", 512, 512, 9, True)]
    assert len(run.machine.folios) == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_hole_of_one_page_in_a_huge_folio(kernel):
    run = Run(kernel, ONE, shmem=HUGE)
    run.do("p: punch f[100:101]")
    assert shape(run) == [], "all of it was unmapped"
    run.do("p: read a[0:512]")
    if kernel in PAGES:
        assert shape(run) == [("p", 0, 512, 0, False)]
    else:
        assert sizes(run) == [(0, 6), (64, 5), (96, 2), (102, 1), (104, 3), (112, 4), (128, 7), (256, 8)]


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in PAGES])
@pytest.mark.parametrize(
    ("hole", "left"),
    [
        ("f[37:411]", [(0, 5), (32, 2), (412, 2), (416, 5), (448, 6)]),
        ("f[411:512]", [(0, 8), (256, 7), (384, 4), (400, 3), (408, 1)]),
        ("f[0:16]", [(18, 1), (20, 2), (24, 3), (32, 5), (64, 6), (128, 7), (256, 8)]),
    ],
)
def test_what_a_hole_leaves_of_a_huge_folio(kernel, hole, left):
    run = Run(kernel, ONE, shmem=HUGE)
    run.do(f"p: punch {hole}\np: read a[0:512]")
    assert sizes(run) == left


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in PAGES])
def test_a_hole_over_the_border_of_two_folios(kernel):
    text = "p: memfd f 4M\np: mmap a 4M shared f[0:1024]\np: touch a[0]\np: touch a[512]\np: punch f[411:611]\n"
    run = Run(kernel, text + "p: read a[0:1024]", shmem=HUGE)
    first = [(0, 8), (256, 7), (384, 4), (400, 3), (408, 1)]
    assert sizes(run) == [*first, (612, 2), (616, 3), (624, 4), (640, 7), (768, 8)]


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel not in PAGES | {"6.12"}])
def test_a_hole_in_64k_folios(kernel):
    text = "p: memfd f 256k\np: mmap a 256k shared f[0:64]\np: touch a[0:64]\np: punch f[3:5]\np: read a[0:16]"
    run = Run(kernel, text, shmem={4: "always"})
    assert [row[1:4] for row in shape(run)][:4] == [(0, 2, 1), (2, 4, 0), (6, 2, 1), (8, 8, 3)]


def test_before_5_7_a_hole_in_part_of_a_huge_folio_is_of_zeros():
    """No such kernel was recorded: mm/shmem.c before 71725ed10c40."""
    backend = ModelBackend("5.4")
    backend.begin(Settings(shmem=HUGE))
    for step in parse(ONE + "p: munmap a[0]\np: read a[1:512]\np: punch f[100:103]").steps:
        result = backend.do(step)
    seen = backend.observe(result)
    assert [(row.page, row.nr_pages) for row in seen.mappings] == [(1, 99), (103, 409)]
    assert [folio.order for folio in seen.folios.values()] == [9]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_hole_without_a_file_is_refused(kernel):
    run = Run(kernel, "p: memfd f 4k")
    run.machine.mms["p"].files.clear()
    assert run.do("p: punch f[0:1]") == [-9]
