"""Conditions on words, as text: what fulfils them, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.check.reach import parse_reach
from mapcount.errors import UsageError

KNOWN = ("_mapcount", "_nr_pages_mapped", "_mm_id[0]")


@pytest.mark.parametrize(
    ("text", "values", "met"),
    [
        ("_mapcount>=1", (0, 1), True),
        ("_mapcount>=1", (0, -1), False),
        ("_mapcount == -1", (-1, 5), True),
        ("_mapcount!=0", (0, 0), False),
        ("_nr_pages_mapped>=0x1000000", (0x1000000,), True),
        ("_nr_pages_mapped>0x1000000", (0x1000000,), False),
        ("_mm_id[0]<=-1", (0,), False),
        ("_mm_id[0]<1", (0,), True),
    ],
)
def test_conditions(text, values, met):
    reach = parse_reach(text, KNOWN)
    assert reach({reach.word: values}) is met


@given(st.sampled_from(KNOWN), st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]), st.integers(-(2**40), 2**40))
def test_a_text_comes_back(word, than, value):
    reach = parse_reach(f" {word} {than} {value} ", KNOWN)
    assert str(reach) == f"{word}{than}{value}"
    assert parse_reach(str(reach), KNOWN) == reach


@pytest.mark.parametrize("text", ["", "_mapcount", "_mapcount=1", "_mapcount>=", "_mapcount>=x", "1<_mapcount", "_x>1"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError):
        parse_reach(text, KNOWN)
