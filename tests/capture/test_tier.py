"""The tier without PFNs: pages counted one by one, and a known workload seen by root and by a user without privilege."""

import ctypes
import itertools
import mmap
import os
import random
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.unprivileged import as_nobody
from mapcount.capture import scan, tier
from mapcount.capture.budget import BudgetSpentError
from mapcount.capture.maps import VmaList, parse_maps
from mapcount.capture.processes import address_spaces, named_processes, read_process
from mapcount.capture.tier import capture_without_pfns, count_pages
from mapcount.capture.tier_smaps import SmapsVma
from waiting import wait_for, wait_until_asleep

PAGE = 4096
PMD = 512
MAP_NORESERVE = 0x4000
FLAGS = {"present": 63, "swapped": 62, "file": 61, "guard": 58, "once": 56}
HUGE, ZERO = 1 << 6, 1 << 5
linux = pytest.mark.skipif(not os.path.exists("/proc/self/pagemap"), reason="live tests need Linux")


def disjoint(size):
    """Half-open ranges within [0, size), sorted."""
    return st.lists(st.integers(0, size), unique=True, max_size=14).map(
        lambda cuts: list(zip(sorted(cuts)[::2], sorted(cuts)[1::2], strict=False))
    )


@given(
    disjoint(29).filter(len),
    disjoint(29),
    st.dictionaries(st.integers(0, 29), st.sets(st.sampled_from(list(FLAGS))), max_size=30),
    st.randoms(use_true_random=False),
)
def test_pages_are_counted_as_one_by_one(vmas, regions, pages, rng):
    categories = [rng.choice([0, HUGE, ZERO, HUGE | ZERO]) for _ in regions]
    expected = [[0] * 6 for _ in vmas]
    for page, flags in pages.items():
        for row, (first, end) in enumerate(vmas):
            if first <= page < end:
                category = next((c for (a, b), c in zip(regions, categories, strict=True) if a <= page < b), 0)
                here = "present" in flags
                expected[row][0] += here
                expected[row][1] += here and bool(category & HUGE)
                expected[row][2] += here and "once" in flags
                expected[row][3] += here and "file" in flags
                expected[row][4] += here and bool(category & ZERO)
                expected[row][5] += ("swapped" in flags and not here) or "guard" in flags
    order = sorted(pages)
    entries = [sum(1 << FLAGS[flag] for flag in pages[page]) for page in order]
    columns = ([a for a, _ in regions], [b for _, b in regions], categories)
    numbers = np.zeros((len(vmas), 6), np.int64)

    ranges = VmaList(
        np.array([first * PAGE for first, _ in vmas], np.uint64),
        np.array([end * PAGE for _, end in vmas], np.uint64),
        *([""] * len(vmas) for _ in range(5)),
    )
    count_pages(
        numbers,
        ranges,
        np.array(order, np.uint64),
        np.array(entries, np.uint64),
        tuple(np.array(column, np.uint64) for column in columns),
    )

    assert numbers.tolist() == expected


@given(disjoint(1009), st.integers(1, 97))
def test_windows_cover_every_page_once_and_are_bounded(ranges, limit):
    columns = [np.array([r[side] for r in ranges], np.uint64) for side in (0, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tier, "WINDOW_PAGES", limit)
        windows = [
            [page for first, end in zip(a.tolist(), b.tolist(), strict=True) for page in range(first, end)]
            for a, b in tier._windows(*columns)
        ]

    assert [page for window in windows for page in window] == [p for first, end in ranges for p in range(first, end)]
    assert all(0 < len(window) <= limit for window in windows)


# --- live: a workload in this very process, whose pages are known one by one ---

WRITTEN, READ_ONLY, FILE_PAGES, SHARED = 1013, 211, 37, 101
"""Pages of a sparse anon area that are written, that are only read, of a file, and of shared anon memory."""
AREA = 65537


class Workload:
    """Known mappings of this process; pages stay where they are while it lives."""

    def __init__(self):
        rng = random.Random(7)
        anon = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.sparse = mmap.mmap(-1, AREA * PAGE, flags=anon)
        self.sparse.madvise(mmap.MADV_NOHUGEPAGE)
        chosen = rng.sample(range(AREA), WRITTEN + READ_ONLY)
        for page in chosen[:WRITTEN]:
            self.sparse[page * PAGE] = 1
        for page in chosen[WRITTEN:]:
            assert self.sparse[page * PAGE] == 0
        self.huge = mmap.mmap(-1, 4 * PMD * PAGE, flags=anon)
        for page in range(4 * PMD):
            self.huge[page * PAGE] = 1
        start = self.address(self.huge)
        self.first_huge = -start % (PMD * PAGE) // PAGE
        try:
            self.huge.madvise(25, self.first_huge * PAGE, PMD * PAGE)  # MADV_COLLAPSE
            self.pmd_pages = PMD
        except OSError:
            self.pmd_pages = None
        self.file = os.memfd_create("a file")
        os.ftruncate(self.file, FILE_PAGES * PAGE)
        self.shmem = mmap.mmap(self.file, FILE_PAGES * PAGE)
        for page in range(FILE_PAGES):
            self.shmem[page * PAGE] = 1
        self.twice = mmap.mmap(self.file, FILE_PAGES * PAGE)
        for page in range(FILE_PAGES):
            assert self.twice[page * PAGE] == 1

    @staticmethod
    def address(area):
        return ctypes.addressof(ctypes.c_char.from_buffer(area))

    def expected(self):
        """Address and what ObservedVmas must say of it: present, pmd_mapped, mapped_once, file_or_shmem, zero."""
        both = (FILE_PAGES, 0, 0, FILE_PAGES, 0)
        return {
            self.address(self.sparse): (WRITTEN + READ_ONLY, 0, WRITTEN, 0, READ_ONLY),
            self.address(self.huge): (4 * PMD, self.pmd_pages, 4 * PMD, 0, 0),
            self.address(self.shmem): both,
            self.address(self.twice): both,
        }


def observed(captured, area_bytes):
    """What was seen of the pages of the given areas; an area may share its VMA with others only if it is missing here."""
    rows = {}
    seen = captured.observed_vmas
    for row, (start, end) in enumerate(zip(captured.vmas.start.tolist(), captured.vmas.end.tolist(), strict=True)):
        if (start, end - start) in area_bytes:
            columns = (seen.present, seen.pmd_mapped, seen.mapped_once, seen.file_or_shmem, seen.zero)
            rows[start] = tuple(int(column[row]) for column in columns)
            assert seen.not_present[row] == 0
    return rows


def capture_workload(use_scan):
    """Make the workload, capture this process, and return what was seen beside what must be."""
    work = Workload()
    (space,) = address_spaces(named_processes([os.getpid()]))[0]
    captured = capture_without_pfns([space], use_scan=use_scan)
    sizes = {
        (work.address(work.sparse), AREA * PAGE),
        (work.address(work.huge), 4 * PMD * PAGE),
        (work.address(work.shmem), FILE_PAGES * PAGE),
        (work.address(work.twice), FILE_PAGES * PAGE),
    }
    return captured, observed(captured, sizes), work.expected()


@pytest.mark.live
@linux
@pytest.mark.parametrize("use_scan", [True, False])
@pytest.mark.parametrize("run", [as_nobody, lambda function: function()], ids=["nobody", "as we are"])
def test_a_known_workload(use_scan, run):
    captured, seen, expected = run(lambda: capture_workload(use_scan))
    # Neighbouring areas of one kind may be one VMA to the kernel, which is then left out; the workload makes three kinds.
    assert len(seen) >= 3
    for start, row in seen.items():
        if expected[start][1] is None:
            pytest.skip("this kernel would not collapse a huge page (MADV_COLLAPSE, Linux 6.1)")
        assert row == expected[start]
    assert captured.mms.complete.all()
    assert captured.partial == ""
    assert bool(captured.notes) == (not use_scan)


@pytest.mark.live
@linux
def test_nobody_sees_his_own_processes_and_is_told_of_the_others():
    me = os.getpid()
    if os.geteuid():
        pytest.skip("live tests need root")

    def capture_both():
        spaces, _ = address_spaces(named_processes([me, os.getpid()]))
        return os.getpid(), capture_without_pfns(spaces)

    child, captured = as_nobody(capture_both)

    assert captured.mms.pid.tolist() == [child]
    assert captured.unreadable == [{"pid": me, "comm": read_process(me).comm, "error": "Permission denied"}]
    assert int(captured.observed_vmas.present.sum()) > 97


@pytest.mark.live
@linux
def test_what_all_vmas_hold_is_the_rss_of_a_still_process():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(b"13\n")
        child.stdin.flush()
        child.stdout.readline()
        wait_until_asleep(child.pid)  # back in read()
        captured = capture_without_pfns(address_spaces(named_processes([child.pid]))[0])
        with open(f"/proc/{child.pid}/smaps_rollup") as file:
            rss_kib = next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
        child.stdin.close()
    seen = captured.observed_vmas

    assert int(seen.present.sum() - seen.zero.sum()) == rss_kib // 4
    assert captured.vmas.vma_id.tolist() == list(range(len(captured.vmas)))
    assert captured.mms.comm.tolist() == ["cat"]


@pytest.mark.live
@linux
@pytest.mark.parametrize("use_scan", [True, False])
def test_a_sparse_area_of_2_tib_costs_next_to_nothing(use_scan):
    dense, dense_calls, dense_bytes = counted_capture(use_scan)
    try:
        area = mmap.mmap(-1, 2 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
    except OSError as error:
        pytest.skip(f"2 TiB of address space are not to be had: {error.strerror}")
    with area:
        area.madvise(mmap.MADV_DONTFORK)  # else it may become one VMA with a neighbour that is not empty
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sparse, calls, bytes_read = counted_capture(use_scan)

    assert dense.mms.complete.all() and sparse.mms.complete.all()
    # Its pagemap is 4 GiB, 8192 windows of it; the room is for what the interpreter itself mapped meanwhile.
    assert calls < dense_calls + 211
    assert bytes_read < dense_bytes + (16 << 20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib < 64 << 10


def counted_capture(use_scan):
    """Capture this process; return the capture, the ioctls and looks at the budget it took, and the bytes read."""
    spaces, _ = address_spaces(named_processes([os.getpid()]))
    calls = itertools.count()
    ioctl = scan.fcntl.ioctl
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan.fcntl, "ioctl", lambda *arguments: (next(calls), ioctl(*arguments))[1])
        before = bytes_read_by_us()
        captured = capture_without_pfns(spaces, check_budget=lambda: next(calls), use_scan=use_scan)
    return captured, next(calls), bytes_read_by_us() - before


def bytes_read_by_us():
    """The kernel's own count of what read(2) and its like gave this process."""
    return int(re.search(r"^rchar: (\d+)$", Path("/proc/self/io").read_text(), re.MULTILINE)[1])


@linux
@pytest.mark.parametrize(("allowed", "complete"), [(0, []), (1, [False]), (2, [True])])
def test_a_spent_budget_keeps_what_there_is(allowed, complete):
    # Two small processes: each takes one look before it and one in it. This process would take more, the larger it is.
    with (
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child,
        subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other,
    ):
        for pid in (child.pid, other.pid):
            wait_until_asleep(pid)
        spaces, _ = address_spaces(named_processes([child.pid, other.pid]))
        looks = iter(range(allowed))

        def check_budget():
            if next(looks, None) is None:
                raise BudgetSpentError("enough")

        captured = capture_without_pfns(spaces, check_budget=check_budget)
        child.stdin.close()
        other.stdin.close()

    assert captured.partial == "enough"
    assert captured.mms.complete.tolist() == complete
    assert len(captured.observed_vmas) == len(captured.vmas)
    assert (len(captured.vmas) > 0) == bool(complete)


@linux
@pytest.mark.parametrize("use_scan", [True, False])
def test_a_process_that_exits_while_it_is_read_is_not_complete(use_scan):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        spaces, _ = address_spaces(named_processes([child.pid]))
        looks = iter(range(1))

        def kill_at_the_second_look():
            if next(looks, None) is None:
                child.kill()
                child.wait()

        captured = capture_without_pfns(spaces, check_budget=kill_at_the_second_look, use_scan=use_scan)

    assert captured.mms.complete.tolist() == [False]
    assert captured.partial == ""


@linux
def test_pfnmap_areas_are_left_out_without_a_scan_too(monkeypatch):
    def all_pfnmap(process):
        maps = parse_maps(Path(f"{process.directory}/maps").read_bytes())
        pfnmap = SmapsVma(pmd_bytes=0, counted_bytes=0, empty=False, pfnmap=True)
        return maps, dict.fromkeys(maps.start.tolist(), pfnmap)

    monkeypatch.setattr(tier, "read_smaps", all_pfnmap)
    captured = capture_without_pfns(address_spaces(named_processes([os.getpid()]))[0], use_scan=False)

    assert int(captured.observed_vmas.present.sum()) == 0
    assert (
        int(capture_without_pfns(address_spaces(named_processes([os.getpid()]))[0]).observed_vmas.present.sum()) > 1009
    )


@linux
def test_ctrl_c_keeps_what_there_is():
    def interrupt():
        raise KeyboardInterrupt

    captured = capture_without_pfns(address_spaces(named_processes([os.getpid()]))[0], check_budget=interrupt)

    assert captured.partial == "interrupted"
    assert len(captured.mms) == len(captured.vmas) == len(captured.observed_vmas) == 0


DEAD_LEADER = """
import ctypes, mmap, sys, threading, time
area = mmap.mmap(-1, 1009 * 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for page in range(1009):
    area[page * 4096] = 1
def wait():
    print(ctypes.addressof(ctypes.c_char.from_buffer(area)), flush=True)
    sys.stdin.read()
threading.Thread(target=wait).start()
ctypes.CDLL(None).syscall(60, 0)  # exit(2) of this thread alone
"""


@linux
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of exit(2) is that of x86-64")
def test_a_process_whose_first_thread_has_exited_is_read_through_another():
    with subprocess.Popen([sys.executable, "-c", DEAD_LEADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        start = int(child.stdout.readline())
        wait_for(lambda: not Path(f"/proc/{child.pid}/maps").read_bytes())
        captured = capture_without_pfns(address_spaces(named_processes([child.pid]))[0])
        child.stdin.close()
    row = int(np.searchsorted(captured.vmas.start, start, side="right")) - 1

    assert captured.mms.pid.tolist() == [child.pid]
    assert captured.mms.complete.tolist() == [True]
    assert captured.observed_vmas.present[row] >= 1009


@linux
def test_a_process_that_has_exited_is_counted():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
        spaces, _ = address_spaces(named_processes([child.pid]))
        child.stdin.close()
    captured = capture_without_pfns(spaces)

    assert captured.exited == 1
    assert len(captured.mms) == 0
    assert captured.unreadable == []
