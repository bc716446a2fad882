"""Cells as text and back, and what does not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.check.cells import Cell, model_of, parse_cell, properties_asked
from mapcount.check.contexts import CONTEXTS
from mapcount.check.default_models import MOST_MODELS, default_cells
from mapcount.check.locks import KINDS
from mapcount.check.memory_order import MODELS
from mapcount.check.mixes import MIXES
from mapcount.check.model import TRUTH_KINDS
from mapcount.check.properties import READER_PROPERTIES
from mapcount.errors import UsageError
from mapcount.schemes.catalogue import scheme_ids

KIND_SETS = st.frozensets(st.sampled_from(sorted(KINDS)))
READERS_KINDS = st.frozensets(st.sampled_from(["folio", "mmap", "ptl", "reference", "rmap"]))


@given(
    st.builds(
        Cell,
        scheme=st.sampled_from(scheme_ids()),
        context=st.sampled_from([*CONTEXTS, "rest", "folio_mapcount"]),
        writers=st.sampled_from(sorted(MIXES)),
        pages=st.sampled_from([1, 2, 4, 64]),
        without=KIND_SETS,
        more=READERS_KINDS,
        truth=st.sampled_from(TRUTH_KINDS),
        memory=st.sampled_from(MODELS),
    )
)
def test_a_text_names_its_cell(cell):
    assert parse_cell(str(cell)) == cell


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mm-id", "names no model"),
        ("mm-id/kpagecount/zap-fault/3", "power of two"),
        ("mm-id/kpagecount/zap-fault/128", "power of two"),
        ("mm-id/kpagecount/zap/2", "no writers 'zap'"),
        ("mm-id/kpagecount/zap-fault/2-big", "no lock 'big'"),
        ("mm-id/kpagecount/zap-fault/2+big", "no lock 'big'"),
        ("mm-id/kpagecount/zap-fault/2+bits", "not for a reader to hold"),
        ("mm-id/kpagecount/zap-fault/2+entries", "not for a reader to hold"),
        ("mm-id/kpagecount/zap-fault/2=whole", "no truth 'whole'"),
        ("mm-id/kpagecount/zap-fault/2@power", "no memory model 'power'"),
    ],
)
def test_what_does_not_exist_is_said(text, told):
    with pytest.raises(UsageError, match=told):
        parse_cell(text)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (Cell("no-page-mapcount", "page_mapcount", "zap-fault", 2), "no reader 'page_mapcount'"),
        (Cell("mm-idx", "kpagecount", "zap-fault", 2), "no scheme"),
        (Cell("total-mapcount", "kpagecount", "zap-fault", 2), "no shmem folios of order 1"),
    ],
)
def test_models_that_no_kernel_has(cell, told):
    with pytest.raises(UsageError, match=told):
        model_of(cell)


def test_the_default_set_is_small_and_asks_for_something():
    cells = default_cells()
    assert len(cells) == len(set(cells))
    models = 0
    for cell in cells:
        try:
            model_of(cell)
        except UsageError:
            continue
        models += 1
        assert properties_asked(cell), cell
    assert 100 < models <= MOST_MODELS


def test_callers_rely_on_properties_that_exist():
    assert {name for context in CONTEXTS.values() for name in context.relies} <= set(READER_PROPERTIES)
    assert {name for context in CONTEXTS.values() for name in context.writers} <= set(MIXES)
