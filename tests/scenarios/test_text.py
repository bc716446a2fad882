"""Scenarios as text: what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mapcount.scenarios.parser import parse
from mapcount.scenarios.text import size_text, step_text, text
from mapcount.scenarios.walks import PROFILES, walk_scenario
from scenarios.strategies import SCENARIOS


@settings(max_examples=50)  # each is a whole scenario
@given(SCENARIOS)
def test_what_is_written_is_read_back(scenario):
    written = text(scenario)
    assert parse(written, name=scenario.name) == scenario
    assert text(parse(written)) == written


@pytest.mark.parametrize("profile", PROFILES)
def test_walks_are_read_back(profile):
    scenario = walk_scenario(profile, 5, 211)
    assert parse(text(scenario), name=scenario.name) == scenario


@pytest.mark.parametrize(
    ("line", "canonical"),
    [
        ("p:touch a", "p: write a[0:512]"),
        ("p: read a[511]  # the last", "p: read a[511]"),
        ("p: mmap b 64K nohuge private", "p: mmap b 64k nohuge"),
        ("p: mmap b[3] 1024k shared huge f[7]", "p: mmap b[3] 1M huge shared f[7:263]"),
        ("p: mremap a[0:16] b", "p: mremap a[0:16] b[0]"),
        ("expect a[7] mapcount 1*3 1*2 2", "expect a[7] mapcount 1*5 2*1"),
        ("expect p: a not one_mm", "expect p: a[0] not one_mm"),
        ("expect a one_mm no", "expect a[0] not one_mm"),
        ("expect a _mm_id p -", "expect a[0] _mm_id p -"),
        ("expect result -14", "expect result -14"),
    ],
)
def test_canonical_form(line, canonical):
    scenario = parse(f"p: memfd f 2M\np: mmap a 2M\n{line}")
    assert step_text(scenario.steps[-1]) == canonical


def test_sizes():
    assert [size_text(pages) for pages in (1, 16, 37, 256, 512, 1 << 18)] == ["4k", "64k", "148k", "1M", "2M", "1G"]
