"""Whatever is shortened comes back; what is done page by page gets short."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mapcount.kernels.access_runs import Rounds, expand, shorten
from mapcount.kernels.word_access import WordAccess
from mapcount.schemes.ops import Access

_one = st.builds(
    WordAccess,
    st.sampled_from([Access.LOCKED, Access.STORE]),
    st.sampled_from(["_mapcount", "_refcount"]),
    st.integers(0, 3),
    st.integers(-1, 2),
    st.integers(-1, 2),
    st.sampled_from(["f", "g"]),
)
_rounds = st.builds(Rounds, st.integers(2, 7), st.tuples(_one, _one), st.tuples(_one, _one)).map(
    lambda rounds: Rounds(
        rounds.times,
        rounds.first,
        tuple(
            two._replace(how=one.how, word=one.word, function=one.function)
            for one, two in zip(rounds.first, rounds.second, strict=True)
        ),
    )
)


@given(st.lists(st.one_of(_one.map(lambda one: [one]), _rounds.map(Rounds.expanded)), max_size=11))
def test_a_sequence_comes_back(parts):
    accesses = [access for part in parts for access in part]
    assert expand(shorten(accesses)) == accesses


def test_pages_one_after_the_other_are_one_part():
    accesses = [
        access
        for page in range(509)
        for access in (
            WordAccess(Access.LOCKED, "_refcount", 0, 7 + page, 8 + page, "copy"),
            WordAccess(Access.LOCKED, "_mapcount", page, 0, 1, "copy"),
        )
    ]
    [part] = shorten(accesses)
    assert part == Rounds(509, tuple(accesses[:2]), tuple(accesses[2:4]))


def test_another_function_ends_a_part():
    accesses = [WordAccess(Access.LOCKED, "_mapcount", page, 0, 1, "f" if page < 5 else "g") for page in range(11)]
    assert [part.times for part in shorten(accesses)] == [5, 6]
