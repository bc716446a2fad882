"""Ranges of pages joined and spread out, against plain sets; entries read from a file and from our own pagemap."""

import contextlib
import ctypes
import itertools
import mmap
import os
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.pagemap import PRESENT, merge_ranges, read_entries, spread

RANGES = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=23)


def u64(values):
    return np.array(values, np.uint64)


@given(RANGES, st.integers(0, 17))
def test_joined_ranges_hold_all_pages_and_the_gaps_that_are_small_enough(ranges, gap):
    ranges.sort()
    starts, ends = u64([s for s, _ in ranges]), u64([s + n for s, n in ranges])
    wanted = sorted({page for start, count in ranges for page in range(start, start + count)})
    for before, after in itertools.pairwise(list(wanted)):
        if after - before - 1 <= gap:
            wanted += range(before + 1, after)
    joined = [(int(s), int(e)) for s, e in zip(*merge_ranges(starts, ends, gap), strict=True)]
    assert [page for start, end in joined for page in range(start, end)] == sorted(set(wanted))
    assert all(after[0] - before[1] > gap for before, after in itertools.pairwise(joined))


@given(st.lists(st.tuples(st.integers(0, 1 << 52), st.integers(0, 13)), max_size=17))
def test_spread_lists_every_page_of_every_range(ranges):
    spread_out = spread(u64([s for s, _ in ranges]), u64([n for _, n in ranges]))
    assert spread_out.tolist() == [page for start, count in ranges for page in range(start, start + count)]
    assert spread_out.dtype == np.uint64


@given(RANGES)
def test_entries_of_ranges_are_those_of_the_file_until_it_ends(ranges):
    nr_entries = 211
    file_fd = os.memfd_create("pagemap")
    try:
        os.write(file_fd, struct.pack(f"<{nr_entries}Q", *(page * page + 5 for page in range(nr_entries))))
        ranges.sort()
        starts, ends = merge_ranges(u64([s for s, _ in ranges]), u64([s + n for s, n in ranges]), 0)
        pages, entries, reads = read_entries(file_fd, starts, ends)
    finally:
        os.close(file_fd)
    asked = [page for s, e in zip(starts.tolist(), ends.tolist(), strict=True) for page in range(s, e)]
    there = list(itertools.takewhile(lambda page: page < nr_entries, asked))
    assert pages.tolist() == there
    assert entries.tolist() == [page * page + 5 for page in there]
    assert reads <= len(starts)


def test_own_pagemap_shows_which_pages_were_touched():
    nr_pages, touched = 61, {0, 1, 7, 29, 30, 59}
    with mmap.mmap(-1, nr_pages * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        with contextlib.suppress(OSError):  # a kernel without THP makes no large folios either
            area.madvise(mmap.MADV_NOHUGEPAGE)
        for page in touched:
            area[page * 4096] = 1
        view = ctypes.c_char.from_buffer(area)
        first = ctypes.addressof(view) // 4096
        pagemap_fd = os.open("/proc/self/pagemap", os.O_RDONLY)
        try:
            pages, entries, reads = read_entries(
                pagemap_fd, u64([first, first + 31]), u64([first + 31, first + nr_pages])
            )
        finally:
            os.close(pagemap_fd)
            del view
    assert {int(page) - first for page, entry in zip(pages, entries, strict=True) if entry & PRESENT} == touched
    assert reads == 2


def test_pagemap_of_a_process_that_is_gone_ends_at_once():
    child = os.fork()
    if not child:
        os.kill(os.getpid(), 19)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    pagemap_fd = os.open(f"/proc/{child}/pagemap", os.O_RDONLY)
    try:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pages, entries, _ = read_entries(pagemap_fd, u64([16, 64]), u64([32, 65]))
    finally:
        os.close(pagemap_fd)
    assert (len(pages), len(entries)) == (0, 0)


@pytest.mark.parametrize("gap", [0, 5])
def test_nothing_stays_nothing(gap):
    starts, ends = merge_ranges(u64([]), u64([]), gap)
    assert (len(starts), len(ends)) == (0, 0)
