"""What struct pages say of frames: roles and kinds of memory made by hand, and kpagecount worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from kernels.guest_ram import NEW, Ram
from mapcount.capture.kpage import HEAD, READ, SMALL, SWAPCACHE, TAIL
from mapcount.kernels.guest_frames import GuestFrames, kpagecounts
from mapcount.mapping.schema import Kind
from mapcount.scenarios.observation import FolioState

ANON, FILE = 0xFFFF888000ABC001, 0xFFFF888000DEF000


def counts(order, kind, **words):
    found = kpagecounts(FolioState(order, kind, words))
    return None if found is None else found.tolist()


def test_a_page_counts_itself_and_the_whole_folio():
    pages = ((-1, 1), (0, 2), (4, 1))
    assert counts(2, Kind.ANON, _mapcount=pages, _entire_mapcount=1) == [2, 3, 3, 7]
    assert counts(2, Kind.SHMEM, _mapcount=pages, _entire_mapcount=-1) == [0, 1, 1, 5]
    assert counts(0, Kind.ANON, _mapcount=((12, 1),)) == [13]


def test_up_to_6_1_pages_of_files_count_the_whole_folio_too():
    pages = ((1, 3), (2, 1))
    assert counts(2, Kind.SHMEM, _mapcount=pages, compound_mapcount=1) == [2, 2, 2, 3]
    assert counts(2, Kind.ANON, _mapcount=pages, compound_mapcount=1, PG_double_map=0) == [4, 4, 4, 5]
    assert counts(2, Kind.ANON, _mapcount=pages, compound_mapcount=1, PG_double_map=1) == [3, 3, 3, 4]


def test_hugetlb_has_one_count_for_all_and_without_counts_per_page_there_are_none():
    assert counts(2, Kind.HUGETLB, _entire_mapcount=4) == [5, 5, 5, 5]
    assert counts(2, Kind.HUGETLB, compound_mapcount=-1) == [0, 0, 0, 0]
    assert counts(2, Kind.ANON, _entire_mapcount=0, _large_mapcount=6) is None


@pytest.fixture
def ram():
    return Ram(dataclasses.replace(NEW, flags=NEW.flags | {"swapcache": 10}))


def frames_of(ram, pfns, *, page_mapcount=True, hugetlb=(), kernels_own=()):
    frames = GuestFrames(ram.memory(), {}, page_mapcount=page_mapcount)
    frames.add(np.array(pfns), hugetlb=np.isin(pfns, hugetlb), kernels_own=np.isin(pfns, kernels_own))
    return frames


def test_a_folio_is_learnt_of_whole_by_any_of_its_pages(ram):
    ram.folio(1024, 2, mapping=ANON)
    for page, stored in enumerate((-1, 0, 6, 0)):
        ram.word(1024 + page, NEW.page["_mapcount"], "i", stored)
    ram.word(1024, NEW.folio["_entire_mapcount"], "i", 1)
    frames = frames_of(ram, [1026])
    assert frames.classes[1023:1029].tolist() == [0, HEAD | Kind.ANON | READ, *[TAIL | READ] * 3, 0]
    assert frames.counts[1024:1028].tolist() == [2, 3, 9, 3]
    assert frames.states[1024].words["_mapcount"] == ((-1, 1), (0, 1), (6, 1), (0, 1))
    assert frames.heads_of(np.array([1027], np.uint64)).tolist() == [1024]
    assert frames.orders_of(np.array([1024], np.uint64)).tolist() == [2]


def test_kinds_and_the_swap_cache(ram):
    swapbacked, swapcache = (1 << ram.layout.flags[name] for name in ("swapbacked", "swapcache"))
    ram.folio(700, 0, mapping=ANON, flags=swapbacked | swapcache)
    ram.folio(701, 0, mapping=FILE, flags=swapcache)  # the bit is another one's there
    ram.folio(702, 0, mapping=FILE, flags=swapbacked)
    ram.folio(1024, 9, mapping=FILE)
    frames = frames_of(ram, [700, 701, 702, 1030], hugetlb=[1030])
    assert frames.classes[700:703].tolist() == [
        SMALL | Kind.ANON | SWAPCACHE | READ,
        SMALL | Kind.FILE | READ,
        SMALL | Kind.SHMEM | READ,
    ]
    assert frames.classes[1024] == HEAD | Kind.HUGETLB | READ


def test_reserved_pages_are_zero_pages_the_kernels_own_or_counted(ram):
    reserved = 1 << ram.layout.flags["reserved"]
    for pfn in (700, 701, 702):
        ram.folio(pfn, 0, mapping=0, flags=reserved)
    ram.word(702, NEW.page["_mapcount"], "i", 3)  # of the vdso: mapped and counted as a file's
    frames = frames_of(ram, [700, 701, 702], kernels_own=[701, 702])
    kinds = [SMALL | kind | READ for kind in (Kind.ZERO, Kind.DEVICE, Kind.FILE)]
    assert frames.classes[700:703].tolist() == kinds


def test_without_counts_per_page_those_of_large_folios_are_not_known(ram):
    ram.folio(700, 0, mapping=ANON)
    ram.folio(1024, 2, mapping=ANON)
    frames = frames_of(ram, [700, 1024], page_mapcount=False)
    assert frames.classes[[700, 1024, 1025]].tolist() == [SMALL | READ, HEAD, TAIL]
