"""The default set: at most so many models, every scheme and named race in it, and each interesting."""

from __future__ import annotations

import pytest

from check.defaults import BOTH, default_verdicts, size_lines
from mapcount.check.cells import AT_REST, Cell, parse_cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.default_models import BOTH_SIZES, MOST_MODELS, REST_WRITERS, SIZES, default_cells, sizes_of
from mapcount.check.mixes import MIXES
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


@pytest.mark.parametrize(("scheme", "sizes"), [("mm-id", (2, 4)), ("total-mapcount", (4,))])
def test_whoever_names_a_scheme_gets_every_size_of_everything(scheme, sizes):
    """total-mapcount counts order 2 and larger (tests/schemes/test_total_mapcount.py)."""
    assert sizes_of(scheme) == sizes
    callers = {context.id for context in CONTEXTS.values() if context.by_default} | {AT_REST}
    for pages in sizes:
        assert {cell.context for cell in default_cells((scheme,)) if cell.pages == pages} >= callers
    eight = {cell for cell in default_cells((scheme,), 8) if cell.pages == 8}
    assert {cell.context for cell in eight} >= callers


def test_every_model_is_of_one_of_the_sizes_and_three_write_before_rest():
    cells = default_cells()
    assert {cell.pages for cell in cells} == set(SIZES)
    assert {cell.writers for cell in cells if cell.context == AT_REST} >= set(REST_WRITERS)
    assert all(len(MIXES[writers].calls(4)[1]) == 3 for writers in REST_WRITERS)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_every_model_at_both_sizes_is_what_is_stored(scheme):
    """Those that are left out of the set as well: this is what stands behind leaving them out."""
    stored = [line for line in BOTH.read_text().splitlines() if line.startswith(f"{scheme.id}/")]
    assert size_lines(scheme.id) == stored, "run python -m check.defaults in tests/"


def test_what_is_left_out_violates_what_is_in():
    """By the stored lines: both sizes are in exactly where one violates a property, asked of it, that the other does not."""
    broken, kept = {}, {str(cell) for cell in default_cells()}
    for line in BOTH.read_text().splitlines():
        text, _, _, names = line.split()
        cell = parse_cell(text)
        # Folios of two pages are not asked whether they are queued to be split (verdicts.py).
        found = {name for name in names.split(",") if name not in {"nothing", "partial-never-missed"}}
        broken.setdefault((cell.scheme, cell.context), {})[cell.writers, cell.pages] = found
        left_out = text not in kept
        assert not (left_out and "partial-never-missed" in names), text
    differ = {
        of
        for of, found in broken.items()
        for (writers, pages), names in found.items()
        if names != found.get((writers, min(SIZES)), names)
    }
    assert differ == BOTH_SIZES


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
    races = {one.property for one in alone.violations if one.is_race}
    # 6.2 to 6.9 zap page by page, and the guess is about the first page: others have unmapped that one, and map the next.
    assert ("no-false-exclusive" in races) == ((scheme, caller) == ("nr-pages-mapped", "madvise"))
