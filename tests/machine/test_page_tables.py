"""Runs of page-table entries and cuts by page table, against one entry after the other."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mapcount.machine.page_tables import NONE, SWAP, ZERO, Table, spans

entries = st.lists(
    st.tuples(st.integers(0, 511), st.sampled_from([NONE, ZERO, SWAP, 0, 1, 7]), st.integers(0, 5), st.integers(1, 40)),
    max_size=23,
)
ranges = st.tuples(st.integers(0, 512), st.integers(0, 512)).map(sorted)


def filled(drawn):
    """A table with stretches of entries, and what it has at each place."""
    table, plain = Table(), [(NONE, 0)] * 512
    for at, folio, first, wished in drawn:
        count = min(wished, 512 - at)
        table.set(at, folio, first, count, writable=bool(first % 2))
        plain[at : at + count] = [(folio, first + i) for i in range(count)]
    return table, plain


@given(entries, ranges)
def test_runs_are_the_entries_and_as_long_as_can_be(drawn, within):
    table, plain = filled(drawn)
    at, end = within
    runs = list(table.runs(at, end))
    mapped = [(run.at + i, run.folio, run.first + i) for run in runs for i in range(run.nr_pages)]
    assert mapped == [(place, *plain[place]) for place in range(at, end) if plain[place][0] >= 0]
    for one, following in pairwise(runs):
        goes_on = (one.at + one.nr_pages, one.folio, one.first + one.nr_pages)
        assert goes_on != (following.at, following.folio, following.first)


@given(entries, ranges)
def test_clear_empties_the_range_alone(drawn, within):
    table, plain = filled(drawn)
    at, end = within
    table.clear(at, end)
    assert table.folio.tolist() == [NONE if at <= place < end else plain[place][0] for place in range(512)]
    assert not table.writable[at:end].any()
    assert table.is_empty == all(at <= place < end or plain[place][0] == NONE for place in range(512))


@given(st.integers(0, 1 << 40), st.integers(0, 2111))
def test_spans_cut_at_page_tables(first, count):
    cut = list(spans(first, first + count))
    assert [page for pmd, at, until in cut for page in range(pmd * 512 + at, pmd * 512 + until)] == list(
        range(first, first + count)
    )
    assert len({pmd for pmd, _, _ in cut}) == len(cut)
