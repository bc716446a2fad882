"""The compiled search against the plain one, which brute force judges: the same states, ends, answers and shortest ways."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check.random_models import models
from check.tiny import PLACES, tiny_scheme
from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.fast import explore_fast
from mapcount.check.model import Call, Model
from mapcount.check.steps import Steps
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.bind import bind
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.words import folio_word

SCHEMES = ["double-map", "nr-pages-mapped", "large-mapcount", "mm-id", "total-mapped-pages"]
COUNT = (Call("folio_mapcount"),)


def alike(model, **options):
    """Search in both ways; compare all that is found."""
    plain, fast = (explore(model, engine=engine, **options) for engine in ("plain", "numba"))
    for found in ("states", "transitions", "depth", "complete", "answers", "stuck", "seen"):
        assert getattr(fast, found) == getattr(plain, found), found
    ends = [
        sorted((one.steps.words(state).items(), one.steps.results(state)) for state in one.finals)
        for one in (plain, fast)
    ]
    assert ends[0] == ends[1]
    return fast


@pytest.mark.parametrize("scheme_id", SCHEMES)
@settings(max_examples=11, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_models(scheme_id, data):
    model = data.draw(models(find_scheme(scheme_id), 2, 2))
    alike(model, max_states=20_000)


def reader_models():
    ptes = tuple(Call(name, i, 1, 1) for name in ("map_ptes", "unmap_ptes") for i in range(4))
    pmds = (Call("map_pmd", mm=2), Call("unmap_pmd", mm=2))
    yield Model(find_scheme("nr-pages-mapped"), 2, (ptes, pmds, COUNT), kind=Kind.FILE)
    start = (Call("new_pmd", mm=1), Call("dup_pmd", mm=2))
    for name in ("double-map", "double-map:seqlock", "mm-id"):
        threads = ((Call("split_pmd", mm=1),), (Call("unmap_pmd", mm=2),), (*COUNT, Call("folio_mapped")))
        yield Model(find_scheme(name), 2, threads, start)


@pytest.mark.parametrize("model", list(reader_models()), ids=repr)
def test_readers_and_their_windows(model):
    seen = alike(model, until={"all gone": lambda words: set(words["_mapcount"]) == {-1}})
    assert seen.complete
    assert len(seen.answers) > 2


def test_a_field_grows_when_a_value_does_not_fit():
    threads = ((Call("unmap_pmd", mm=1),), (Call("map_ptes", 0, 4, 2),))
    model = Model(find_scheme("nr-pages-mapped"), 2, threads, (Call("map_pmd", mm=1),), Kind.FILE, statistics=True)
    alike(model)  # ENTIRELY_MAPPED is far more than a byte holds


WIDE = """
from mapcount.schemes.words import folio_word

W = folio_word("w", width_bits=64)

def map_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, W, folio, 1 << 32)
    if atomic_read(m, W, folio) == 2 << 32:
        atomic_inc(m, X, folio)

def counted(m, folio, order, page):
    return atomic_read(m, W, folio) >> 32
"""


def test_values_that_differ_in_their_upper_half_alone(tmp_path):
    """Two additions of 1 << 32: 0, 1 and 2 of it are three values, and whoever sees 2 goes on."""
    narrow = tiny_scheme(tmp_path, WIDE, ["counted"]).scheme
    scheme = bind(dataclasses.replace(narrow, places=(*PLACES, folio_word("w", width_bits=64).at(24, page=1))))
    threads = ((Call("map_ptes", 0, 1, 1),), (Call("map_ptes", 0, 1, 2),), (Call("counted"),))
    found = alike(Model(scheme, 0, threads))
    assert found.values(2) == {0, 1, 2}
    assert {found.steps.words(state)["x"] for state in found.finals} == {(1,), (2,)}


def test_a_scheme_with_wide_words():
    """rmap-id keeps two numbers in a word of 64 bits."""
    alike(model_of(Cell("rmap-id", "mapcount", "zap-fault", 4)))


def test_the_bound_is_told():
    ptes = tuple(Call("map_ptes", i, 1, 1) for i in range(4))
    model = Model(find_scheme("nr-pages-mapped"), 2, (ptes, (Call("map_pmd", mm=2),), COUNT), kind=Kind.FILE)
    found = explore_fast(Steps(model), {}, 97)
    assert not found.complete
    assert "bound reached" in found.extent


def test_an_engine_that_is_not_there():
    model = Model(find_scheme("mm-id"), 1, (COUNT,), (Call("new_pmd", mm=1),))
    with pytest.raises(UsageError, match="there are: auto, numba, plain"):
        explore(model, engine="warp")
