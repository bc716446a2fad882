"""Sets of frames, as ascending arrays of distinct numbers.

numpy's own set functions import numpy.ma when they are first called, which costs more than the capture of a small process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64, Bools


def distinct(*parts: U64) -> U64:
    """Return the set of all numbers of some arrays, which may be in any order."""
    numbers = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.uint64)
    new = np.ones(len(numbers), np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    return numbers[new]


def is_in(numbers: U64, members: U64) -> Bools:
    """Tell which of some numbers, in any order, belong to a set."""
    if not len(members):
        return np.zeros(len(numbers), np.bool_)
    found: Bools = members[np.minimum(np.searchsorted(members, numbers), len(members) - 1)] == numbers
    return found
