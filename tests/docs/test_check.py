"""docs/explanation/check.md: its matrix and its table of locks are what the checker says."""

from __future__ import annotations

import pytest

from check.defaults import default_verdicts
from docs.pages import ROOT, sections, table
from mapcount.check.cells import Cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.verdicts import judge
from mapcount.report.races import mark_of

SECTIONS = sections(ROOT / "docs" / "explanation" / "check.md")
WORST = ("HARM", "recheck", "TORN", "guess", "bound", "stale", "true", "-")
LOCKS = ((), ("ptl",), ("folio",), ("folio", "ptl"))


def test_the_matrix():
    """To write it anew: the rows that this compares are those to paste."""
    marks = {}
    for one in default_verdicts():
        if one.cell.context in CONTEXTS:
            marks.setdefault(one.cell.scheme, {}).setdefault(one.cell.context, []).append(mark_of(one))
    callers = [context.id for context in CONTEXTS.values() if context.by_default]
    rows = [[scheme, *(min(of[name], key=WORST.index) for name in callers)] for scheme, of in marks.items()]
    text = SECTIONS["The default set"]
    assert f"| scheme | {' | '.join(callers)} |" in text
    assert table(text) == rows, "\n".join(f"| {' | '.join(row)} |" for row in rows)


@pytest.mark.parametrize(
    ("row", "reader", "schemes", "writers"),
    [
        (0, "mapcount", ["nr-pages-mapped"], "zap-fault"),
        (1, "mapcount", ["large-mapcount", "mm-id"], "zap-fault"),
        (2, "compaction", ["nr-pages-mapped", "large-mapcount", "mm-id"], "fork-zap"),
        (3, "reclaim", ["nr-pages-mapped", "large-mapcount", "mm-id"], "pmd-and-ptes"),
    ],
)
def test_what_locks_cure(row, reader, schemes, writers):
    told = table(SECTIONS["Locks"])[row][1:]
    for scheme in schemes:
        for words, more in zip(told, LOCKS, strict=True):
            verdict = judge(Cell(scheme, reader, writers, 2, more=frozenset(more)))
            broken = {one.property for one in verdict.violations}
            if reader == "compaction":
                assert ("pin-never-hidden" in broken) is ("not hidden" not in words), (scheme, more)
                assert "never-over" in broken
            else:
                assert mark_of(verdict) == words, (scheme, more)
