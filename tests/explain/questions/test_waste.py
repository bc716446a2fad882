"""Waste: what smaller folios would free, page by page."""

from __future__ import annotations

from explain.given import GIVEN, figures
from mapcount.explain.questions import waste

MAPPED = set(range(512)) - set(range(8, 64)) - set(range(100, 150))


def cut(pages):
    """Return how many pieces of so many pages somebody maps, and the bytes in them that nobody maps."""
    pieces = {page // pages for page in MAPPED}
    return len(pieces), (len(pieces) * pages - len(MAPPED)) * 4096


def test_a_folio_with_two_holes_by_brute_force():
    rows = figures(waste.evidence(GIVEN), "A folio of 512 pages")
    whole = cut(512)[1]
    sizes = {"2M": 512, "1M": 256, "512K": 128, "256K": 64, "128K": 32, "64K": 16, "32K": 8, "16K": 4, "8K": 2, "4K": 1}
    expected, last = [], None
    for size, pages in sizes.items():
        folios, wasted = cut(pages)
        if wasted != last:
            expected.append([size, folios, wasted, whole - wasted])
        last = wasted
    assert rows == expected
    assert rows[-1][2] == 0 and len(rows) > 2


def test_the_machine_that_was_given():
    parts = list(waste.evidence(GIVEN))
    # Of each of 11 folios of 16 pages the last three are unmapped: a piece of 2 pages is free, one page of another is not.
    rows = {row[0]: row[2:] for row in figures(parts, "The same mappings")}
    assert rows["2M"] == [11 * 3 * 4096, 0]
    assert rows["8K"] == [11 * 1 * 4096, 11 * 2 * 4096]
    assert rows["4K"] == [0, 11 * 3 * 4096]
    assert any("A machine of tests: 132 KiB wasted" in one.words for one in parts if hasattr(one, "words"))
