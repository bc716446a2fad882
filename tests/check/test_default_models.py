"""The default set: at most so many models, every scheme and named race in it, and each interesting."""

from __future__ import annotations

import pytest

from check.defaults import default_verdicts
from mapcount.check.cells import AT_REST, Cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.default_models import MOST_MODELS, default_cells, default_pages
from mapcount.check.named import NAMED
from mapcount.check.verdicts import judge
from mapcount.schemes.catalogue import SCHEMES


def test_every_scheme_has_every_caller_and_an_end():
    cells = default_cells()
    callers = {context.id for context in CONTEXTS.values() if context.by_default}
    for scheme in SCHEMES:
        assert {cell.context for cell in cells if cell.scheme == scheme.id} >= callers | {AT_REST}


def test_named_races_of_these_schemes_are_in_it():
    ids = {scheme.id for scheme in SCHEMES}
    assert {race.cell for race in NAMED.values() if race.cell.scheme in ids} <= set(default_cells())


@pytest.mark.parametrize(("scheme", "pages"), [("mm-id", 2), ("total-mapcount", 4)])
def test_pages(scheme, pages):
    assert default_pages(scheme) == pages
    assert {cell.pages for cell in default_cells((scheme,), pages=8)} >= {8}


def test_its_models_reach_what_makes_them_interesting():
    """All end, none waits for ever; readers see more than one value, and for most callers the truth changes meanwhile."""
    verdicts = [one for one in default_verdicts() if not one.cannot]
    assert len(verdicts) <= MOST_MODELS
    for one in verdicts:
        assert one.sometimes["runs-to-the-end"], one.cell
        assert not one.sometimes["waits-for-ever"], one.cell
    for name in ("mapcount", "kpagecount", "smaps", "reclaim", "split", "compaction"):
        of_caller = [one for one in verdicts if one.cell.context == name]
        assert any(one.sometimes["value-varies"] for one in of_caller), name


@pytest.mark.parametrize("scheme", ["nr-pages-mapped", "large-mapcount", "mm-id"])
@pytest.mark.parametrize("caller", ["cow-reuse", "cow-by-mapcount", "madvise"])
def test_hand_over_always_has_others_and_leave_has_none_at_last(scheme, caller):
    """Whether others are claimed falsely can be asked only where there are none at some time: `--writers leave`."""
    shared = judge(Cell(scheme, caller, "hand-over", 2))
    alone = judge(Cell(scheme, caller, "leave", 2))
    assert not shared.sometimes["unmapped-meanwhile"]
    assert alone.sometimes["unmapped-meanwhile"]
    assert alone.complete
    assert "no-false-exclusive" not in {one.property for one in alone.violations if one.is_race}
