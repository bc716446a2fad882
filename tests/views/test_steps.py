"""Steps against lists of pages."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.views.steps import Steps, count_ranges


@st.composite
def axes(draw):
    """Give the sizes of folios, a value of each page, and ranges that lie in one folio each."""
    sizes = draw(st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=7))
    values = draw(st.lists(st.integers(-2, 3), min_size=sum(sizes), max_size=sum(sizes)))
    base = np.concatenate(([0], np.cumsum(sizes)))
    ranges = []
    for _ in range(draw(st.integers(0, 9))):
        folio = draw(st.integers(0, len(sizes) - 1))
        first = draw(st.integers(0, sizes[folio] - 1))
        ranges.append((int(base[folio]) + first, int(base[folio]) + draw(st.integers(first + 1, sizes[folio]))))
    return base, values, ranges


@given(axes())
def test_ranges(axis):
    _, values, ranges = axis
    steps = Steps.of_pages(np.array(values, np.int64))
    begin, end = np.array([r[0] for r in ranges], np.int64), np.array([r[1] for r in ranges], np.int64)
    assert steps.sums(begin, end).tolist() == [sum(values[a:b]) for a, b in ranges]
    assert steps.largest(begin, end).tolist() == [max(values[a:b]) for a, b in ranges]
    assert steps.at(begin).tolist() == [values[a] for a, _ in ranges]
    pieces = list(zip(*(column.tolist() for column in steps.pieces(begin, end)), strict=True))
    spelled = [[] for _ in ranges]
    for of, first, pages, value in pieces:
        assert first == len(spelled[of])
        spelled[of] += [value] * pages
    assert spelled == [values[a:b] for a, b in ranges]
    assert all(a[0] != b[0] or a[3] != b[3] for a, b in itertools.pairwise(pieces)), "pieces are maximal"


@given(axes())
def test_count_ranges(axis):
    base, values, ranges = axis
    begin, end = np.array([r[0] for r in ranges], np.int64), np.array([r[1] for r in ranges], np.int64)
    steps = count_ranges(base, begin, end)
    pages = np.arange(len(values))
    assert steps.at(pages).tolist() == [sum(a <= page < b for a, b in ranges) for page in pages]
