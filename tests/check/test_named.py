"""Races with a name: the search finds each, what it finds replays on plain Python, and what history did about it cures it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.layout import Layout
from mapcount.check.named import NAMED
from mapcount.check.reach import parse_reach
from mapcount.check.replay import parse_replay, run_both
from mapcount.check.verdicts import judge

FOUND = {name: race for name, race in NAMED.items() if race.property}


@pytest.mark.parametrize("race", FOUND.values(), ids=FOUND)
def test_it_is_found_and_replays(race):
    verdict = judge(race.cell)
    (broken,) = (one for one in verdict.violations if one.property == race.property)
    cell, schedule = parse_replay(verdict.replay_id(broken))
    both = run_both(cell, schedule)
    assert both.results[-1] == (broken.value,)


def test_the_mark_of_a_pmd_can_be_there_twice_and_not_three_times():
    race = NAMED["two-steps"]
    model = model_of(race.cell)
    names = Layout(model).names
    assert parse_reach(race.reach, names).value == 2 * 0x800000
    assert len(explore(model, until={"2E": parse_reach(race.reach, names)}).seen["2E"]) == 3
    assert not explore(model, until={"3E": parse_reach("_nr_pages_mapped>=0x1800000", names)}).seen


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("false-zero", "total-mapcount"),
        ("false-zero", "large-mapcount"),
        ("torn-loop", "large-mapcount"),
        ("torn-loop", "mm-id"),
        ("short-loop", "nr-pages-mapped"),
        ("split-transfer", "double-map:seqlock"),
    ],
)
def test_what_history_did_about_it_cures_it(name, scheme):
    race = NAMED[name]
    pages = 4 if scheme == "total-mapcount" else race.cell.pages
    cured = judge(replace(race.cell, scheme=scheme, pages=pages))
    assert cured.status != "cannot answer"
    assert race.property not in {one.property for one in cured.violations}
    assert cured.complete


@pytest.mark.parametrize(
    ("asked", "writers", "locks", "hidden"),
    [
        # A mapper takes its reference first: who read the references before it sees too few beside its mapping.
        ("extra_references", "only-fault", (), True),
        ("extra_references_mapcount_first", "only-fault", (), False),
        ("extra_references", "only-zap", (), False),
        ("extra_references_mapcount_first", "only-zap", (), True),
        # Faults take the folio lock, zaps do not.
        ("extra_references", "only-fault", ("folio",), False),
        ("extra_references_mapcount_first", "only-zap", ("folio",), True),
    ],
)
def test_which_order_hides_a_pin_from_whom(asked, writers, locks, hidden, monkeypatch):
    """As enumerated by hand in the reference: map-then-ref against an unmapper, ref-then-map against a mapper."""
    from mapcount.check import mixes
    from mapcount.check.model import Call
    from mapcount.mapping.schema import Kind

    start = (Call("map_ptes", 0, 2, 1),)
    change = {
        "only-fault": Call("map_ptes", 0, 2, 2, via="fault"),
        "only-zap": Call("unmap_ptes", 0, 2, 1, via="zap"),
    }[writers]
    mix = mixes.Mix(writers, "", Kind.SHMEM, lambda _: (start, ((change,),)))
    monkeypatch.setitem(mixes.MIXES, writers, mix)
    verdict = judge(Cell("large-mapcount", asked, writers, 2, more=frozenset(locks)), properties=["pin-never-hidden"])
    assert bool(verdict.violations) is hidden
