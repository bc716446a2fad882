"""Shrinking: what is left is minimal where that can be worked out by hand, sense is kept, and time is limited."""

from __future__ import annotations

import pytest

from agreement import page_machine
from agreement.page_machine import PageMachine
from mapcount.agreement.pair import Pair
from mapcount.agreement.shrink import possible, shrink
from mapcount.scenarios.parser import parse
from mapcount.scenarios.text import step_text


def steps(text):
    return parse(text, name="s").steps


def shrunk(text, variant, **options):
    pair = Pair(PageMachine(), variant())
    compared = pair.compare(parse(text, name="s"))
    assert compared.differences
    return [step_text(step) for step in shrink(compared, pair, **options).scenario.steps]


NOISE = "p: mmap b 1M\np: write b[3]\np: fork d\nd: read b[3]\nd: exit\n"


def test_steps_are_left_out_and_ranges_cut_to_the_page():
    text = f"{NOISE}p: mmap a 2M\np: write a[0:300]\np: dontneed a[7:211]\np: read b[4]\n"
    assert shrunk(text, page_machine.ForgetsOnePage) == [
        "p: mmap a[210] 4k",
        "p: write a[210]",
        "p: dontneed a[209:211]",
    ]


def test_what_the_difference_needs_stays():
    text = f"{NOISE}p: mmap a 64k huge\np: write a[3]\np: fork c\nc: fork e\np: read a[1]\n"
    assert shrunk(text, page_machine.CountsThreeAsTwo) == [
        "p: mmap a 64k huge",
        "p: write a[3]",
        "p: fork c",
        "c: fork e",
    ]


def test_a_file_moves_with_its_mapping():
    text = "p: memfd f 2M\np: mmap a 2M shared f[0]\np: write a[5]\np: munmap a[0:64]\np: mmap c 4k\n"
    found = shrunk(text, page_machine.ForgetsFiles)
    assert found == ["p: memfd f 2M", "p: mmap a[5] 4k shared f[5]", "p: write a[5]", "p: munmap a[5]"]


def test_the_best_so_far_is_returned_when_the_time_is_up():
    text = f"{NOISE}p: mmap a 2M\np: write a[0:300]\np: dontneed a[7:211]\n"
    assert shrunk(text, page_machine.ForgetsOnePage, time_limit_s=0) == [step_text(step) for step in steps(text)]


def test_a_difference_of_another_field_will_not_do():
    class Both(page_machine.WrongResult, page_machine.ForgetsOnePage):
        pass

    text = "p: mmap a 64k\np: write a[0:9]\np: dontneed a[0:5]\np: mprotect b[0] ro\n"
    assert "p: mprotect b[0] ro" not in shrunk(text, Both)


@pytest.mark.parametrize(
    ("left_out", "kept"),
    [
        (0, ["p: fork c", "c: exit"]),
        (2, ["p: memfd f 4k", "p: mmap a 4k shared f[0]"]),
        (None, ["p: memfd f 4k", "p: mmap a 4k shared f[0]", "p: fork c", "c: read a[0]", "c: exit"]),
    ],
)
def test_what_makes_no_sense_any_more_goes(left_out, kept):
    whole = steps("p: memfd f 4k\np: mmap a 4k shared f[0]\np: fork c\nc: read a[0]\nexpect result 1\nc: exit\n")
    some = [step for at, step in enumerate(whole) if at != left_out and not (left_out == 0 and at == 3)]
    assert [step_text(step) for step in possible(some)] == kept
