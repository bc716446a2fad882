"""Words wrap at their width, lie side by side, and every access is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind
from mapcount.schemes.looked import Looked
from mapcount.schemes.memory import Memory, Touch, wrap
from mapcount.schemes.ops import Access
from mapcount.schemes.words import folio_flag, folio_word, page_word

COUNT = page_word("count", bias=-1)
TOTAL = folio_word("total", width_bits=16)
FLAG = folio_flag("flag", "flags")


def memory(**how):
    return Memory((COUNT.at(48), TOTAL.at(16, page=1), FLAG.at(0, page=1, bit=3)), [2, 0, 1], [Kind.ANON] * 3, **how)


def test_page_words_are_one_array_and_folio_words_another():
    m = memory()
    assert m.base == [0, 4, 5]
    assert (m.words["count"], m.words["total"], m.words["flag"]) == ([-1] * 7, [0] * 3, [0] * 3)


@given(st.integers(-(1 << 70), 1 << 70), st.sampled_from([8, 16, 32, 64]))
def test_integers_wrap_as_in_two_s_complement(value, width):
    wrapped = wrap(value, width)
    assert wrapped == int.from_bytes((value % (1 << width)).to_bytes(width // 8, "little"), "little", signed=True)


def test_a_flag_is_0_or_1():
    assert [wrap(value, 1) for value in (0, 1, 2, 3, -1)] == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(("by", "expected"), [(1, 1 - (1 << 15)), (0, -(1 << 15))])
def test_a_change_wraps(by, expected):
    m = memory()
    m.store(TOTAL, 1, -(1 << 15))
    assert m.change(TOTAL, 1, by) == expected
    m.store(TOTAL, 1, (1 << 15) - 1)
    assert m.change(TOTAL, 1, 1) == -(1 << 15)


def test_accesses_are_told_only_when_asked_for():
    m = memory(record=True)
    m.change(COUNT, 5, 1)
    m.store(TOTAL, 0, 7)
    m.load(TOTAL, 0)
    assert m.exchange(FLAG, 2, 1) == 0
    assert m.touched == [
        Touch(Access.LOCKED, "count", 5),
        Touch(Access.STORE, "total", 0),
        Touch(Access.LOAD, "total", 0),
        Touch(Access.LOCKED, "flag", 2),
    ]
    silent = memory()
    silent.change(COUNT, 5, 1)
    assert silent.touched is None
    assert silent.state()["count"] == m.state()["count"]


def test_state_has_words_statistics_and_what_was_told():
    m, other = memory(), memory()
    assert m.state() == other.state()
    m.stats[2][1] = 512
    assert m.state() != other.state()
    m.stats[2][1] = 0
    m.deferred[0] = 1
    assert m.state() != other.state()


def test_a_copy_goes_its_own_way():
    m = memory(record=True)
    m.change(COUNT, 5, 1)
    m.look(16)
    other = m.copy()
    assert other.state() == m.state()
    assert (other.touched, other.lookups, other.entries_read) == ([], 0, 0)
    before = m.state()
    other.change(COUNT, 5, 1)
    other.store(TOTAL, 1, 7)
    other.stats[2][1] = other.deferred[0] = other.partially_mapped[0] = 1
    other.pinned[0] = other.swapcache[0] = other.kind[0] = 1
    other.looked[0] = Looked(vmas=3)
    assert m.state() == before
    assert (m.pinned[0], m.swapcache[0], m.kind[0], m.vmas(0)) == (0, 0, Kind.ANON, 0)
    assert len(m.touched) == 1 and m.lookups == 1
    assert memory().copy().touched is None
