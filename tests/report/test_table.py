"""Tables: whatever is in them and however narrow they are, no number is cut and no line is too long."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from mapcount.report.table import Column, tables
from mapcount.report.terminal import render

NUMBERS = st.integers(-(10**9), 10**9).map("{:,}".format)
NAMES = st.text(max_size=60)


def shown(columns, rows, width, totals=None):
    return render(tables(columns, rows, width=width, totals=totals), width=width, colour=False)


def test_a_table_that_fits():
    columns = [Column("name", text=True), Column("pages"), Column("size")]
    text = shown(
        columns, [["a", "7", "28 KiB"], ["bcdef", "1,048,573", "4.0 GiB"]], 80, ["total", "1,048,580", "4.0 GiB"]
    )

    assert text == (
        "name       pages     size\n"
        "─────────────────────────\n"
        "a              7   28 KiB\n"
        "bcdef  1,048,573  4.0 GiB\n"
        "─────────────────────────\n"
        "total  1,048,580  4.0 GiB\n"
    )


def test_names_give_way_in_the_middle():
    columns = [Column("name", text=True), Column("pages")]
    text = shown(columns, [["/system.slice/postgresql.service", "1,048,573"]], 27)

    assert text == ("name                  pages\n───────────────────────────\n/system.….service 1,048,573\n")


def test_what_is_still_too_wide_goes_on_below_with_the_first_column_again():
    columns = [Column("k", text=True), Column("one"), Column("two")]

    assert shown(columns, [["a", "1,000,003", "1,000,033"]], 15) == (
        "k        one\n────────────\na  1,000,003\nk        two\n────────────\na  1,000,033\n"
    )


def test_escape_sequences_in_names_are_written_out():
    text = shown([Column("name", text=True), Column("n")], [["\x1b[2Jevil\n", "7"]], 80)

    assert "\x1b" not in text
    assert r"\x1b[2Jevil\n  7" in text


def test_without_rows_there_is_the_heading():
    assert shown([Column("name", text=True), Column("n")], [], 80) == "name  n\n───────\n"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_number_is_cut_and_no_line_too_long(data):
    kinds = [True, *data.draw(st.lists(st.booleans(), min_size=1, max_size=9))]
    columns = [Column(f"c{i}", text=text) for i, text in enumerate(kinds)]
    rows = data.draw(st.lists(st.tuples(*(NAMES if text else NUMBERS for text in kinds)), min_size=1, max_size=5))
    width = data.draw(st.integers(30, 100))

    lines = shown(columns, rows, width).splitlines()

    assert all(cell_len(line) <= width for line in lines)
    # Each number stands in its line among others; numbers in names do not matter, so count whole words.
    words = [word for line in lines for word in re.split(r"\s+", line)]
    for row in rows:
        for text, cell in zip(kinds, row, strict=True):
            assert text or cell in words
