"""A folio that is freed while it is read: who mixes two folios, against the definition and by hand; what a reference does."""

from __future__ import annotations

import pytest

from check.naive import all_runs, entries, is_explained
from check.test_fast import alike
from check.tiny import tiny_scheme
from mapcount.check.cells import Cell, model_of
from mapcount.check.contexts import Class
from mapcount.check.explore import explore
from mapcount.check.interval import NEXT_FOLIO, told_apart
from mapcount.check.model import Call, Model
from mapcount.check.promela import promela
from mapcount.check.replay import run_both
from mapcount.check.verdicts import judge
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import SCHEMES

PAGES = """
def new_ptes(m, folio, order, page, nr, mm):
    for i in range(page, page + nr):
        atomic_inc(m, Z, i)

def unmap_ptes(m, folio, order, page, nr, mm):
    for i in range(page, page + nr):
        atomic_dec(m, Z, i)

def counted(m, folio, order, page):
    return atomic_read(m, Z, 0) + 1 + atomic_read(m, Z, 1) + 1
"""
ONE_WORD = """
def new_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)

def unmap_ptes(m, folio, order, page, nr, mm):
    atomic_sub(m, X, folio, nr)

def counted(m, folio, order, page):
    return atomic_read(m, X, folio) + atomic_read(m, Y, folio)
"""
FREED = (Call("unmap_ptes", 0, 2, 1, via="zap"), Call("new_ptes", 0, 2, 3, via="reuse"))
READ = (Call("counted"),)
FIRST = (Call("new_ptes", 0, 2, 1),)


def model(path, source, threads=(FREED,), start=FIRST, held=0):
    scheme = tiny_scheme(path, source, ["counted"])
    return Model(scheme, 1, (*threads, READ), start, watch_all=True, references=True, reader_references=held)


def by_search(one):
    explored = explore(one)
    assert explored.complete
    return {
        (answer.value, answer.value in answer.attainable, answer.value in answer.own) for answer in explored.observed
    }


def by_definition(one):
    """Return {(value, whether it was true of some folio, whether it was of that which had the memory at first)}."""
    reader = (len(one.threads) - 1, 0)
    found = set()
    for run in all_runs(one):
        reuse = (0, 1) if (0, 1) in run.spans and not run.results[0][1] else None
        if reuse and run.spans[reuse][0] < run.spans[reader][0]:
            reuse = None  # it began with the next one
        own = is_explained(one, run, reader, _right, before=reuse)
        found.add((run.results[reader[0]][0], is_explained(one, run, reader, _right), own))
    return found


def _right(done, value):
    return value == entries(done, 1)


@pytest.mark.parametrize("source", [PAGES, ONE_WORD])
@pytest.mark.parametrize("held", [0, 1])
@pytest.mark.parametrize(
    "more",
    [((), ()), (((Call("unmap_ptes", 0, 1, 2, via="zap"),),), (Call("map_ptes", 0, 1, 2),))],
    ids=["alone", "two processes"],
)
def test_against_the_definition(tmp_path, source, held, more):
    threads, start = more
    source += source[source.index("def new_ptes") : source.index("def unmap")].replace("new_ptes", "map_ptes")
    one = model(tmp_path, source, (FREED, *threads), (*FIRST, *start), held)
    assert by_search(one) == by_definition(one)


def test_a_sum_over_pages_mixes_two_folios(tmp_path):
    """
    Page 0 of the first folio when that is unmapped, and page 1 of the next: 1, which neither ever was; each was 0 and 2.

    Page 0 of the first one before, and page 1 of the next: 2, as if nothing had happened.
    """
    found = by_search(model(tmp_path, PAGES))
    assert (1, False, False) in found
    assert {value for value, _, own in found if own} == {0, 2}
    assert not any(value == 2 and not own for value, _, own in found)


def test_one_word_is_one_folios(tmp_path):
    assert all(own for _, _, own in by_search(model(tmp_path, ONE_WORD)))


def test_windows():
    first, following = 1 << 2 | 1 << 0, 1 << 3
    assert told_apart(first, renews=True) == (first, first)
    assert told_apart(following << NEXT_FOLIO, renews=True) == (following, following)
    assert told_apart(first | following << NEXT_FOLIO, renews=True) == (first | following, first)
    # Where none is freed a truth may be as large.
    assert told_apart(1 << NEXT_FOLIO, renews=False) == (1 << NEXT_FOLIO, 1 << NEXT_FOLIO)


@pytest.mark.parametrize("scheme", [scheme.id for scheme in SCHEMES])
def test_with_a_reference_it_is_never_freed(scheme):
    """Whatever the way of counting: no state at the end has the third process's mappings."""
    pages = 4 if 1 in next(one for one in SCHEMES if one.id == scheme).unsupported_orders else 2
    cell = Cell(scheme, "mapcount", "free-reuse", pages)
    try:
        one = model_of(cell)
    except UsageError:
        return
    found = explore(one)
    ends = [found.steps.moments.settled([found.steps.local(state, t) for t in range(3)]) for state in found.finals]
    assert ends
    assert all(truth.mms() == set() for truth in ends)
    assert all(answer.own == answer.attainable for answer in found.observed)


@pytest.mark.parametrize(
    ("scheme", "mixes"), [("double-map", True), ("nr-pages-mapped", True), ("large-mapcount", False), ("mm-id", False)]
)
def test_without_one_a_sum_over_pages_is_of_two_folios(scheme, mixes):
    """The loop of 6.9 and before reads pages of the one and then of the other; one counter is the one's or the other's."""
    verdict = judge(Cell(scheme, "mapcount", "free-reuse", 2, without=frozenset({"reference"})))
    broken = {one.property: one for one in verdict.violations}
    assert ("same-folio" in broken) is mixes
    if mixes:
        assert verdict.kind is Class.TORN
        assert "that one was freed" in broken["same-folio"].sentence
        run_both(verdict.cell, broken["same-folio"].schedule)
    assert judge(Cell(scheme, "mapcount", "free-reuse", 2)).status == "holds"


def test_both_engines():
    cell = Cell("nr-pages-mapped", "mapcount", "free-reuse", 2, without=frozenset({"reference"}))
    found = alike(model_of(cell))
    assert any(set(answer.own) < set(answer.attainable) for answer in found.observed)


def test_where_nothing_is_freed_it_is_not_asked():
    verdict = judge(Cell("large-mapcount", "kpagecount", "zap-fault", 2))
    assert "same-folio" not in verdict.properties


def test_what_cannot_be(tmp_path):
    scheme = tiny_scheme(tmp_path, ONE_WORD, ["counted"])
    with pytest.raises(UsageError, match="last reference"):
        Model(scheme, 1, (FREED, READ), FIRST)
    with pytest.raises(UsageError, match="cannot be exported"):
        promela(model(tmp_path, ONE_WORD))
