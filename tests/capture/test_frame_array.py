"""Arrays over frames, copied block by block, beside lists of their elements."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.frame_array import BLOCK, frame_array, places_in, take_blocks, whole_blocks

NR_FRAMES = 1009
CUTS = st.lists(st.integers(0, NR_FRAMES), unique=True, max_size=16).map(sorted)


def u64(values):
    return np.array(list(values), np.uint64)


def ranges_of(cuts):
    """Sorted, disjoint ranges between every other two cuts."""
    return list(zip(cuts[::2], cuts[1::2], strict=False))


def numbered():
    array = frame_array(NR_FRAMES, np.uint32)
    array[:] = np.arange(len(array)) * 3
    return array


def test_an_array_holds_whole_blocks_of_zeros():
    array = frame_array(NR_FRAMES, np.uint16)
    assert NR_FRAMES <= len(array) < NR_FRAMES + int(BLOCK)
    assert len(array) % int(BLOCK) == 0
    assert not array.any()


@given(CUTS)
def test_blocks_hold_the_ranges_and_no_more(cuts):
    ranges, block = ranges_of(cuts), int(BLOCK)
    starts, lengths = whole_blocks(u64(begin for begin, _ in ranges), u64(end for _, end in ranges))
    wanted = {frame // block for begin, end in ranges for frame in range(begin, end)}
    held = [
        frame
        for begin, size in zip(starts.tolist(), lengths.tolist(), strict=True)
        for frame in range(begin, begin + size)
    ]
    assert held == [frame for number in sorted(wanted) for frame in range(number * block, (number + 1) * block)]
    array = numbered()
    assert take_blocks(array, starts, lengths).tolist() == [3 * frame for frame in held]
    inside = [frame for begin, end in ranges for frame in range(begin, end)]
    assert [held[place] for place in places_in(starts, lengths, u64(inside)).tolist()] == inside
