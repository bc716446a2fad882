"""A total mapcount: one read, never torn; still stale, still no word on whose mappings they are."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.check.harm import Class
from mapcount.explain.questions import total


def test_what_it_fixes_and_what_not():
    parts = list(total.evidence(no_machine()))
    kinds = {(one.cell.scheme, one.cell.context): one.kind for one in parts[0].verdicts}

    assert kinds["nr-pages-mapped", "mapcount"] is Class.TORN
    for scheme in ("total-mapcount", "large-mapcount"):
        assert kinds[scheme, "mapcount"] is Class.STALE
        assert kinds[scheme, "compaction"] is Class.RECHECKED
        assert kinds[scheme, "madvise"] is Class.ESTIMATE


def test_one_read_instead_of_one_a_page():
    rows = figures(total.evidence(no_machine()), "One read")
    # By hand: entire_mapcount, the number of pages, and 512 pages; the first page's struct page has no counter of the folio.
    assert rows == [["nr-pages-mapped", 514, 512], ["total-mapcount", 1, 1], ["large-mapcount", 1, 1]]
