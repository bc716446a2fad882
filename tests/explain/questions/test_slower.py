"""Slower: LOCKed changes of each design, by formula."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import slower

# Of nr PTEs, all counts last ones: _mapcount and _nr_pages_mapped each a page; with the thread's counter a third; since 6.12
# two changes of the folio's counters a call (6.15: the lock in place of one); without counts per page one.
BY_PTES = {
    "nr-pages-mapped": lambda nr: 2 * nr,
    "total-mapcount": lambda nr: 3 * nr,
    "large-mapcount": lambda nr: nr + 2,
    "mm-id": lambda nr: nr + 2,
    "no-page-mapcount": lambda nr: 1,
}


def test_locked_changes_by_formula():
    rows = {row[0]: row[1:] for row in figures(slower.evidence(no_machine()), "LOCKed")}
    assert rows.keys() == BY_PTES.keys()
    for scheme, of in BY_PTES.items():
        assert rows[scheme][:2] == [of(16), of(512)]
    assert [row[2] for row in rows.values()] == [2, 3, 3, 3, 2]
