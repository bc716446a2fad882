"""Verdicts on schemes of a line or two, whose answers are known by hand; and every violation of the default set, replayed."""

from __future__ import annotations

import dataclasses

import pytest

from check.defaults import STORED, default_verdicts, lines
from check.tiny import tiny_scheme
from mapcount.check import mixes
from mapcount.check.cells import AT_REST, Cell
from mapcount.check.harm import NOBODY, Class
from mapcount.check.model import Call
from mapcount.check.properties import READER_PROPERTIES, REST_PROPERTIES
from mapcount.check.replay import parse_replay, run_both
from mapcount.check.verdicts import judge
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import LOADED
from mapcount.schemes.ops import NR_ANON_MAPPED
from mapcount.schemes.scheme import Promise, Quantity

EXACT = """
def map_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)
def unmap_ptes(m, folio, order, page, nr, mm):
    atomic_sub(m, X, folio, nr)
def folio_mapcount(m, folio, order, page):
    return atomic_read(m, X, folio)
"""
TWO_WORDS = """
def map_ptes(m, folio, order, page, nr, mm):
    if mm == 1:
        atomic_add(m, X, folio, nr)
    else:
        atomic_add(m, Y, folio, nr)
def unmap_ptes(m, folio, order, page, nr, mm):
    if mm == 1:
        atomic_sub(m, X, folio, nr)
    else:
        atomic_sub(m, Y, folio, nr)
def folio_mapcount(m, folio, order, page):
    return atomic_read(m, X, folio) + atomic_read(m, Y, folio)
"""
ONE_TOO_MANY = EXACT.replace("return atomic_read(m, X, folio)", "return atomic_read(m, X, folio) + 1")


@pytest.fixture
def scheme(tmp_path, monkeypatch):
    """Return a function that loads a scheme; the folio is one page that mm 1 maps, and mm 2 maps it while mm 1 unmaps it."""
    start = (Call("map_ptes", 0, 1, 1),)
    one, other = Call("map_ptes", 0, 1, 2, via="insert"), Call("unmap_ptes", 0, 1, 1, via="zap")
    monkeypatch.setitem(
        mixes.MIXES, "pass-on", mixes.Mix("pass-on", "", Kind.SHMEM, lambda _: (start, ((one,), (other,))))
    )
    monkeypatch.setitem(
        mixes.MIXES, "in-turn", mixes.Mix("in-turn", "", Kind.SHMEM, lambda _: (start, ((one, other),)))
    )
    monkeypatch.setitem(mixes.MIXES, "nobody", mixes.Mix("nobody", "", Kind.SHMEM, lambda _: (start, ())))

    def load(source):
        made = tiny_scheme(tmp_path, source, [("folio_mapcount", Quantity.ENTRIES, Promise.EXACT)])
        name = made.id.replace("_", "-")
        monkeypatch.setitem(LOADED, name, dataclasses.replace(made.scheme, id=name))
        return name

    return load


def _broken(verdict):
    return {one.property for one in verdict.violations}


def test_one_load_of_one_word_is_never_wrong(scheme):
    """Nor stale in its window, which is that load alone: an operation of one access takes no time either."""
    verdict = judge(Cell(scheme(EXACT), "mapcount", "in-turn", 1))
    assert (verdict.status, verdict.kind, verdict.violations) == ("holds", None, ())
    assert verdict.sometimes["value-varies"]
    assert verdict.ranges["x"] == (1, 2)


def test_a_window_of_two_loads_can_be_stale(scheme):
    twice = EXACT.replace("    return atomic_read", "    atomic_read(m, Y, folio)\n    return atomic_read")
    verdict = judge(Cell(scheme(twice), "mapcount", "in-turn", 1))
    assert (verdict.status, verdict.kind, verdict.sometimes["truth-moves"]) == ("holds", Class.STALE, True)


def test_nothing_moves_where_nobody_writes(scheme):
    verdict = judge(Cell(scheme(EXACT), "mapcount", "nobody", 1))
    assert (verdict.status, verdict.kind, verdict.states) == ("holds", None, 2)
    assert verdict.sometimes == {
        "truth-moves": False,
        "value-varies": False,
        "unmapped-meanwhile": False,
        "runs-to-the-end": True,
        "waits-for-ever": False,
    }


def test_two_words_are_torn_by_the_shortest_way(scheme):
    """
    X counts mm 1, Y mm 2. X is read (1); mm 1 unmaps, so 0 is true, and mm 2 maps, so 1 is; Y is read (1): 2, which never was.

    Four steps, and no shorter way: each must be between the two loads. Too few would need X after the unmapping and Y before
    the mapping with 1 true all the while; then the mapping comes later, and 0 was true.
    """
    verdict = judge(Cell(scheme(TWO_WORDS), "mapcount", "pass-on", 1))
    assert _broken(verdict) == {"explainable", "never-over"}
    for one in verdict.violations:
        assert (len(one.schedule), one.value, one.true, one.is_race) == (4, 2, (0, 1), True)
        assert one.schedule == (2, 1, 0, 2)
    # X before or after mm 1 is gone (1, 0), Y before or after mm 2 has come (0, 1); only their sum of 2 was never true.
    assert (verdict.returns, verdict.untrue) == ((0, 1, 2), (2,))
    assert verdict.kind is Class.TORN
    # In turn mm 2 maps before mm 1 unmaps, so 2 was true, and nothing else can be read.
    assert judge(Cell(scheme(TWO_WORDS), "mapcount", "in-turn", 1)).status == "holds"


def test_what_is_wrong_without_a_race_is_a_guess(scheme):
    verdict = judge(Cell(scheme(ONE_TOO_MANY), "mapcount", "pass-on", 1))
    assert _broken(verdict) == {"explainable", "never-over"}
    assert not any(one.is_race for one in verdict.violations)
    assert verdict.kind is Class.ESTIMATE


def test_each_violation_has_a_class_of_its_own_and_the_worst_is_the_models():
    """As the caller's row has it: a pin that is missed is looked for again, one that never was costs a chance."""
    verdict = judge(Cell("large-mapcount", "compaction", "fork-zap", 2))
    kinds = {one.property: verdict.kind_of(one) for one in verdict.violations}
    assert kinds == {"pin-never-hidden": Class.RECHECKED, "never-over": Class.TORN}
    assert verdict.kind is Class.RECHECKED
    hidden = next(one for one in verdict.violations if one.property == "pin-never-hidden")
    assert "isolated" in verdict.harm_of(hidden).damage
    # With its page-table lock only the other one is left.
    less = judge(Cell("large-mapcount", "compaction", "fork-zap", 2, more=frozenset({"ptl"})))
    assert (_broken(less), less.kind) == ({"never-over"}, Class.TORN)


def test_between_two_pages_of_one_zap_is_not_one_call_at_a_time():
    """6.2 unmaps page by page, and its references go when all pages have gone: whoever looks in between meets a race."""
    verdict = judge(Cell("nr-pages-mapped", "compaction", "fork-zap", 2))
    assert [one.is_race for one in verdict.violations] == [True, True]
    # The references of the page that is unmapped already are still there: one page, a look, then the other page.
    over = next(one for one in verdict.violations if one.property == "never-over")
    assert (over.value, over.true) == (2, (1,))


def test_a_page_that_is_copied_for_nothing_is_no_harm():
    """The one that unmaps all drops its references last: between, there are more of them than mappings."""
    verdict = judge(Cell("mm-id", "cow-reuse", "leave", 2))
    assert (_broken(verdict), verdict.kind) == ({"no-false-shared"}, Class.TORN)


def test_what_the_caller_does_not_rely_on_harms_nobody(scheme):
    verdict = judge(Cell(scheme(TWO_WORDS), "kpagecount", "pass-on", 1))
    assert verdict.status == "cannot answer"
    asked = judge(Cell(scheme(TWO_WORDS), "referenced", "pass-on", 1), properties=["never-over"])
    (one,) = asked.violations
    assert (asked.kind_of(one), asked.harm_of(one)) == (Class.TORN, NOBODY)


@pytest.mark.parametrize(
    ("name", "broken", "is_race", "kind"),
    [
        # Nothing in this proposal ever marks a folio; one after the other does not, either.
        ("zero-one-many", "partial-never-missed", False, Class.ESTIMATE),
        # One after the other, three unmappings of a half leave a count of two pages.
        ("complete-mappings", "stats-balance", True, Class.CONSEQUENTIAL),
    ],
)
def test_at_rest_too_a_race_is_told_from_a_guess(name, broken, is_race, kind):
    verdict = judge(Cell(name, AT_REST, "three-halves", 4))
    assert [(one.property, one.is_race, verdict.kind_of(one)) for one in verdict.violations] == [
        (broken, is_race, kind)
    ]


@pytest.mark.parametrize(
    ("cell", "broken"),
    [
        # Two of four pages are left: nothing in these proposals marks the folio.
        (("zero-one-many", "halves", 4), {"partial-never-missed"}),
        (("large-mapcount", "halves", 4), set()),
        (("mm-id", "three-ptes", 2), set()),
        (("nr-pages-mapped", "three-levels", 2), set()),
    ],
)
def test_at_rest(cell, broken):
    name, writers, pages = cell
    verdict = judge(Cell(name, AT_REST, writers, pages))
    assert _broken(verdict) == broken
    assert verdict.complete
    assert set(verdict.properties) <= set(REST_PROPERTIES)


def test_a_lost_update_is_found_at_rest(scheme):
    plain = EXACT.replace("atomic_add(m, X, folio, nr)", "store(m, X, folio, read(m, X, folio) + nr)")
    verdict = judge(Cell(scheme(plain), AT_REST, "pass-on", 1))
    assert _broken(verdict) == {"words-balance"}
    # mm 2 reads 1, mm 1 makes it 0, mm 2 stores 2.
    (one,) = verdict.violations
    assert len(one.schedule) == 3
    assert "returns 2 of page 0, and 1 is true" in one.sentence


def test_a_count_below_its_unused_value_is_a_wrap(scheme):
    """mm 1 is counted gone twice for a moment: X is -1 in between, and 0 in the end."""
    twice = EXACT.replace(
        "    atomic_sub(m, X, folio, nr)", "    atomic_sub(m, X, folio, 2)\n    atomic_inc(m, X, folio)"
    )
    verdict = judge(Cell(scheme(twice), AT_REST, "pass-on", 1))
    assert _broken(verdict) == {"no-wrap"}
    assert verdict.violations[0].schedule == (1,)
    assert "x is -1 at worst" in verdict.violations[0].sentence


def test_waiting_for_ever(scheme):
    """A lock that is never given back: the second one that wants it waits for ever."""
    held = EXACT.replace("    atomic_add", "    bit_spin_lock(m, LOCK, folio)\n    atomic_add").replace(
        "    atomic_sub", "    bit_spin_lock(m, LOCK, folio)\n    atomic_sub"
    )
    verdict = judge(Cell(scheme(held), AT_REST, "pass-on", 1), properties=["comes-to-rest"])
    # The start has mapped the folio and keeps the lock: nobody can take a step.
    assert [(one.property, one.schedule) for one in verdict.violations] == [("comes-to-rest", ())]
    assert verdict.sometimes["waits-for-ever"]
    assert not verdict.sometimes["runs-to-the-end"]


def test_without_a_look_at_every_state_nothing_holds():
    verdict = judge(Cell("large-mapcount", "mapcount", "pmd-and-ptes", 2), max_states=7)
    assert (verdict.status, verdict.complete) == ("bound reached", False)


def test_a_property_of_something_else_is_not_judged():
    verdict = judge(Cell("large-mapcount", "mapcount", "zap-fault", 2), properties=["pin-never-hidden"])
    assert verdict.status == "cannot answer"
    assert "is about" in verdict.cannot


def test_a_scheme_without_an_answer_has_no_violations():
    verdict = judge(Cell("original-thp", "compaction", "fork-zap", 2))
    assert (verdict.status, verdict.violations, verdict.states) == ("cannot answer", (), 0)


COUNTEREXAMPLES = [line.split(" ") for line in STORED.read_text().splitlines()]


def test_the_stored_counterexamples_are_those_of_the_default_set():
    """`python -m check.defaults`, in tests, stores them anew; the difference is what a change of the engine has changed."""
    assert all(verdict.complete for verdict in default_verdicts())
    assert lines() == [" ".join(line) for line in COUNTEREXAMPLES]


@pytest.mark.parametrize(("text", "name", "value", "true"), COUNTEREXAMPLES, ids=lambda part: part)
def test_a_stored_counterexample_replays(text, name, value, true):
    """On what was lowered and on plain Python alike, to the value that was told; and it breaks the property by its meaning."""
    both = run_both(*parse_replay(text))
    if name in READER_PROPERTIES:
        window = tuple(map(int, true.split(",")))
        assert both.results[-1] == (int(value),)
        assert both.trace.steps[-1].window == window
        assert READER_PROPERTIES[name].broken(int(value), window)
        return
    mapped, words = _pages_mapped(both), both.trace.words
    if name == "partial-never-missed":
        assert 0 < mapped < 4
        assert words["PG_partially_mapped"] == (0,)
    else:
        assert name == "stats-balance"
        assert words[f"stat {NR_ANON_MAPPED}"] != (mapped,)


def _pages_mapped(both):
    """Count the pages of four that anything maps when the writers have done everything, from their calls."""
    entries = [0] * 4
    for calls in (both.model.start, *both.model.threads):
        for call in calls:
            for page in range(call.first, call.first + call.nr):
                entries[page] += -1 if call.name.startswith("unmap") else 1
    return sum(map(bool, entries))
