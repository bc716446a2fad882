"""Batching: what a call saves depends on which counters are the folio's, by formula."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import batching

CHANGES = {
    "nr-pages-mapped": lambda calls: 2 * 512,
    "total-mapcount": lambda calls: 3 * 512,
    "large-mapcount:unbatched": lambda calls: 2 * 512 + calls,
    "large-mapcount": lambda calls: 512 + 2 * calls,
    "no-page-mapcount": lambda calls: calls,
}


def test_changes_by_formula():
    rows = {row[0]: row[1:] for row in figures(batching.evidence(no_machine()), "LOCKed")}
    assert rows == {scheme: [of(calls) for calls in (512, 32, 1)] for scheme, of in CHANGES.items()}
