"""Bars and ranges of who maps which pages, against a page-by-page count."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Level
from mapcount.report.page_picture import CELLS, bar, picture
from mapcount.scenarios.observation import Mapped

ENTRIES = st.lists(
    st.builds(
        lambda process, page, first, size: Mapped(process, "a", page, "f0", first, min(size, 512 - first), Level.PTE),
        st.sampled_from(["p", "c", "a_long_name_it"]),
        st.integers(0, (1 << 20) - 1),
        st.integers(0, 511),
        st.integers(1, 97),
    ),
    min_size=1,
    max_size=11,
)


def test_bar_by_hand():
    pmd = Mapped("p", "a", 0, "f0", 0, 512, Level.PMD)
    assert bar([pmd], 9) == "=" * 32
    ptes = [Mapped("p", "a", 16, "f0", 16, 17, Level.PTE), Mapped("p", "b", 0, "f0", 500, 12, Level.PTE)]
    assert bar(ptes, 9) == ".#+" + "." * 28 + "+"
    assert bar([pmd, *ptes], 9) == "=++" + "=" * 28 + "+"
    assert bar([Mapped("p", "a", 3, "f0", 1, 2, Level.PTE)], 2) == ".##."
    assert bar([], 0) == "."


@given(ENTRIES)
def test_bar_page_by_page(entries):
    cells = bar(entries, 9)
    assert len(cells) == CELLS
    for at, cell in enumerate(cells):
        mapped = [
            any(one.first <= page < one.first + one.nr_pages for one in entries)
            for page in range(at * 16, at * 16 + 16)
        ]
        assert cell == ("#" if all(mapped) else "+" if any(mapped) else ".")


@given(ENTRIES, st.integers(60, 97))
def test_every_range_is_whole_on_a_line_that_fits(entries, width):
    lines = list(picture(entries, 9, width=width, indent="        "))
    assert max(map(len, lines)) <= width
    found = sorted(tuple(map(int, one)) for line in lines for one in re.findall(r"PTE (\d+):(\d+) at a\[(\d+)\]", line))
    assert found == sorted((one.first, one.first + one.nr_pages, one.page) for one in entries)
    heads = [line.split("|")[0].strip() for line in lines if "|" in line]
    assert heads == sorted({one.process for one in entries}, key=lambda name: (name != "p", name))
