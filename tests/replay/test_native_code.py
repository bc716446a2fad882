"""Translated text does what Python does with the same text: operators, branches, loops, calls, and elements of every width."""

from __future__ import annotations

import itertools
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.replay.drivers import _load
from mapcount.replay.native_code import object_file

_number = itertools.count()
ELEMENTS = 13


def natively(text, arrays, rows):
    """Call `run_rows` of a text with these arrays; return what it returns and leaves."""
    name = f"test{next(_number)}"
    [run] = _load(object_file(text, name), [f"run_rows_{name}"])
    kept = [np.array(values, of) for of, values in arrays]
    addresses, refused = np.array([one.ctypes.data for one in kept], np.intp), np.zeros(1, np.int64)
    found = run(addresses.ctypes.data, ELEMENTS, rows, refused.ctypes.data)
    return found, int(refused[0]), [one.tolist() for one in kept]


def plainly(text, arrays, rows):
    """The same in Python, with lists for arrays."""
    names = dict.fromkeys(["_int8", "_int16", "_int32", "_uint8", "_uint32"])
    names |= {"_int64": int, "pointer": lambda values, _: values}
    exec(text, names)
    kept, refused = [list(values) for _, values in arrays], [0]
    found = names["run_rows"](kept, ELEMENTS, rows, refused)
    return found, int(refused[0]), [[int(value) for value in values] for values in kept]


def same(text, arrays, rows):
    assert natively(text, arrays, rows) == plainly(text, arrays, rows)


HEAD = """
def run_rows(arrays, folios, rows, refusals):
    w = pointer(arrays[0], _int64)
    v = pointer(arrays[1], _int64)
"""
VALUES = [("int64", [0] * ELEMENTS), ("int64", [3, -7, 0, 1, 2, -1, 11, 5, -5, 1 << 40, 64, 7, -64])]


def names_or_numbers():
    return st.one_of(
        st.integers(-9, 9).map(str),
        st.sampled_from(["a", "b", "v[a & 7]", "v[b & 3]"]),
    )


def larger(inner):
    """Expressions that stay far from 64 bits: what wraps is another test's matter."""
    pair = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(st.sampled_from(["+", "-", "&", "|", "^"]), pair).map(lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"),
        st.tuples(st.sampled_from(["//", "%", "*"]), inner, st.integers(-7, 7).filter(bool)).map(
            lambda t: f"({t[1]} {t[0]} {t[2]})"
        ),
        st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), pair).map(
            lambda t: f"_int64({t[1][0]} {t[0]} {t[1][1]})"
        ),
        st.tuples(st.sampled_from(["and", "or"]), pair).map(lambda t: f"({t[1][0]} {t[0]} {t[1][1]})"),
        st.tuples(inner, st.integers(0, 3)).map(lambda t: f"({t[0]} >> {t[1]})"),
        st.tuples(inner, st.integers(0, 3)).map(lambda t: f"({t[0]} << {t[1]})"),
        st.tuples(st.sampled_from(["-", "+", "~"]), inner).map(lambda t: f"({t[0]}{t[1]})"),
        inner.map(lambda t: f"_int64(not {t})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
    )


@settings(max_examples=97, deadline=None)
@given(
    st.recursive(names_or_numbers(), larger, max_leaves=11),
    st.integers(-999, 999),
    st.integers(-5, 5),
)
def test_expressions(expression, a, b):
    text = f"{HEAD}    a, b = {a}, {b}\n    w[0] = {expression}\n    return _int64(w[0] > 0)\n"
    same(text, VALUES, 0)


STATEMENTS = """\
for i in range(rows):
    w[i] = i

for i in range(3, rows, 2):
    w[i] = v[i]
w[0] = i

for i in range(rows - 1, 1, -1):
    if i == 4:
        break
    w[i] = 7

for i in range(rows):
    if v[i] < 0:
        continue
    w[i] = 1
    i += 5

end = 5
for i in range(end):
    end = 2
    w[i] = end

n = rows
while n:
    n -= 1
    if n == 2:
        break
    if n & 1:
        continue
    w[n] = n

for i in range(rows):
    for j in range(i, rows):
        if j > 6:
            break
        w[j] = w[j] + i
    w[12] = w[12] + 1

a, b = 3, 5
a, b = b, a
w[a], w[b] = a, b

if rows > 3:
    if rows > 5:
        refusals[0] = 5
        return rows
else:
    pass
"""


@pytest.mark.parametrize("statements", STATEMENTS.split("\n\n"))
@pytest.mark.parametrize("rows", [5, 7, 12])
def test_statements(statements, rows):
    body = textwrap.indent(statements, "    ")
    same(f"{HEAD}{body}\n    refusals[0] = 3\n    return _int64(-1)\n", VALUES, rows)


def test_helpers_with_several_results_and_without():
    text = (
        """
def put(costs, at, low, high):
    costs[at] = costs[at] + low
    costs[at + 1] = high

def order(low, high, gap):
    if low > high:
        return high, low, gap | 1
    return low, high, gap
"""
        + HEAD
        + """
    low, high, gap = 9, 4, 2
    costs = pointer(arrays[0], _int64)
    low, high, gap = order(low, high, gap)
    put(costs, 2, low, high)
    low, high, gap = order(low, high, gap)
    put(costs, 2, low, gap)
    return high
"""
    )
    same(text, VALUES, 0)


@pytest.mark.parametrize(("of", "stored"), [("int8", -1), ("int16", -2), ("int32", -3), ("uint8", 255), ("uint32", 7)])
def test_elements_of_every_width_keep_their_sign_and_their_neighbours(of, stored):
    text = f"""
def run_rows(arrays, folios, rows, refusals):
    w = pointer(arrays[0], _{of})
    w[5] = w[3] + 0
    w[7] = {stored}
    return w[3] + w[4]
"""
    bits = np.iinfo(of)
    values = [bits.max, bits.min, 1, bits.min + 5, bits.max - 5, 0, 9, 0, *range(5)]
    same(text, [(of, values)], 0)


def test_numbers_wrap_at_their_width():
    text = """
def run_rows(arrays, folios, rows, refusals):
    w = pointer(arrays[0], _int8)
    w[0] = w[0] + 1
    v = pointer(arrays[1], _int64)
    v[0] = v[0] + v[0]
    return v[1] // v[2] + v[1] % v[2]
"""
    found, _, (small, large) = natively(text, [("int8", [127]), ("int64", [1 << 62, 5, 0])], 0)
    assert (found, small, large[0]) == (0, [-128], -1 << 63), "dividing by zero is 0 here"


@pytest.mark.parametrize("line", ["w[0] = len(w)", "w[0] = 1.5", "del w", "a = b = 1", "w[0] = 1 < rows < 3"])
def test_what_emitted_text_never_has_is_refused(line):
    with pytest.raises(ValueError, match=r"line \d+ of an emitted text"):
        object_file(f"{HEAD}    {line}\n    return 0\n", "refused")
