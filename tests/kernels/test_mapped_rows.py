"""Rows of an observation and run lengths, against page by page."""

from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mapcount.kernels.mapped_rows import mapped_rows, run_lengths
from mapcount.mapping.schema import Level
from mapcount.scenarios.steps import AREA_BASE, AREA_BYTES, area_address, page_number, place_of

BASE = AREA_BASE // 4096
PAGES = st.dictionaries(st.integers(500, 530), st.tuples(st.integers(0, 40), st.booleans()), max_size=31)


def by_hand(pages):
    """Rows of {page: (frame, by a PMD)}; a folio has 16 frames. A row goes on while page, frame, folio, level and table do."""
    rows = []
    for page in sorted(pages):
        pfn, huge = pages[page]
        head, level = pfn // 16 * 16, Level.PMD if huge else Level.PTE
        if rows:
            _, _, first, folio, at, nr, before = rows[-1]
            goes_on = (first + nr, at + nr, folio, before) == (page, pfn - head, f"f{head}", level)
            if goes_on and page % 512:
                rows[-1] = (*rows[-1][:5], nr + 1, level)
                continue
        rows.append(("p", "a", page, f"f{head}", pfn - head, 1, level))
    return rows


@given(PAGES)
def test_rows_are_those_by_hand(pages):
    page = np.array(sorted(pages), np.int64)
    pfn = np.array([pages[one][0] for one in sorted(pages)], np.int64)
    level = np.array([Level.PMD if pages[one][1] else Level.PTE for one in sorted(pages)], np.uint8)
    for dtype in (np.int64, np.uint64):
        columns = ((page + BASE).astype(dtype), pfn.astype(dtype), (pfn // 16 * 16).astype(dtype))
        rows = mapped_rows("p", *columns, level, {head: f"f{head}" for head in (0, 16, 32)})
        told = [(r.process, r.area, r.page, r.folio, r.first, r.nr_pages, r.level) for r in rows]
        assert told == by_hand(pages)


def test_a_pud_is_one_row():
    """Two of them, one behind the other in memory as well, and a PMD that follows."""
    nr_pages = 2 * (1 << 18) + 512
    at = np.arange(nr_pages)
    level = np.where(at < 2 << 18, Level.PUD, Level.PMD).astype(np.uint8)
    rows = mapped_rows(
        "p", at + BASE, at + (1 << 18), (at >> 18) + 1 << 18, level, {i << 18: f"f{i}" for i in (1, 2, 3)}
    )
    assert [(row.page, row.folio, row.first, row.nr_pages, row.level) for row in rows] == [
        (0, "f1", 0, 1 << 18, Level.PUD),
        (1 << 18, "f2", 0, 1 << 18, Level.PUD),
        (2 << 18, "f3", 0, 512, Level.PMD),
    ]


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=23))
def test_run_lengths(values):
    expected = tuple((value, len(list(same))) for value, same in groupby(values))
    assert run_lengths(np.array(values, np.int64)) == expected


def test_places():
    assert place_of(BASE) == ("a", 0)
    assert place_of(BASE + 2 * AREA_BYTES // 4096 + 13) == ("c", 13)
    assert page_number("c", 13) * 4096 == area_address("c", 13) == AREA_BASE + 2 * AREA_BYTES + 13 * 4096
