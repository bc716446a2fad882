"""Sorting of integers, 16 bits at a time: numpy sorts those by radix, five times as fast as 64 bits by comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools

_DIGIT_BITS = 16


def order_of(keys: npt.NDArray[np.integer[Any]]) -> I64:
    """Return the stable order that sorts keys, which must not be negative."""
    order = np.arange(len(keys))
    for shift in range(0, int(keys.max(initial=0)).bit_length(), _DIGIT_BITS):
        digit = (keys >> shift).astype(np.uint16)
        order = order[np.argsort(digit[order], kind="stable")]
    return order


def starts_of(sorted_keys: npt.NDArray[np.integer[Any]]) -> Bools:
    """Tell which of the sorted keys is the first of its value."""
    starts = np.ones(len(sorted_keys), np.bool_)
    starts[1:] = sorted_keys[1:] != sorted_keys[:-1]
    return starts
