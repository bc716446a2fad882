"""Arrays with one element for each page frame of the machine: zeros, of which only what is touched takes memory.

Mapped frames lie in thousands of short ranges. Copied block by block, with whatever else is in these blocks, a million of
them takes numpy half a millisecond; range by range it is five.
"""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mapcount.capture.pagemap import as_index, merge_ranges, spread

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64

_T = TypeVar("_T", bound=np.generic)

BLOCK = np.uint64(32)
"""Frames that are copied together."""


def frame_array(length: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """
    Return an array of zeros in private anonymous memory, in huge pages where the kernel has some at hand.

    Its length is rounded up to whole blocks.

    Frames that a process maps lie all over the machine: at 4 KiB a fault, filling such arrays took longer than reading
    what they hold. A 2 MiB page of four-byte elements covers 2 GiB of frames, so the arrays stay small all the same.
    """
    length = -(-length // int(BLOCK)) * int(BLOCK)
    size_bytes = max(1, length * np.dtype(dtype).itemsize)
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # a Python or a kernel without transparent huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, length)


def whole_blocks(starts: U64, ends: U64) -> tuple[U64, U64]:
    """Return starts and lengths of the ranges of whole blocks that hold some frame ranges (sorted, disjoint, not empty)."""
    firsts, lasts = merge_ranges(starts // BLOCK, (ends - np.uint64(1)) // BLOCK + np.uint64(1), 0)
    return firsts * BLOCK, (lasts - firsts) * BLOCK


def take_blocks(array: npt.NDArray[_T], starts: U64, lengths: U64) -> npt.NDArray[_T]:
    """Return the elements of ranges of whole blocks, one after the other."""
    return array.reshape(-1, int(BLOCK))[as_index(spread(starts // BLOCK, lengths // BLOCK))].reshape(-1)


def places_in(starts: U64, lengths: U64, frames: U64) -> npt.NDArray[np.int64]:
    """Return where in the elements of sorted ranges, one after the other, those of some frames in them are."""
    row = np.searchsorted(starts, frames, side="right") - 1
    return as_index((np.cumsum(lengths) - lengths - starts)[row] + frames)
