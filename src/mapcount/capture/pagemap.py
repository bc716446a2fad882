"""/proc/PID/pagemap: the bits of an entry, and entries of many address ranges read into one array.

Source: Documentation/admin-guide/mm/pagemap.rst; fs/proc/task_mmu.c.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, U64

PFN_MASK = np.uint64((1 << 55) - 1)
"""Bits 0-54: the PFN of a present page; zero without CAP_SYS_ADMIN in the initial user namespace."""
SWAP_TYPE_MASK = np.uint64(0x1F)
PRESENT = np.uint64(1 << 63)
SWAPPED = np.uint64(1 << 62)
FILE_OR_SHMEM = np.uint64(1 << 61)
GUARD = np.uint64(1 << 58)
"""Since 6.15."""
UFFD_WP = np.uint64(1 << 57)
MAPPED_ONCE = np.uint64(1 << 56)

ENTRY_BYTES = 8
JOIN_GAP_PAGES = 64
"""Ranges this close are read as one: an entry costs about 30 ns, a read call about 1 us."""


def merge_ranges(starts: U64, ends: U64, gap: int) -> tuple[U64, U64]:
    """
    Join half-open ranges, sorted by start, that overlap or lie at most `gap` apart.

    Returns the starts and ends of the joined ranges, which are sorted and disjoint.
    """
    if len(starts) < 2:
        return starts, ends
    reach = np.maximum.accumulate(ends)
    new = np.empty(len(starts), np.bool_)
    new[0] = True
    np.greater(starts[1:], reach[:-1] + np.uint64(gap), out=new[1:])
    first = np.flatnonzero(new)
    last = np.append(first[1:] - 1, len(starts) - 1)
    return starts[first], reach[last]


def spread(starts: U64, counts: U64) -> U64:
    """Return all integers of the ranges `[start, start + count)`, one range after the other."""
    if not counts.all():
        starts, counts = starts[counts > 0], counts[counts > 0]
    if not len(starts):
        return np.empty(0, np.uint64)
    # Steps of one, and at the start of each range the jump to it; their sums are the integers.
    ends = np.cumsum(counts)
    numbers = np.ones(int(ends[-1]), np.uint64)
    numbers[0] = starts[0]
    numbers[as_index(ends[:-1])] = starts[1:] - (starts[:-1] + counts[:-1] - np.uint64(1))
    return np.cumsum(numbers, out=numbers)


def as_index(numbers: U64) -> I64:
    """Return the numbers (below 2^63) as an index, without a copy: numpy indexes by signed integers twice as fast."""
    return numbers.view(np.int64)


def batches(lengths: U64, limit: int) -> list[tuple[int, int]]:
    """Cut a list of ranges into groups `[first, last)` of about `limit` elements."""
    if not len(lengths):
        return []
    group = np.cumsum(lengths) // np.uint64(limit)
    cuts = (np.flatnonzero(group[1:] != group[:-1]) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, len(lengths)], strict=True))


def read_entries(pagemap_fd: int, starts: U64, ends: U64) -> tuple[U64, U64, int]:
    """
    Read the entries of page-number ranges `[start, end)`, sorted and disjoint.

    Returns page numbers, entries, and the number of read calls. A read that ends early (the mm is gone) ends the arrays.
    """
    entries, counts, reads = read_ranges(pagemap_fd, starts, ends)
    return spread(starts[: len(counts)], counts), entries, reads


def read_ranges(pagemap_fd: int, starts: U64, ends: U64) -> tuple[U64, U64, int]:
    """Read as `read_entries` does; returns the entries, how many there are of each range that was read, and the read calls."""
    counts = ends - starts
    entries = np.empty(int(counts.sum()), np.uint64)
    view = entries.view(np.uint8).data
    at = 0
    reads = 0
    for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
        got = os.preadv(pagemap_fd, [view[at : at + count * ENTRY_BYTES]], start * ENTRY_BYTES)
        reads += 1
        at += got
        if got != count * ENTRY_BYTES:
            counts = counts[:reads].copy()
            counts[-1] = got // ENTRY_BYTES
            break
    return entries[: at // ENTRY_BYTES], counts, reads
