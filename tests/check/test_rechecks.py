"""Callers that look again: which of their switches keeps the pin, by every combination; and what then becomes of the look."""

from __future__ import annotations

from itertools import combinations

import pytest

from check.test_fast import alike
from mapcount.check.cells import Cell, model_of
from mapcount.check.contexts import CONTEXTS, Class
from mapcount.check.replay import run_both
from mapcount.check.verdicts import judge
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import SCHEMES

SWITCHES = ("entries", "folio", "freeze")
SUBSETS = [frozenset(some) for size in range(4) for some in combinations(SWITCHES, size)]
COUNTING = ["double-map", "nr-pages-mapped", "large-mapcount", "mm-id", "no-page-mapcount", "total-mapped-pages"]


@pytest.mark.parametrize("without", SUBSETS, ids=lambda some: "-".join(sorted(some)) or "none")
def test_what_keeps_the_pin_of_migration(without):
    """
    The freeze does, and before it: nothing may be mapped again between the last count and the compare.

    What is expected then is a mapcount. Entries and the folio lock each keep the fault out, so both have to be gone.
    """
    verdict = judge(Cell("large-mapcount", "migration", "fault-touch", 2, without=without))
    assert verdict.complete
    broken = "freeze" in without or {"entries", "folio"} <= without
    assert bool(verdict.violations) is broken
    for violation in verdict.violations:
        run_both(verdict.cell, violation.schedule)


@pytest.mark.parametrize("without", SUBSETS, ids=lambda some: "-".join(sorted(some)) or "none")
def test_what_keeps_the_pin_of_a_split(without):
    """The freeze alone: it compares with a number that has no mapcount in it."""
    verdict = judge(Cell("large-mapcount", "split-to-the-end", "fork-zap", 2, without=without))
    assert bool(verdict.violations) is ("freeze" in without)


@pytest.mark.parametrize("scheme", COUNTING)
@pytest.mark.parametrize("context", ["migration", "split-to-the-end"])
def test_folios_that_pmds_map(scheme, context):
    """One of three processes splits its PMD and unmaps a half, another one unmaps its PMD: the freeze is what keeps the pin."""
    assert judge(Cell(scheme, context, "split-zap", 2)).status == "holds"
    assert judge(Cell(scheme, context, "split-zap", 2, without=frozenset({"freeze"}))).status == "violated"


@pytest.mark.parametrize("scheme", COUNTING)
@pytest.mark.parametrize("context", ["compaction", "split"])
def test_a_wrong_look_is_caught_by_the_freeze_and_by_nothing_else(scheme, context):
    """The verdict `re-checked` is what the model of the re-check says: without the freeze the same look does harm."""
    look = judge(Cell(scheme, context, "fork-zap", 2))
    assert {one.property for one in look.violations} >= {"pin-never-hidden"}
    assert look.kind is Class.RECHECKED
    assert (look.recheck.status, look.recheck.properties) == ("holds", ("pin-never-hidden",))
    assert look.recheck.states > look.states
    without = judge(Cell(scheme, context, "fork-zap", 2, without=frozenset({"freeze"})))
    assert without.kind is Class.CONSEQUENTIAL
    assert without.recheck.status == "violated"


@pytest.mark.parametrize(("memory", "judged"), [("sc", True), ("tso", True), ("weak", False)])
def test_in_weak_memory_only_who_asks_for_it_waits_for_it(memory, judged):
    look = judge(Cell("large-mapcount", "compaction", "fork-zap", 2, memory=memory), max_states=200_000)
    assert look.kind is Class.RECHECKED
    assert (look.recheck is not None) is judged


@pytest.mark.parametrize("scheme", [scheme.id for scheme in SCHEMES])
@pytest.mark.parametrize("context", ["migration", "split-to-the-end", "remove-mapping"])
def test_what_kernels_rely_on_holds_with_every_way_of_counting(scheme, context):
    pages = 2
    try:
        model_of(Cell(scheme, context, CONTEXTS[context].writers[0], pages))
    except UsageError:
        pages = 4
    verdict = judge(Cell(scheme, context, CONTEXTS[context].writers[0], pages))
    if scheme in {"original-thp", "complete-mappings"} and context != "remove-mapping":
        assert "has no" in verdict.cannot or "cannot" in verdict.cannot
    else:
        assert verdict.status == "holds"


def test_reclaim_takes_a_reader_that_is_wrong_for_what_it_is(monkeypatch):
    """
    No scheme's folio_mapped() is wrong here, so it is made so: nothing is ever mapped.

    Then the freeze is all there is, and it is enough, since each mapping has a reference.
    """
    from mapcount.schemes import large_mapcount

    def folio_mapped(m, folio, order, page):
        return 0

    monkeypatch.setattr(large_mapcount, "folio_mapped", folio_mapped)
    cell = Cell("large-mapcount", "remove-mapping", "pmd-and-ptes", 2)
    assert judge(cell).status == "holds"
    without = judge(Cell("large-mapcount", "remove-mapping", "pmd-and-ptes", 2, without=frozenset({"freeze"})))
    assert without.status == "violated"


@pytest.mark.parametrize(
    "cell",
    [
        Cell("mm-id", "migration", "fork-zap", 2),
        Cell("large-mapcount", "split-to-the-end", "fork-zap", 2, without=frozenset({"freeze"})),
    ],
    ids=str,
)
def test_both_engines(cell):
    assert alike(model_of(cell)).complete


def test_the_callers_reference_is_a_switch():
    """It is one reference more, and one more that is expected; the verdict stays."""
    having = model_of(Cell("large-mapcount", "compaction", "fork-zap", 2))
    giving = model_of(Cell("large-mapcount", "compaction", "fork-zap", 2, without=frozenset({"reference"})))
    taking = model_of(Cell("large-mapcount", "collapse", "hand-over", 2, more=frozenset({"reference"})))
    lacking = model_of(Cell("large-mapcount", "collapse", "hand-over", 2))
    assert [one.reader_references for one in (having, giving, taking, lacking)] == [1, 0, 1, 0]
    assert having.memory().words["_refcount"][0] == giving.memory().words["_refcount"][0] + 1


def test_who_unmaps_takes_locks_itself():
    verdict = judge(Cell("large-mapcount", "migration", "fork-zap", 2, more=frozenset({"ptl"})))
    assert "takes its locks" in verdict.cannot
