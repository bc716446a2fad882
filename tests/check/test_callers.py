"""Callers bound to schemes: the operation stands where its name stood, and the reference count moves in the kernel's order."""

from __future__ import annotations

import pytest

from mapcount.check.callers import QUESTIONS, WRITERS, asked, bound
from mapcount.check.model import Call, Model
from mapcount.check.steps import Steps
from mapcount.check.trace import trace
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

CONSTANTS = {"REFERENCES": 1, "FIRST": 1, "LAST": 1, "TOTAL": 1}


def _words(call):
    """Return the words that a caller touches, in its order; large-mapcount: a page's count and the total."""
    model = Model(
        find_scheme("large-mapcount"), 1, ((call,),), (Call("map_ptes", 0, 1, 1),), Kind.SHMEM, references=True
    )
    steps, state, way = Steps(model), Steps(model).first, []
    while not steps.is_over(state):
        way.append(0)
        state = steps.step(state, 0).state
    told = trace(model, way).steps
    return [step.cell.word.name for step in told], [step.held for step in told]


@pytest.mark.parametrize(
    ("call", "first"),
    [
        # A reference before the mapping is counted, and after it is uncounted.
        (Call("map_ptes", 1, 1, 2, via="fault"), True),
        (Call("map_ptes", 1, 1, 2, via="insert"), True),
        (Call("map_pmd", mm=2, via="fault_pmd"), True),
        (Call("dup_ptes", 0, 1, 2, parent=1, via="fork"), True),
        (Call("unmap_ptes", 0, 1, 1, via="zap"), False),
        (Call("unmap_ptes", 0, 1, 1, via="madvise_dontneed"), False),
        (Call("unmap_ptes", 0, 1, 1, via="wp_page_copy"), False),
        (Call("unmap_ptes", 0, 1, 1, via="try_to_migrate"), False),
    ],
    ids=lambda part: part.via if isinstance(part, Call) else "",
)
def test_references_move_in_the_kernels_order(call, first):
    words, held = _words(call)
    assert words.count("_refcount") == 1
    assert words.index("_refcount") == (0 if first else len(words) - 1)
    # The reference of a zap goes when the page table is unlocked; that of a migrated page, before.
    if call.via in {"zap", "wp_page_copy"}:
        assert held[-1] == ()
    if call.via == "try_to_migrate":
        assert set(held[-1]) == {"folio lock", "anon_vma or i_mmap lock", "page-table lock of mm 1"}


def test_every_writer_names_an_operation_that_it_calls():
    for name, writer in WRITERS.items():
        functions = [writer.function, writer.finding]
        assert any(functions), name
        for function in filter(None, functions):
            assert writer.operation in _names(function), name


def _names(function):
    """Return the names that a function uses, and those that functions of its own module use for it."""
    own = {name: function.__globals__.get(name) for name in function.__code__.co_names}
    called = [one for one in own.values() if getattr(one, "__module__", "") == function.__module__ and callable(one)]
    return set(own).union(*map(_names, called))


def test_a_scheme_without_the_operation_is_refused(monkeypatch):
    scheme = find_scheme("large-mapcount")
    functions = {name: one for name, one in scheme.functions.items() if name != "map_ptes"}
    monkeypatch.setitem(scheme.__dict__, "functions", functions)
    with pytest.raises(UsageError, match="has no map_ptes, which fault_ptes calls"):
        bound(WRITERS["fault"].function, scheme, CONSTANTS)


@pytest.mark.parametrize(
    ("scheme", "question", "can"),
    [
        ("mm-id", "others_by_owner", True),
        # No lock of slots, no such question.
        ("large-mapcount", "others_by_owner", False),
        ("large-mapcount", "extra_references", True),
        ("original-thp", "extra_references", False),
        ("original-thp", "others_by_refcount", True),
    ],
)
def test_who_can_be_asked_what(scheme, question, can):
    assert question in QUESTIONS
    assert (asked(find_scheme(scheme), question) is not None) is can


def test_a_schemes_own_reader_is_asked_first():
    scheme = find_scheme("mm-id")
    own = next(reader for reader in scheme.scheme.readers if reader.name == "folio_mapcount")
    assert asked(scheme, "folio_mapcount") is own
    assert asked(scheme, "nothing") is None
