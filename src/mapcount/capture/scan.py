"""PAGEMAP_SCAN: the present ranges of an address space, with the entries that a PMD maps told apart.

Source: Linux commit 52526ca7fdb9 ("fs/proc/task_mmu: implement IOCTL to get and optionally clear info about PTEs") (6.7),
fs/proc/task_mmu.c; Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import U64

PAGEMAP_SCAN = 0xC0606610
"""_IOWR('f', 16, struct pm_scan_arg), which has twelve 64-bit words."""
PAGE_IS_FILE = 1 << 2
PAGE_IS_PRESENT = 1 << 3
PAGE_IS_SWAPPED = 1 << 4
PAGE_IS_PFNZERO = 1 << 5
PAGE_IS_HUGE = 1 << 6
"""Mapped by a PMD, or hugetlb."""

VEC_LEN = 512
"""More regions a call are not safe: with a longer vector the kernel may leave `walk_end` short of what it returned."""
_ARG = struct.Struct("12Q")
_WALK_END = struct.Struct("Q")


def scan_supported(pagemap_fd: int) -> bool:
    """Return whether this kernel has PAGEMAP_SCAN (6.7 or later)."""
    try:
        _scan(pagemap_fd, 0, 4096, 1, np.zeros((1, 3), np.uint64))
    except OSError as error:
        return error.errno not in (errno.ENOTTY, errno.EINVAL)
    return True


def scan_windows(pagemap_fd: int, start: int, end: int, max_pages: int) -> Iterator[U64]:
    """
    Yield the present and swapped regions in `[start, end)` as arrays of rows (start, end, categories), in address order.

    A window holds at most about `max_pages` pages, so that mmap_lock is held for a bounded time however dense the range
    is, while a sparse range of any size costs one call. Regions may span VMAs. A PMD mapping is never cut in two: its
    region is extended to the end of the PMD. VM_PFNMAP areas are never reported. Ends early when the mm is gone.
    """
    pmd_bytes = 2 << 20
    regions = np.zeros((VEC_LEN, 3), np.uint64)
    while start < end:
        count, walk_end = _scan(pagemap_fd, start, end, max_pages, regions)
        window = regions[:count].copy()
        if count and int(window[-1, 2]) & PAGE_IS_HUGE:
            pmd_end = -(-int(window[-1, 1]) // pmd_bytes) * pmd_bytes
            window[-1, 1] = min(pmd_end, end)
            walk_end = max(walk_end, pmd_end)
        if count:
            yield window
        if walk_end <= start:
            return
        start = walk_end


def _scan(pagemap_fd: int, start: int, end: int, max_pages: int, regions: U64) -> tuple[int, int]:
    wanted = PAGE_IS_PRESENT | PAGE_IS_SWAPPED
    returned = wanted | PAGE_IS_PFNZERO | PAGE_IS_HUGE
    vector = regions.ctypes.data
    arg = bytearray(_ARG.pack(_ARG.size, 0, start, end, 0, vector, len(regions), max_pages, 0, 0, wanted, returned))
    count = fcntl.ioctl(pagemap_fd, PAGEMAP_SCAN, arg, True)
    return count, _WALK_END.unpack_from(arg, 32)[0]
