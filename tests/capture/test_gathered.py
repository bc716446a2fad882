"""Runs that were settled: inside VMAs and of frames that are known, the rest counted; VMAs of pages."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capture.fake_machine import stat_line
from mapcount.capture.gathered import MmCapture, is_large, settled_runs, vma_of
from mapcount.capture.kpage import HEAD, READ, SMALL, TAIL, KpageFiles
from mapcount.capture.maps import parse_maps
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.processes import AddressSpace, parse_stat
from mapcount.capture.runs import RawRuns
from mapcount.capture.walk import MmPages

VMAS = [(100, 130), (130, 141), (200, 229)]


def mm_with(runs):
    lines = [f"{first * 4096:x}-{end * 4096:x} rw-p 00000000 00:00 0 \n" for first, end in VMAS]
    columns = list(zip(*runs, strict=True)) or [(), (), ()]
    page, pfn = (np.array(column, np.uint64) for column in columns[:2])
    raw = RawRuns(page, pfn, np.array(columns[2], np.uint32), np.zeros(len(page), np.uint8))
    pages = MmPages(runs=[raw.take(np.arange(len(raw)) % 2 == 0), raw.take(np.arange(len(raw)) % 2 == 1)])
    space = AddressSpace((parse_stat(stat_line(7), ""),))
    return MmCapture(space, parse_maps("".join(lines).encode()), pages, "", complete=True, vma_base=1009)


def frames(classes):
    physical = PhysicalPages(KpageFiles(-1, -1, -1, 64))
    physical.classes[:64] = classes
    return physical


ROLES = st.sampled_from([0, READ | SMALL, READ | HEAD, READ | TAIL, TAIL])


@given(
    st.lists(st.tuples(st.integers(90, 240), st.integers(0, 50), st.integers(1, 7)), max_size=11),
    st.lists(ROLES, min_size=64, max_size=64),
)
def test_runs_of_unknown_frames_and_outside_of_vmas_are_left_out_and_counted(runs, classes):
    mm, physical = mm_with(runs), frames(classes)
    settled = settled_runs(mm, physical)
    kept = [run for run in runs if classes[run[1]] and any(first <= run[0] < end for first, end in VMAS)]
    found = zip(settled.page.tolist(), settled.pfn.tolist(), settled.nr_pages.tolist(), strict=True)
    assert sorted(found) == sorted(kept)
    assert mm.pages.vanished == sum(run[2] for run in runs) - sum(run[2] for run in kept)
    large = [classes[int(pfn)] & TAIL != 0 or classes[int(pfn)] & HEAD != 0 for pfn in settled.pfn]
    small = [classes[int(pfn)] & SMALL == SMALL for pfn in settled.pfn]
    assert is_large(physical, settled).tolist() == [one and not other for one, other in zip(large, small, strict=True)]


@given(st.lists(st.sampled_from([page for first, end in VMAS for page in range(first, end)]), max_size=17))
def test_the_vma_of_each_page(pages):
    expected = [1009 + next(i for i, (first, end) in enumerate(VMAS) if first <= page < end) for page in pages]
    assert vma_of(mm_with([]), np.array(pages, np.uint64)).tolist() == expected
