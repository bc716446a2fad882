"""Slower: LOCKed changes of each design, by formula."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import slower

PAGES = 512
# Of each page `_mapcount`, and fork also clears its flag; of each last page, or each call, `_nr_pages_mapped`; a counter of all
# mappings (with 6.15: the lock around it) each page or each call. The child shares the page that is copied: no last page.
EXPECTED = {
    "nr-pages-mapped": [2 * PAGES, 2 * PAGES, 2 * PAGES, 1],
    "total-mapcount": [3 * PAGES, 3 * PAGES, 3 * PAGES, 2],
    "large-mapcount": [3 * PAGES, PAGES + 2, 2 * PAGES + 1, 2],
    "mm-id": [3 * PAGES, PAGES + 2, 2 * PAGES + 1, 2],
    "no-page-mapcount": [PAGES, 1, PAGES + 1, 1],
}


def test_locked_changes_by_formula():
    rows = {row[0]: row[1:] for row in figures(slower.evidence(no_machine()), "LOCKed")}
    assert rows == EXPECTED
