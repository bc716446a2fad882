"""States of one thread: what is not read any more is not part of them, and work that never ends is noticed."""

from __future__ import annotations

import pytest

from check.tiny import tiny_scheme
from mapcount.check.model import Call, Model
from mapcount.check.steps import Steps
from mapcount.check.trace import trace
from mapcount.errors import UsageError


def test_a_value_that_is_not_read_again_is_forgotten(tmp_path):
    """Whatever the first load sees, one state follows: it decides nothing."""
    source = """
    def counted(m, folio, order, page):
        v = atomic_read(m, X, folio)
        v = atomic_read(m, Y, folio)
        return v
    """
    steps = Steps(Model(tiny_scheme(tmp_path, source, ["counted"]), 1, ((Call("counted"),),)))
    (thread,) = steps.threads
    assert {thread.move(thread.first, old).local for old in range(7)} == {1}
    assert thread.locals[1].registers == ()


def test_a_value_that_is_read_again_is_kept(tmp_path):
    source = """
    def counted(m, folio, order, page):
        v = atomic_read(m, X, folio)
        return v + atomic_read(m, Y, folio)
    """
    steps = Steps(Model(tiny_scheme(tmp_path, source, ["counted"]), 1, ((Call("counted"),),)))
    (thread,) = steps.threads
    following = [thread.move(thread.first, old).local for old in (5, 7, 5)]
    assert following[0] == following[2] != following[1]
    assert thread.locals[following[1]].registers == (7,)


def test_a_loop_without_an_access_ends_in_an_error(tmp_path):
    source = "def counted(m, folio, order, page):\n    v = 1\n    while v:\n        v += 1\n    return v"
    with pytest.raises(UsageError, match=r"counted\(\) tiny_\d+.py:\d+: loops for ever without touching a word"):
        trace(Model(tiny_scheme(tmp_path, source, ["counted"]), 1, ((Call("counted"),),)), (0,))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return atomic_read(m, Z, 2)", r"there is no z\[2\] in this folio"),
        ("return atomic_read(m, X, 1)", r"there is no x\[1\] in this folio"),
        ("return atomic_read(m, Z, -1)", r"there is no z\[-1\]"),
        ("return atomic_read(m, _large_mapcount, folio)", "uses _large_mapcount, and does not declare where it lies"),
    ],
)
def test_a_word_outside_the_folio_is_refused(tmp_path, body, reason):
    source = f"from mapcount.schemes.words import _large_mapcount\ndef counted(m, folio, order, page):\n    {body}"
    with pytest.raises(UsageError, match=reason):
        Steps(Model(tiny_scheme(tmp_path, source, ["counted"]), 1, ((Call("counted"),),)))
