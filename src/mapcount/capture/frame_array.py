"""Arrays with one element for each page frame of the machine: zeros, of which only what is touched takes memory."""

from __future__ import annotations

import contextlib
import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def frame_array(length: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """
    Return an array of zeros in private anonymous memory, in huge pages where the kernel has some at hand.

    Frames that a process maps lie all over the machine: at 4 KiB a fault, filling such arrays took longer than reading
    what they hold. A 2 MiB page of four-byte elements covers 2 GiB of frames, so the arrays stay small all the same.
    """
    size_bytes = max(1, length * np.dtype(dtype).itemsize)
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # a Python or a kernel without transparent huge pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype, length)
