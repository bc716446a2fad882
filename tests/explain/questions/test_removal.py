"""Without counts per page: what falls, what dies, what stays."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import removal


def test_nr_pages_mapped_falls_and_with_it_what_it_was_for():
    parts = list(removal.evidence(no_machine()))
    rows = {row[0]: row[2:] for row in figures(parts, "becomes of each")}

    assert "_nr_pages_mapped falls with it" in parts[0].words
    assert rows["folio_mapcount"] == rows["mapped_shared"] == ["stays", 1.0]
    assert rows["partially_mapped"] == rows["deferred split queue"] == ["dies", 0.0]
    for name in ("page_mapcount", "NR_ANON_MAPPED", "NR_FILE_MAPPED"):
        verdict, same = rows[name]
        assert verdict == "estimate" and 0 < same < 1
