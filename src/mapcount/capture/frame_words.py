"""The words of the kpage files for many ranges of frames: one read call a range and file, into one buffer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.pagemap import ENTRY_BYTES

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64


class FrameWords:
    """Reads words of frames. What `read` returns holds until the next call. Not thread-safe."""

    def __init__(self) -> None:
        self._buffer: U64 = np.empty(0, np.uint64)
        self.reads = 0
        """Read calls so far, and bytes."""
        self.bytes_read = 0

    def plan(self, starts: U64, lengths: U64) -> list[tuple[memoryview, int, int]]:
        """Return where in the buffer the words of each range go, at which offset of the file they are, and their bytes."""
        total = int(lengths.sum())
        if len(self._buffer) < total:
            self._buffer = np.empty(total, np.uint64)
        view = self._buffer.view(np.uint8).data
        ends = (np.cumsum(lengths) * np.uint64(ENTRY_BYTES)).tolist()
        offsets = (starts * np.uint64(ENTRY_BYTES)).tolist()
        begins = [0, *ends[:-1]]
        return [(view[at:end], offset, end - at) for at, end, offset in zip(begins, ends, offsets, strict=True)]

    def read(self, fd: int, plan: list[tuple[memoryview, int, int]], total: int) -> U64:
        """Return the `total` words of the planned ranges; zeros of a file that is not there (-1), or beyond its end."""
        words = self._buffer[:total]
        if fd < 0:
            words[:] = 0
            return words
        preadv = os.preadv
        for view, offset, size in plan:
            got = preadv(fd, (view,), offset)
            if got != size:
                view[got:] = bytes(size - got)
        self.reads += len(plan)
        self.bytes_read += total * ENTRY_BYTES
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
