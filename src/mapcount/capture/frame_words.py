"""The words of the kpage files for many ranges of frames: one read call a range and file."""

from __future__ import annotations

import os
from itertools import repeat
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mapcount.capture.pagemap import ENTRY_BYTES, as_index, merge_ranges

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64

Plan: TypeAlias = "tuple[list[int], list[int]]"
"""Bytes to read, and the offsets to read them at."""


def plan(starts: U64, lengths: U64) -> Plan:
    """Return what to read of a kpage file for some ranges of frames."""
    return (as_index(lengths) * ENTRY_BYTES).tolist(), (as_index(starts) * ENTRY_BYTES).tolist()


class FrameWords:
    """Reads words of frames and counts how much."""

    def __init__(self) -> None:
        self.reads = 0
        """Read calls so far, and bytes."""
        self.bytes_read = 0

    def read(self, fd: int, what: Plan) -> U64:
        """Return the words of the planned ranges; zeros of a file that is not there (-1), or beyond its end."""
        sizes, offsets = what
        total = sum(sizes)
        if fd < 0:
            return np.zeros(total // ENTRY_BYTES, np.uint64)
        # pread without a loop in Python: ranges are short, and preadv into a buffer costs up to a fifth more a call.
        parts = list(map(os.pread, repeat(fd), sizes, offsets))
        words = b"".join(parts)
        if len(words) != total:
            words = b"".join(part.ljust(size, b"\0") for part, size in zip(parts, sizes, strict=True))
        self.reads += len(parts)
        self.bytes_read += total
        return np.frombuffer(words, np.uint64)

    def read_apart(self, fd: int, pfns: U64, gap: int) -> U64:
        """Return the word of each frame (ascending, each once); those at most `gap` apart are read by one call."""
        starts, ends = merge_ranges(pfns, pfns + np.uint64(1), gap)
        lengths = ends - starts
        words = self.read(fd, plan(starts, lengths))
        if len(words) == len(pfns):
            return words
        steps = np.diff(pfns, prepend=pfns[:1])
        steps[steps > gap + 1] = 1  # the next range, which begins with this frame
        return words[as_index(np.cumsum(steps))]
