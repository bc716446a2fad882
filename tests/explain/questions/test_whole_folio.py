"""Whole folios in entire_mapcount: one change for all, a look and a change a page for a part."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import whole_folio


def test_costs_by_hand():
    rows = {(row[0], row[1]): row[2:] for row in figures(whole_folio.evidence(no_machine()), "64 KiB")}

    assert rows["complete-mappings", "16 of 16"] == [1, 1, 0, 0]
    # 7 and 8 pages stay: a change of each, one of _nr_pages_mapped a stretch, one of _entire_mapcount; 16 PTEs are read.
    assert rows["complete-mappings", "1 of 16"] == [7 + 1 + 8 + 1 + 1, 15, 1, 16]
    # Each page's count and _large_mapcount; no page loses its last mapping, the parent has them all.
    assert rows["large-mapcount", "16 of 16"] == [16 + 1, 16, 0, 0]
    assert rows["large-mapcount", "1 of 16"] == [1 + 1, 2, 0, 0]
    assert rows["no-page-mapcount", "16 of 16"] == rows["no-page-mapcount", "1 of 16"] == [1, 1, 0, 0]
