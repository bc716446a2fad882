"""PAGEMAP_SCAN of our own mappings, as any user: what was touched, once, whatever the windows; and a call count."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import random

import pytest

from mapcount.capture import scan
from mapcount.capture.scan import (
    PAGE_IS_FILE,
    PAGE_IS_HUGE,
    PAGE_IS_PFNZERO,
    PAGE_IS_PRESENT,
    scan_supported,
    scan_windows,
)

PAGE, PMD = 4096, 2 << 20
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
NORESERVE = 0x4000


@pytest.fixture
def pagemap_fd():
    fd = os.open("/proc/self/pagemap", os.O_RDONLY)
    if not scan_supported(fd):
        os.close(fd)
        pytest.skip("this kernel has no PAGEMAP_SCAN (Linux 6.7)")
    yield fd
    os.close(fd)


@contextlib.contextmanager
def area(nr_bytes, advice=mmap.MADV_NOHUGEPAGE):
    """Private memory that starts at a PMD; nothing of it is touched."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE
    size = nr_bytes + PMD
    mapped = libc.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    assert mapped != ctypes.c_void_p(-1).value
    start = -(-mapped // PMD) * PMD
    libc.madvise(start, nr_bytes, advice)  # refused by kernels without THP, where it is not needed
    try:
        yield start
    finally:
        libc.munmap(mapped, size)


def pages_of(windows, start):
    """Every page that windows report, with its categories; fails on a page reported twice or out of order."""
    found, last = {}, start
    for rows in windows:
        for first, end, categories in rows.tolist():
            assert last <= first < end and first % PAGE == end % PAGE == 0
            last = end
            found |= {(address - start) // PAGE: categories for address in range(first, end, PAGE)}
    return found


@contextlib.contextmanager
def counted_calls(monkeypatch):
    calls, real = [], fcntl.ioctl

    def ioctl(fd, request, *more):
        calls.append(request)
        return real(fd, request, *more)

    monkeypatch.setattr(scan.fcntl, "ioctl", ioctl)
    yield calls
    monkeypatch.undo()


@pytest.mark.parametrize("max_pages", [1, 7, 512, 1 << 13, 0])
def test_touched_pages_are_reported_once(pagemap_fd, max_pages):
    """More regions than one call returns: the kernel's walk_end must not lead back into what was told already."""
    nr_pages = 8009
    touched = set(random.Random(3).sample(range(nr_pages), 2003)) | set(range(5000, 5600))
    with area(nr_pages * PAGE) as start:
        for page in touched:
            ctypes.memset(start + page * PAGE, 1, 1)
        found = pages_of(scan_windows(pagemap_fd, start, start + nr_pages * PAGE, max_pages), start)
    assert set(found) == touched
    assert set(found.values()) == {PAGE_IS_PRESENT}


def test_a_window_holds_a_bounded_number_of_pages(pagemap_fd):
    with area(1999 * PAGE) as start:
        ctypes.memset(start, 1, 1999 * PAGE)
        windows = list(scan_windows(pagemap_fd, start, start + 1999 * PAGE, 100))
    sizes = [int((rows[:, 1] - rows[:, 0]).sum()) // PAGE for rows in windows]
    assert sum(sizes) == 1999 and max(sizes) <= 100


def test_pages_that_were_only_read_are_the_zero_page(pagemap_fd):
    with area(61 * PAGE) as start:
        for page in range(7, 18):
            ctypes.string_at(start + page * PAGE, 1)
        ctypes.memset(start + 12 * PAGE, 1, 1)
        found = pages_of(scan_windows(pagemap_fd, start, start + 61 * PAGE, 1000), start)
    zero = PAGE_IS_PRESENT | PAGE_IS_PFNZERO
    assert found == {page: PAGE_IS_PRESENT if page == 12 else zero for page in range(7, 18)}


@pytest.mark.parametrize("max_pages", [1, 100, 512, 700, 5000])
def test_windows_never_cut_a_pmd(pagemap_fd, max_pages):
    with area(5 * PMD, mmap.MADV_HUGEPAGE) as start:
        for at in (0, 1, 3):
            ctypes.memset(start + at * PMD, 1, PMD)
        libc.madvise(start + 4 * PMD, PMD, mmap.MADV_NOHUGEPAGE)
        ctypes.memset(start + 4 * PMD, 1, 5 * PAGE)
        windows = list(scan_windows(pagemap_fd, start, start + 5 * PMD, max_pages))
    found = pages_of(windows, start)
    huge = {page for page, categories in found.items() if categories & PAGE_IS_HUGE}
    if not huge:
        pytest.skip("this kernel gave no huge pages (THP off, or memory too fragmented)")
    expected = {at * 512 + i for at in (0, 1, 3) for i in range(512)} | {4 * 512 + i for i in range(5)}
    assert set(found) == expected
    for rows in windows:
        for first, end, categories in rows.tolist():
            if categories & PAGE_IS_HUGE:
                assert first % PMD == 0 and end % PMD == 0
    assert not huge & {4 * 512 + i for i in range(5)}


def test_a_range_that_ends_within_a_pmd_is_not_exceeded(pagemap_fd):
    with area(2 * PMD, mmap.MADV_HUGEPAGE) as start:
        ctypes.memset(start, 1, 2 * PMD)
        found = pages_of(scan_windows(pagemap_fd, start, start + PMD + 100 * PAGE, 1), start)
    assert set(found) == set(range(612))


def test_a_sparse_range_of_2_tib_costs_a_few_calls(pagemap_fd, monkeypatch):
    touched = [0, 1, 7 << 18, (1 << 29) - 1]
    with area(2 << 40) as start:
        for page in touched:
            ctypes.memset(start + page * PAGE, 1, 1)
        with counted_calls(monkeypatch) as calls:
            found = pages_of(scan_windows(pagemap_fd, start, start + (2 << 40), 1 << 13), start)
    assert sorted(found) == touched
    assert 1 <= len(calls) <= 3


def test_files_are_not_told_apart_and_holes_are_not_reported(pagemap_fd, tmp_path):
    """Only what was asked for comes back: present or swapped; huge and zero told apart, file not."""
    path = tmp_path / "file"
    path.write_bytes(bytes(13 * PAGE))
    fd = os.open(path, os.O_RDWR)
    mapped = libc.mmap(None, 13 * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)
    os.close(fd)
    try:
        libc.madvise(mapped, 13 * PAGE, mmap.MADV_RANDOM)  # no fault-around, no read-ahead
        ctypes.memset(mapped + 5 * PAGE, 1, 1)
        found = pages_of(scan_windows(pagemap_fd, mapped, mapped + 13 * PAGE, 100), mapped)
    finally:
        libc.munmap(mapped, 13 * PAGE)
    assert 5 in found and all(categories & PAGE_IS_FILE == 0 for categories in found.values())


def test_an_empty_range_and_one_that_nothing_maps(pagemap_fd):
    with area(PMD) as start:
        assert list(scan_windows(pagemap_fd, start, start, 100)) == []
        assert list(scan_windows(pagemap_fd, start, start + PMD, 100)) == []


def test_a_process_that_is_gone_ends_the_scan(pagemap_fd):
    child = os.fork()
    if not child:
        os.kill(os.getpid(), 19)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    fd = os.open(f"/proc/{child}/pagemap", os.O_RDONLY)
    try:
        windows = scan_windows(fd, 0, (1 << 47) - PAGE, 16)
        assert len(next(windows))
        os.kill(child, 9)
        os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            assert list(windows) == []
    finally:
        os.close(fd)


def test_another_file_has_no_scan(tmp_path):
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    try:
        assert not scan_supported(fd)
    finally:
        os.close(fd)
