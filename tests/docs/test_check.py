"""docs/explanation/check.md: its matrix and its table of locks are what the checker says."""

from __future__ import annotations

import pytest

from check.defaults import BOTH
from docs.pages import ROOT, sections, table
from mapcount.check.cells import Cell, parse_cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.verdicts import judge
from mapcount.report.races import mark_of

SECTIONS = sections(ROOT / "docs" / "explanation" / "check.md")
WORST = ("HARM", "recheck", "TORN", "guess", "bound", "fine", "stale", "true", "-")
LOCKS = ((), ("ptl",), ("folio",), ("folio", "ptl"))


def rows():
    """Return the matrix by the stored verdicts of every model at both sizes, which tests/check holds to the checker."""
    callers = [context.id for context in CONTEXTS.values() if context.by_default]
    marks = {}
    for line in BOTH.read_text().splitlines():
        text, mark, *_ = line.split()
        cell = parse_cell(text)
        marks.setdefault(cell.scheme, {}).setdefault(cell.pages, {}).setdefault(cell.context, []).append(mark)
    found = []
    for scheme, sizes in marks.items():
        told = {}
        for pages, of in sizes.items():
            row = tuple(min(of.get(name, ["-"]), key=WORST.index) for name in callers)
            told.setdefault(row, []).append(str(pages))
        found += [[scheme, ", ".join(pages), *row] for row, pages in told.items()]
    return found


def test_the_matrix():
    """To write it anew: the rows that this compares are those to paste."""
    callers = [context.id for context in CONTEXTS.values() if context.by_default]
    text = SECTIONS["The matrix"]
    assert f"| scheme | pages | {' | '.join(callers)} |" in text
    assert table(text) == rows(), "\n".join(f"| {' | '.join(row)} |" for row in rows())


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
                assert mark_of(verdict) == words.partition(":")[0]
            else:
                assert mark_of(verdict) == words, (scheme, more)
