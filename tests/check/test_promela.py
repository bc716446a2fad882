"""The export without SPIN: C's operators reckon as Python's, and what cannot be said in Promela is refused."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from check.tiny import tiny_scheme
from mapcount.check.bytecode import ARITHMETIC, Code
from mapcount.check.effects import _EFFECTS, _RESULTS
from mapcount.check.model import Call, Model
from mapcount.check.promela import promela
from mapcount.check.promela_statements import PROMELA_EFFECTS, PROMELA_OPERATORS, PROMELA_RESULTS, word_name
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.schemes.scheme import Promise, Quantity
from mapcount.schemes.words import folio_word

NEW_PMD = (Call("new_pmd", mm=1),)


class C(int):
    """An integer with C's division and remainder."""

    def __truediv__(self, other):
        return C(abs(self) // abs(other) * (1 if (self < 0) == (other < 0) else -1))

    def __mod__(self, other):
        return C(int(self) - int(self / other) * int(other))


@given(st.sampled_from(sorted(ARITHMETIC)), st.integers(-40, 40), st.integers(-40, 40))
@example(Code.FLOORDIV, -7, 2)
@example(Code.MOD, 7, -2)
def test_operators_reckon_as_pythons(code, a, b):
    if code in {Code.LSHIFT, Code.RSHIFT}:
        b = abs(b) % 8
    if code in {Code.FLOORDIV, Code.MOD} and b == 0:
        return
    text = PROMELA_OPERATORS[code].format(a="a", b="b").replace("&&", "and")
    assert int(eval(text, {"a": C(a), "b": C(b)})) == ARITHMETIC[code](a, b)


def test_every_effect_and_result_has_a_text():
    assert set(PROMELA_EFFECTS) == set(_EFFECTS)
    assert set(PROMELA_RESULTS) == set(_RESULTS) - {"none"}


@pytest.mark.parametrize(
    ("name", "variable"),
    [("_mapcount", "m_mapcount"), ("compound_mapcount", "m_compound_mapcount"), ("_mm_id[1]", "m_mm_id_1")],
)
def test_names_of_words(name, variable):
    assert word_name(folio_word(name)) == variable


@pytest.mark.parametrize("scheme_id", scheme_ids())
def test_every_scheme_with_every_reader_is_exported(scheme_id):
    scheme = find_scheme(scheme_id)
    if scheme_id == "rmap-id":
        with pytest.raises(UsageError, match="rmap-id reckons with 4294967295, which Promela's int"):
            promela(Model(scheme, 2, ((Call("unmap_pmd", mm=1),),), NEW_PMD))
        return
    readers = [one for one in scheme.scheme.readers if one.quantity is not Quantity.COMPLETE_MAPPINGS]
    for reader in readers:
        threads = ((Call("unmap_pmd", mm=1),), (Call("dup_pmd", mm=2),), (Call(reader.name),))
        text = promela(Model(scheme, 2, threads, (*NEW_PMD, Call("dup_pmd", mm=3))))
        assert re.findall(r"^proctype (\w)\(\)", text, re.MULTILINE) == ["a", "b", "c"]
        assert ("assert(kept)" in text) == (reader.promise in {Promise.EXACT, Promise.NEVER_LESS, Promise.NEVER_MORE})
        assert "c_code" not in text


def test_a_place_is_a_step_of_the_program(tmp_path):
    """Three accesses: a call begins with the first, so a thread rests at its beginning, before two others, and at the end."""
    scheme = tiny_scheme(
        tmp_path,
        """
        def map_ptes(m, folio, order, page, nr, mm):
            if atomic_add_return(m, X, folio, nr) == nr:
                atomic_inc(m, Y, folio)
            store(m, X, folio, 7)
            return 0
        """,
    )
    text = promela(Model(scheme, 1, ((Call("map_ptes", 0, 2, 1),),), (), Kind.FILE))
    assert re.findall(r"d_step \{ (.*?) ->", text) == ["pc_a == 0", "pc_a == 1", "pc_a == 2"]
    assert re.findall(r"m_x = .*?;", text) == ["m_x = 0;", "m_x = m_x + 2;", "m_x = 7;"]
    assert "timeout && !(pc_a == 3)" in text


def test_a_thread_that_wants_a_lock_waits(tmp_path):
    scheme = tiny_scheme(
        tmp_path,
        """
        def map_ptes(m, folio, order, page, nr, mm):
            bit_spin_lock(m, LOCK, folio)
            bit_spin_unlock(m, LOCK, folio)
            return 0
        """,
    )
    text = promela(Model(scheme, 1, ((Call("map_ptes", 0, 2, 1),),), (), Kind.FILE))
    assert re.findall(r"d_step \{ (.*?) ->", text) == ["pc_a == 0 && m_lock == 0", "pc_a == 1"]


def test_only_sequential_consistency_is_exported():
    model = Model(find_scheme("mm-id"), 1, ((Call("folio_mapcount"),),), NEW_PMD, memory_model="tso")
    with pytest.raises(UsageError, match="tso cannot be exported"):
        promela(model)


def test_a_truth_that_an_int_cannot_hold_is_refused():
    scheme = find_scheme("large-mapcount")
    threads = ((Call("map_ptes", 0, 16, 2),), (Call("folio_mapcount"),))
    start = (Call("new_ptes", 0, 16, 1),)
    with pytest.raises(UsageError, match="over 30"):
        promela(Model(scheme, 4, threads, start))


def test_a_truth_that_is_no_sum_is_refused(tmp_path):
    scheme = tiny_scheme(
        tmp_path,
        """
        def pages(m, folio, order, page):
            return read(m, X, folio)
        """,
        [("pages", Quantity.PAGES_MAPPED, Promise.EXACT)],
    )
    with pytest.raises(UsageError, match="pages: pages of the folio that any entry maps"):
        promela(Model(scheme, 1, ((Call("pages"),),), (), Kind.FILE))
    complete = Model(find_scheme("complete-mappings"), 1, ((Call("complete_mappings"),),), NEW_PMD)
    with pytest.raises(UsageError, match="VMAs that map all of the folio's pages"):
        promela(complete)
