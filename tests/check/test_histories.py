"""Several reads of one reader: every interleaving of small models against the definition, order by order."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings

from check.naive import all_runs, entries, entries_of_page
from check.test_explore import tiny_sources
from check.tiny import tiny_scheme
from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.model import Call, Model
from mapcount.check.promela import promela
from mapcount.check.replay import run_both
from mapcount.check.verdicts import judge
from mapcount.errors import UsageError
from mapcount.schemes.scheme import Promise, Quantity


def fit(model, run, reads, true):
    """
    Return whether all operations and these reads, (thread, number), can be put in one order that explains each read.

    By the definition: an order of all of them that keeps every "this was over before that began", in which each read returns
    what is true where it stands. `true(done, call)` says what is, after the operations `done` and those of the start.
    """
    keys = [key for key in run.spans if model.threads[key[0]][key[1]].is_operation and not _refused(model, run, key)]
    for order in permutations([*keys, *reads]):
        if any(
            run.spans[later][1] < run.spans[earlier][0] for i, earlier in enumerate(order) for later in order[i + 1 :]
        ):
            continue
        done, right = list(model.start), True
        for thread, number in order:
            call = model.threads[thread][number]
            if (thread, number) in reads:
                right = right and run.results[thread][number] == true(done, call)
            else:
                done.append(call)
        if right:
            return True
    return False


def _refused(model, run, key):
    return model.threads[key[0]][key[1]].name.startswith("dup_") and run.results[key[0]][key[1]]


def by_definition(model, true):
    """Return {(values up to a read, whether they fit)} for each read of the last thread, over all interleavings."""
    thread = len(model.threads) - 1
    found = set()
    for run in all_runs(model):
        for n in range(1, len(model.threads[thread]) + 1):
            reads = [(thread, number) for number in range(n)]
            found.add((run.results[thread][:n], fit(model, run, reads, true)))
    return found


def by_search(model):
    explored = explore(model)
    assert explored.complete
    return {((*one.earlier, one.value), one.value in one.might) for one in explored.observed}


def entries_are(done, call):
    return entries(done, 1)


HALVES = """
def map_ptes(m, folio, order, page, nr, mm):
    for i in range(page, page + nr):
        atomic_inc(m, Z, i)

def unmap_ptes(m, folio, order, page, nr, mm):
    for i in range(page, page + nr):
        atomic_dec(m, Z, i)

def of_page(m, folio, order, page):
    return atomic_read(m, Z, page) + 1
"""


def of_pages(path, *threads, start=(), pages=(0, 1)):
    scheme = tiny_scheme(path, HALVES, [("of_page", Quantity.PAGE_ENTRIES, Promise.EXACT, True)])
    reads = tuple(Call("of_page", page) for page in pages)
    return Model(scheme, 1, (*threads, reads), start, watch_all=True, histories=True)


def of_one_page(done, call):
    return entries_of_page(done, 1, call.first)


MAP = Call("map_ptes", 0, 2, 1)


def test_a_batch_that_is_seen_half_in_the_wrong_order(tmp_path):
    """
    One operation counts page 0, then page 1. 1 and 0 is no order: the first read has it done, the second has it to come.

    0 and 1 is one, as are 0, 0 and 1, 1; and each value alone is right at some moment of its read.
    """
    model = of_pages(tmp_path, (MAP,))
    assert by_search(model) == by_definition(model, of_one_page)
    assert by_search(model) == {
        ((0,), True),
        ((1,), True),
        *(((a, b), (a, b) != (1, 0)) for a, b in product((0, 1), repeat=2)),
    }
    assert all(one.value in one.attainable for one in explore(model).observed)


def test_the_other_page_first(tmp_path):
    """Page 1 is counted last, so who reads it first sees the new value of both, or an old one first: always an order."""
    model = of_pages(tmp_path, (MAP,), pages=(1, 0))
    assert by_search(model) == by_definition(model, of_one_page)
    assert all(fits for _, fits in by_search(model))


@pytest.mark.parametrize(
    "threads",
    [
        ((MAP, Call("unmap_ptes", 0, 2, 1)),),
        ((MAP,), (Call("map_ptes", 0, 1, 2),)),
        ((Call("unmap_ptes", 0, 2, 3),), (Call("map_ptes", 1, 1, 2),)),
    ],
)
@pytest.mark.parametrize("pages", [(0, 1), (0, 0), (0, 1, 0)])
def test_more_writers_and_reads(tmp_path, threads, pages):
    model = of_pages(tmp_path, *threads, start=(Call("map_ptes", 0, 2, 3),), pages=pages)
    assert by_search(model) == by_definition(model, of_one_page)


@given(tiny_sources())
@settings(deadline=None, max_examples=31)
def test_random_schemes_against_the_definition(tmp_path_factory, source):
    scheme = tiny_scheme(tmp_path_factory.mktemp("tiny"), source, ["counted"])
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("unmap_ptes", 0, 2, 2),), (Call("counted"), Call("counted")))
    model = Model(scheme, 1, threads, (Call("map_ptes", 0, 2, 2),), watch_all=True, histories=True)
    try:
        model.memory()
    except UsageError:  # what returns something in the start counts as refused
        return
    assert by_search(model) == by_definition(model, entries_are)


REFUSED = """
def new_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)

def dup_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)
    atomic_sub(m, X, folio, nr)
    return 1

def counted(m, folio, order, page):
    return atomic_read(m, X, folio)
"""


def test_a_dup_that_is_refused_has_had_no_effect(tmp_path):
    """It counts, and takes that back: 2 may be right as long as it may succeed, and has no order when it is known that not."""
    scheme = tiny_scheme(tmp_path, REFUSED, ["counted"])
    threads = ((Call("dup_ptes", 0, 1, 2),), (Call("counted"), Call("counted")))
    model = Model(scheme, 0, threads, (Call("new_ptes", 0, 1, 1),), watch_all=True, histories=True)
    assert by_search(model) == {
        ((1,), True),
        ((2,), True),
        ((1, 1), True),
        ((1, 2), True),
        ((2, 2), True),
        ((2, 1), False),
    }


def test_what_one_read_alone_does_not_show():
    """Of /proc/kpagecount page by page: each count was true while it was read, and both together never were."""
    verdict = judge(Cell("mm-id", "kpagecount-pages", "zap-fault", 2))
    (broken,) = verdict.violations
    assert (broken.property, broken.value) == ("reads-in-order", 2)
    assert "after 0" in broken.sentence
    (last,) = [one for one in explore(model_of(verdict.cell)).observed if one.schedule == broken.schedule]
    assert last.value in last.attainable
    assert run_both(verdict.cell, broken.schedule).results[-1] == (0, 2)


@pytest.mark.parametrize(
    ("scheme", "context", "holds"),
    [
        # One word, one load: what it was, it was.
        ("large-mapcount", "mapcount-twice", True),
        ("mm-id", "mapcount-twice", True),
        ("nr-pages-mapped", "mapcount-twice", False),
        # Ranges are counted page by page, each by a call of its own, up to 6.8.
        ("double-map", "kpagecount-pages", True),
        ("large-mapcount", "kpagecount-pages", False),
    ],
)
def test_verdicts(scheme, context, holds):
    verdict = judge(Cell(scheme, context, "zap-fault", 2))
    assert verdict.properties == ("reads-in-order",)
    assert (verdict.status == "holds") is holds


def test_a_reader_of_one_call_is_not_asked_for_an_order():
    verdict = judge(Cell("large-mapcount", "mapcount", "zap-fault", 2), properties=["reads-in-order"])
    assert "says nothing of it" in verdict.cannot


def test_only_the_plain_search_has_them():
    model = model_of(Cell("large-mapcount", "mapcount-twice", "zap-fault", 2))
    with pytest.raises(UsageError, match="plain search alone"):
        explore(model, engine="numba")
    with pytest.raises(UsageError, match="cannot be exported"):
        promela(model)
