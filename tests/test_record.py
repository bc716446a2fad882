"""Records behave as the dataclasses of the standard library do."""

import copy
import dataclasses
import pickle
from functools import cached_property

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.record import record


@record(frozen=True)
class Quick:
    """One."""

    number: int
    names: list[str] = dataclasses.field(default_factory=list)
    word: str = "none"

    @cached_property
    def twice(self) -> int:
        return 2 * self.number


@dataclasses.dataclass(frozen=True)
class Plain:
    """Its counterpart."""

    number: int
    names: list[str] = dataclasses.field(default_factory=list)
    word: str = "none"


@record
class Loose:
    """It may change."""

    number: int = 7


@record(frozen=True, eq=False)
class Unlike:
    """Compared by identity."""

    number: int


def texts(made):
    return repr(made).replace("Plain", "Quick")


VALUES = st.tuples(st.integers(0, 2), st.lists(st.sampled_from("ab"), max_size=1), st.sampled_from(["x", "y"]))


@given(VALUES, VALUES)
def test_equal_where_dataclasses_are(one, other):
    assert (Quick(*one) == Quick(*other)) == (Plain(*one) == Plain(*other))
    assert texts(Quick(*one)) == texts(Plain(*one))
    assert dataclasses.asdict(Quick(*one)) == dataclasses.asdict(Plain(*one))


def test_only_its_own_class_is_equal():
    assert Quick(1) != Plain(1)
    assert Unlike(1) != Unlike(1)


@given(st.integers(), st.integers())
def test_hashed_by_value_if_frozen(one, other):
    assert len({(), *(Quick(number, (), "x") for number in (one, other))}) == len({(), one, other})
    with pytest.raises(TypeError, match="unhashable"):
        hash(Loose(one))


def test_every_list_is_another_one():
    assert Quick(1).names is not Quick(1).names


@pytest.mark.parametrize("name", ["number", "names", "word", "other"])
def test_what_is_frozen_does_not_change(name):
    made = Quick(3)
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        setattr(made, name, 5)
    with pytest.raises(dataclasses.FrozenInstanceError, match=name):
        delattr(made, name)
    assert made == Quick(3)


def test_what_is_loose_changes():
    made = Loose()
    made.number += 4
    assert made == Loose(11)


def test_copies_are_equal_and_frozen():
    made = Quick(3, ["a"])
    assert made.twice == 6
    for same in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), dataclasses.replace(made)):
        assert same == made
        with pytest.raises(dataclasses.FrozenInstanceError):
            same.number = 4
    assert dataclasses.replace(made, number=5).twice == 10


def test_arguments_are_checked():
    with pytest.raises(TypeError, match="number"):
        Quick()
    with pytest.raises(TypeError, match="other"):
        Quick(1, other=2)
