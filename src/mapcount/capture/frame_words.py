"""The words of the kpage files for many ranges of frames: one read call a range and file, into one buffer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.pagemap import ENTRY_BYTES, as_index, merge_ranges
from mapcount.capture.stretches import put_stretches

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64


class FrameWords:
    """Reads words of frames. What `read` returns holds until the next call. Not thread-safe."""

    def __init__(self) -> None:
        self._buffer: U64 = np.empty(0, np.uint64)
        self.reads = 0
        """Read calls so far, and bytes."""
        self.bytes_read = 0

    def plan(self, starts: U64, lengths: U64) -> list[tuple[int, int]]:
        """Return at which offset of the file the words of each range are, and their bytes; makes room for them."""
        total = int(lengths.sum())
        if len(self._buffer) < total:
            self._buffer = np.empty(total, np.uint64)
        bytes_each = np.uint64(ENTRY_BYTES)
        return list(zip((starts * bytes_each).tolist(), (lengths * bytes_each).tolist(), strict=True))

    def read(self, fd: int, plan: list[tuple[int, int]], total: int) -> U64:
        """Return the `total` words of the planned ranges; zeros of a file that is not there (-1), or beyond its end."""
        words = self._buffer[:total]
        if fd < 0:
            words[:] = 0
            return words
        self.reads += len(plan)
        self.bytes_read += total * ENTRY_BYTES
        view, preadv, at = words.view(np.uint8).data, os.preadv, 0
        for offset, size in plan:
            got = preadv(fd, (view[at : at + size],), offset)
            if got != size:
                view[at + got : at + size] = bytes(size - got)
            at += size
        return words

    def read_each(self, fd: int, pfns: list[int]) -> U64:
        """Return the word of each frame; zeros of a file that is not there, or beyond its end."""
        if fd < 0:
            return np.zeros(len(pfns), np.uint64)
        pread, empty = os.pread, bytes(ENTRY_BYTES)
        words = [pread(fd, ENTRY_BYTES, pfn * ENTRY_BYTES) or empty for pfn in pfns]
        self.reads += len(pfns)
        self.bytes_read += len(pfns) * ENTRY_BYTES
        return np.frombuffer(b"".join(words), np.uint64)

    def read_apart(self, fd: int, pfns: U64, gap: int) -> U64:
        """Return the word of each frame (ascending); those at most `gap` apart are read by one call."""
        starts, ends = merge_ranges(pfns, pfns + np.uint64(1), gap)
        lengths = ends - starts
        at = np.cumsum(lengths) - lengths
        single = lengths == 1
        words = np.empty(int(lengths.sum()), np.uint64)
        words[as_index(at[single])] = self.read_each(fd, starts[single].tolist())
        starts_of, many = starts[~single], lengths[~single]
        if len(many):
            read = self.read(fd, self.plan(starts_of, many), int(many.sum()))
            put_stretches(words, at[~single], many, read, np.cumsum(many) - many)
        row = np.searchsorted(starts, pfns, side="right") - 1
        return words[as_index(at[row] + (pfns - starts[row]))]
