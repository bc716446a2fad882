"""Words of frames read from a file, beside the words that were written to it."""

import os
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.frame_words import FrameWords, plan

NR_FRAMES = 211
WORDS = np.arange(NR_FRAMES, dtype=np.uint64) * np.uint64(2**33 + 17)


@pytest.fixture(scope="module")
def words_fd(tmp_path_factory):
    path = tmp_path_factory.mktemp("kpage") / "words"
    path.write_bytes(WORDS.tobytes())
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def word(pfn):
    return int(WORDS[pfn]) if pfn < NR_FRAMES else 0


def u64(values):
    return np.array(list(values), np.uint64)


RANGES = st.lists(st.tuples(st.integers(0, NR_FRAMES + 7), st.integers(1, 19)), max_size=13)


@given(RANGES)
def test_ranges_are_read_one_after_the_other_and_are_zero_beyond_the_end(words_fd, ranges):
    starts, lengths = u64(start for start, _ in ranges), u64(length for _, length in ranges)
    words = FrameWords()
    expected = [word(pfn) for start, length in ranges for pfn in range(start, start + length)]
    assert words.read(words_fd, plan(starts, lengths)).tolist() == expected
    assert (words.reads, words.bytes_read) == (len(ranges), 8 * len(expected))


def test_a_file_that_is_not_there_is_zero_and_costs_no_read():
    words = FrameWords()
    assert words.read(-1, plan(u64([3, 7]), u64([2, 5]))).tolist() == [0] * 7
    assert words.reads == words.bytes_read == 0


@given(st.sets(st.integers(0, NR_FRAMES - 1), max_size=53), st.integers(0, 23))
def test_frames_apart_are_read_by_one_call_for_each_cluster(words_fd, frames, gap):
    pfns = sorted(frames)
    clusters = sum(1 for before, pfn in zip([-1000, *pfns], pfns, strict=False) if pfn - before > gap + 1)
    pread = os.pread
    with mock.patch.object(os, "pread", side_effect=pread) as calls:
        assert FrameWords().read_apart(words_fd, u64(pfns), gap).tolist() == [word(pfn) for pfn in pfns]
    assert calls.call_count == clusters
