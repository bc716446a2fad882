"""Places: the thread's patch needs the third struct page, and what came needs the second alone."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import places


def test_who_needs_a_third_struct_page():
    parts = list(places.evidence(no_machine()))
    rows = figures(parts, "Counters of a folio")

    assert [row[:4] for row in rows if row[2] > 1] == [["total-mapcount", "_nr_pages_mapped", 2, 32]]
    assert ["total-mapcount", "_total_mapcount", 1, 24, 32] in rows
    assert ["large-mapcount", "_large_mapcount", 1, 16, 32] in rows
    # 16 bytes of owners: two counts and two numbers of address spaces.
    assert sum(row[4] // 8 for row in rows if row[0] == "mm-id" and row[1].startswith("_mm_id")) == 16
    assert [one.words.partition(":")[0] for one in parts[1:]] == ["total-mapcount"]
