"""struct page: 64 bytes of 4096, and which ways of counting leave nothing in it."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import struct_page


def test_the_share_of_memory():
    rows = figures(struct_page.evidence(no_machine()), "What struct pages take")
    assert rows == [[size, size * 2**18, size / 4096] for size in (64, 32, 16, 8)]


def test_a_count_per_page_stands_in_the_way():
    rows = {row[0]: row[1:] for row in figures(struct_page.evidence(no_machine()), "in the struct page of every page")}
    for scheme, (per_page, total, fits) in rows.items():
        counts = scheme in {"nr-pages-mapped", "large-mapcount", "mm-id"}
        assert per_page == (4 if counts else 0)
        assert fits == ("no" if counts else "yes")
        assert (total > 512 * 4) == counts
