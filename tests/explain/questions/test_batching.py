"""Batching: what a call saves depends on which counters are the folio's, by formula."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import batching

CHANGES = {
    "words of nr-pages-mapped": lambda calls: 2 * 512,
    "words of total-mapcount": lambda calls: 3 * 512,
    "words of large-mapcount:unbatched": lambda calls: 2 * 512 + calls,
    "words of large-mapcount": lambda calls: 512 + 2 * calls,
    "words of no-page-mapcount": lambda calls: calls,
    "references": lambda calls: calls,
}


def test_changes_by_formula():
    rows = {row[0]: row[1:] for row in figures(batching.evidence(no_machine()), "LOCKed")}
    assert rows == {what: [of(512), of(1)] for what, of in CHANGES.items()}
