"""Numbers as readers see them: one form per column, nothing lost that matters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount import units

STEPS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (1_023, "1023 B"),
        (4_096, "4 KiB"),
        (776 << 10, "776 KiB"),
        (1_000 << 10, "1.0 MiB"),
        (6 << 20, "6.0 MiB"),
        (11 * (1 << 20) + (1 << 18), "11.2 MiB"),
        ((100 << 20) - 1, "100 MiB"),
        (353 << 20, "353 MiB"),
        ((1 << 30) - 1, "1.0 GiB"),
        (24 << 30, "24.0 GiB"),
        (3_001 << 40, "3001 TiB"),
        (-(6 << 20), "-6.0 MiB"),
    ],
)
def test_sizes(size, text):
    assert units.format_bytes(size) == text


@given(st.integers(1_024, 1 << 50))
def test_a_size_has_one_form_and_is_right(size):
    number, unit = units.format_bytes(size).split()
    decimals = len(number.partition(".")[2])
    assert re.fullmatch(r"\d{1,3}" if unit == "KiB" else r"\d{1,2}\.\d|\d{3,4}", number)
    assert abs(float(number) * STEPS[unit] - size) <= 0.5 * 10**-decimals * STEPS[unit]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0008, "0.8 ms"),
        (0.34, "340 ms"),
        (12.5, "12.5 s"),
        (200, "3 min 20 s"),
        (7_199, "119 min 59 s"),
        (93_900, "26 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert units.format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("kernel", "text"), [("16kB", "16K"), ("64kB", "64K"), ("2048kB", "2M"), ("1048576kB", "1G"), ("", ""), ("x", "x")]
)
def test_sizes_of_the_kernel(kernel, text):
    assert units.format_kernel_size(kernel) == text


@given(st.integers(0, 20))
def test_folio_sizes_there_and_back(order):
    assert units.parse_folio_size(units.format_folio_size(order)) == order
