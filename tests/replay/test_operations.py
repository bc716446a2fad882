"""Every operation of ops.py has statements, and they do to an array what ops.py does to a Memory."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.replay.operations import array_name, array_type, statements
from mapcount.schemes import ops
from mapcount.schemes.memory import Memory
from mapcount.schemes.ops import PRIMITIVES
from mapcount.schemes.words import Scope, Word, folio_flag, folio_word, page_flag, page_word

WORDS = [folio_word("_a[0]", bias=-1), page_word("_b", width_bits=8), folio_word("_c", width_bits=20)]
FLAGS = [page_flag("PG_x"), folio_flag("LOCKED", "flags")]
ON_WORDS = [name for name, row in PRIMITIVES.items() if row.effect in {"add", "sub", "inc", "dec", "load", "store"}]
ON_FLAGS = [
    "test_bit",
    "set_bit",
    "clear_bit",
    "store_bit",
    "test_and_set_bit",
    "test_and_clear_bit",
    "bit_spin_unlock",
]
ON_WORDS = [name for name in ON_WORDS if "bit" not in name]


def run(name, word, value, argument):
    """What the statements leave in the array, and their result."""
    takes = PRIMITIVES[name].effect in {"add", "sub", "store"}
    lines, result = statements(name, word.at(8), ["1", "v"] if takes else ["1"], cost=False)
    space = {array_name(word): np.array([0, value, 0], array_type(word)), "_int64": int, "v": argument}
    # In emitted text locals are 64 bits wide and a store cuts off what its array does not hold.
    code = "\n".join(lines).replace(f"{array_name(word)}[1] = ", "new = ")
    code = code.replace(f"{array_name(word)}[1]", f"int({array_name(word)}[1])")
    exec(code, space)
    if "new" in space:
        space[array_name(word)][1] = np.array(space["new"]).astype(array_type(word))
    return int(space[array_name(word)][1]), int(eval(result, space)) if result else None


def reference(name, word, value, argument):
    orders = [2]
    memory = Memory([word.at(8)], orders * 3, [2] * 3)
    memory.words[word.name][1] = value
    takes = PRIMITIVES[name].effect in {"add", "sub", "store"}
    result = getattr(ops, name)(memory, word, 1, *([argument] if takes else []))
    return memory.words[word.name][1], result


@pytest.mark.parametrize("name", ON_WORDS)
@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.name)
@given(value=st.integers(-(1 << 31), (1 << 31) - 1), argument=st.integers(-(1 << 33), 1 << 33))
def test_words(name, word, value, argument):
    half = 1 << word.width_bits - 1
    value = (value + half) % (2 * half) - half
    assert run(name, word, value, argument) == reference(name, word, value, argument)


@pytest.mark.parametrize("name", ON_FLAGS)
@pytest.mark.parametrize("word", FLAGS, ids=lambda word: word.name)
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("argument", [0, 1])
def test_flags(name, word, value, argument):
    assert run(name, word, value, argument) == reference(name, word, value, argument)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_operation_is_described(name):
    effect, parameters = PRIMITIVES[name].effect, list(inspect.signature(getattr(ops, name)).parameters)
    without_word = effect in {"ask", "look", "tell", "barrier"}
    arguments = parameters[1 if without_word else 2 :]
    for cost in (False, True):
        lines, _ = statements(name, None if without_word else FLAGS[0].at(0), arguments, cost=cost)
        compile("\n".join(lines), name, "exec")


def test_an_unknown_operation():
    with pytest.raises(KeyError):
        statements("atomic_cmpxchg", WORDS[0].at(8), ["i"], cost=False)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("atomic_inc", "locked += 1"),
        ("atomic_set", "stores += 1"),
        ("read", "loads += 1"),
        ("bit_spin_unlock", "stores += 1"),
    ],
)
def test_costs(name, line):
    lines, _ = statements(name, Word("w", Scope.FOLIO).at(16, page=2), ["f", "v"], cost=True)
    assert lines[:2] == [line, "mask |= 4"]
    lines, _ = statements(name, Word("w", Scope.PAGE).at(16), ["i", "v"], cost=True)
    assert lines[:2] == [line, "low, high, gap = touch(low, high, gap, i)"]
