"""Who goes through a range page by page: as the histories of fork (6.9), zap (6.9) and the fault of files (6.6) say."""

from __future__ import annotations

import pytest

from mapcount.check.batches import as_called
from mapcount.check.model import Call


@pytest.mark.parametrize(
    ("scheme", "via", "calls"),
    [
        ("double-map", "zap", 3),
        ("nr-pages-mapped", "zap", 3),
        ("nr-pages-mapped", "fork", 3),
        ("total-mapcount", "zap", 3),
        ("total-mapcount", "fault", 3),
        ("large-mapcount", "zap", 1),
        ("large-mapcount", "fork", 1),
        ("mm-id", "fault", 1),
        ("no-page-mapcount", "zap", 1),
        ("mm-id", "try_to_migrate", 3),
        ("mm-id", "wp_page_copy", 3),
    ],
)
def test_ranges(scheme, via, calls):
    name = {"fork": "dup_ptes", "fault": "map_ptes"}.get(via, "unmap_ptes")
    made = as_called(scheme, [Call(name, 1, 3, 5, via=via)])
    assert len(made) == calls
    assert [i for call in made for i in range(call.first, call.first + call.nr)] == [1, 2, 3]
    assert {call.pieces for call in made} == {calls}


def test_locks_are_held_over_all_pieces():
    """In between nobody who needs the page-table lock comes in, so the truth under it is whole folios alone."""
    from mapcount.check.cells import Cell, model_of
    from mapcount.check.explore import explore

    held = explore(model_of(Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2, more=frozenset({"ptl"}))))
    free = explore(model_of(Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2)))
    assert {1} & {true for answer in free.observed for true in answer.attainable}
    # Two PTEs, or none, and the PMD or not; the moment between two PTEs of one zap is hidden by the lock of mm 1.
    assert {answer.attainable for answer in held.observed} <= {(0,), (2,), (3,), (1,), (0, 1), (2, 3)}
    assert not any(set(answer.attainable) == {1, 2} for answer in held.observed)
