"""Stretches of consecutive elements: taken out of an array into one piece, and put back.

What processes map comes in stretches of consecutive frames. A long stretch is copied as a whole, which costs less than
gathering its elements one by one; where stretches are short their number is what costs, and they are gathered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from mapcount.capture.pagemap import as_index, spread

if TYPE_CHECKING:
    from mapcount.mapping.schema import U64, Bools

_T = TypeVar("_T", bound=np.generic)

SHORT = 24
"""Mean length below which gathering element by element is faster."""


def take_stretches(array: npt.NDArray[_T], starts: U64, lengths: U64) -> npt.NDArray[_T]:
    """Return the elements of `[start, start + length)` of each stretch, one after the other. No length may be 0."""
    total = int(lengths.sum())
    if total < SHORT * len(starts):
        return array[as_index(spread(starts, lengths))]
    taken = np.empty(total, array.dtype)
    _copy(taken, np.cumsum(lengths) - lengths, array, starts, lengths)
    return taken


def put_stretches(starts: U64, lengths: U64, at: U64, *pairs: tuple[npt.NDArray[Any], npt.NDArray[Any]]) -> None:
    """
    Write to `[start, start + length)` of each stretch what begins at `at`. No length may be 0.

    `pairs` are the array that is written to and the one that is read from, of equal type.
    """
    if int(lengths.sum()) < SHORT * len(starts):
        to, of = as_index(spread(starts, lengths)), as_index(spread(at, lengths))
        for array, values in pairs:
            array[to] = values[of]
        return
    for array, values in pairs:
        _copy(array, starts, values, at, lengths)


def _copy(target: npt.NDArray[_T], to: U64, source: npt.NDArray[_T], begin: U64, lengths: U64) -> None:
    into, out_of = target.data, source.data  # memoryviews are sliced faster than arrays
    for here, there, length in zip(to.tolist(), begin.tolist(), lengths.tolist(), strict=True):
        into[here : here + length] = out_of[there : there + length]


def stretches_where(chosen: Bools, starts: U64, lengths: U64) -> tuple[U64, U64]:
    """Return starts and lengths of the maximal chosen parts of stretches; `chosen` has an element for each of theirs."""
    if not len(starts) or chosen.all():
        return starts, lengths
    at = as_index(np.cumsum(lengths) - lengths)
    begins = chosen.copy()
    begins[1:] &= ~chosen[:-1]
    begins[at] = chosen[at]
    first = np.flatnonzero(begins)
    goes_on = chosen[1:] & chosen[:-1]
    goes_on[at[1:] - 1] = False
    ends = np.append(chosen[:-1] & ~goes_on, chosen[-1:])
    row = np.searchsorted(at, first, side="right") - 1
    return starts[row] + (first - at[row]).view(np.uint64), (np.flatnonzero(ends) + 1 - first).astype(np.uint64)
