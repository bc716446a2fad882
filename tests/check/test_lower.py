"""What the subset is, what is refused and how, and that lowered Python is Python."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from check.tiny import tiny_scheme
from mapcount.check.bytecode import Code
from mapcount.check.lower import lower
from mapcount.check.model import Call, Model
from mapcount.check.trace import trace
from mapcount.errors import SchemeSourceError
from mapcount.mapping.schema import Kind
from mapcount.schemes import ops
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.schemes.scheme import OPERATIONS


def alone(path, body, *, order=2, kind=Kind.ANON):
    """Run a reader alone; return (what it returned, the words it touched)."""
    lines = body if "def " in body else "def asked(m, folio, order, page):\n" + body
    scheme = tiny_scheme(path, lines, ["asked"])
    model = Model(scheme, order, ((Call("asked"),),), kind=kind)
    plain = scheme.functions["asked"]
    memory = scheme.memory([order], [kind], record=True)
    expected = int(plain(memory, 0, order, 0))
    steps = trace(model, [0] * max(1, len(memory.touched))).steps
    assert [(step.primitive.access, step.cell.word.name, step.cell.at) for step in steps if step.cell] == memory.touched
    return steps[-1].returned, expected


@pytest.mark.parametrize("scheme_id", scheme_ids())
@pytest.mark.parametrize("kind", [Kind.ANON, Kind.FILE, Kind.HUGETLB])
def test_everything_that_ships_can_be_lowered(scheme_id, kind):
    scheme = find_scheme(scheme_id)
    memory = scheme.memory([2], [kind])
    names = {*OPERATIONS, *(reader.name for reader in scheme.scheme.readers)}
    for name in names:
        call = Call(name, 0, 3, 1)
        entry = Model(scheme, 2, ((),)).entry(call)
        program = lower([entry], memory, statistics=True)
        assert program.instructions[-1].code is Code.HALT
        for one in program.instructions[1:-1]:
            assert one.position[0].function == name


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        ("    v = [1]\n    return 0", 2, "List is not in the subset"),
        ("    v = 1.5\n    return 0", 2, "Constant is not in the subset: 1.5"),
        ("    a, b = 1, 2\n    return a", 2, "Assign is not in the subset"),
        ("    v = atomic_read\n    return 0", 2, "neither a variable, an integer constant nor a word"),
        ("    v = 1 < order < 9\n    return v", 2, "one comparison at a time"),
        ("    v = 2 ** order\n    return v", 2, "Pow"),
        ("    for i in (1, 2):\n        pass\n    return 0", 2, "range"),
        ("    for i in range(2):\n        i = 3\n    return 0", 2, "i is the loop's variable"),
        ("    for i in range(2):\n        pass\n    return i", 4, "i is not assigned here"),
        ("    for i in range(0, 2, order - 2):\n        pass\n    return 0", 2, "step"),
        ("    with m:\n        return 0", 2, "With"),
        ("    v = print(1)\n    return 0", 2, "print is neither an operation"),
        ("    v = atomic_read(X, m, folio)\n    return v", 2, "the first argument of every call is the memory"),
        ("    v = atomic_read(m, X, index=0)\n    return v", 2, "by position"),
        ("    v = atomic_read(m, X)\n    return v", 2, "takes 2 arguments after m, not 1"),
        ("    v = atomic_read(m, 7, folio)\n    return v", 2, "takes a word"),
        ("    v = X + 1\n    return v", 2, "X is no number"),
        ("    atomic_inc(m, X, folio)\n    return asked(m, folio, order, page)", 3, "recursion"),
        ("    return 1 // (order - 2)", 2, "integer division or modulo by zero"),
        ("    if atomic_read(m, X, folio):\n        return 1\n    return", 1, "may end without a value"),
        ("    while atomic_read(m, X, folio):\n        pass\n    else:\n        return 1\n    return 0", 2, "While"),
        ("    return (lambda: 1)()", 2, "neither an operation"),
    ],
)
def test_what_the_subset_does_not_allow_is_refused_with_its_place(tmp_path, body, line, reason):
    scheme = tiny_scheme(tmp_path, "def asked(m, folio, order, page):\n" + body, ["asked"])
    function = scheme.functions["asked"]
    with pytest.raises(SchemeSourceError) as told:
        trace(Model(scheme, 2, ((Call("asked"),),)), ())
    file, at, column, text = str(told.value).split(":", 3)
    assert file == function.__code__.co_filename
    assert int(at) == function.__code__.co_firstlineno + line - 1
    assert int(column) >= 1
    assert reason in text
    assert "(in asked)" in text


def test_a_column_is_that_of_the_construct(tmp_path):
    scheme = tiny_scheme(tmp_path, "def asked(m, folio, order, page):\n    v = 1 + len('x')\n    return v", ["asked"])
    with pytest.raises(SchemeSourceError, match=r":\d+:13: len is neither"):
        trace(Model(scheme, 2, ((Call("asked"),),)), ())


def test_a_variable_that_may_be_unset_is_refused(tmp_path):
    body = "def asked(m, folio, order, page):\n    if atomic_read(m, X, folio):\n        v = 1\n    return v"
    scheme = tiny_scheme(tmp_path, body, ["asked"])
    with pytest.raises(SchemeSourceError, match="v may be read before it is assigned"):
        trace(Model(scheme, 2, ((Call("asked"),),)), ())


def test_an_operation_needs_a_row_and_nothing_else(tmp_path, monkeypatch):
    """An operation that is new in ops.py is lowered by its row; without one it is refused."""
    source = "from mapcount.schemes import ops\natomic_dec_return = ops.atomic_dec_return\n"
    source += "def asked(m, folio, order, page):\n    return atomic_dec_return(m, X, folio)"

    def atomic_dec_return(m, word, index):
        return m.change(word, index, -1)

    atomic_dec_return.__module__ = ops.__name__
    monkeypatch.setattr(ops, "atomic_dec_return", atomic_dec_return, raising=False)
    model = Model(tiny_scheme(tmp_path, source, ["asked"]), 2, ((Call("asked"),),))
    with pytest.raises(SchemeSourceError, match="atomic_dec_return has no row in ops"):
        trace(model, (0,))
    row = dataclasses.replace(ops.PRIMITIVES["atomic_dec"], name="atomic_dec_return", result="new")
    monkeypatch.setitem(ops.PRIMITIVES, "atomic_dec_return", row)
    (step,) = trace(model, (0,)).steps
    assert (step.before, step.after, step.returned) == (0, -1, -1)
    monkeypatch.setitem(ops.PRIMITIVES, "atomic_dec_return", dataclasses.replace(row, effect="halve"))
    with pytest.raises(SchemeSourceError, match="knows no effect 'halve'"):
        trace(model, (0,))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("atomic_read(m, X, folio) and atomic_read(m, Y, folio)", ["x"]),
        ("atomic_read(m, X, folio) or atomic_read(m, Y, folio)", ["x", "y"]),
        ("not atomic_read(m, X, folio) and atomic_read(m, Y, folio)", ["x", "y"]),
        ("not atomic_read(m, X, folio) or atomic_read(m, Y, folio)", ["x"]),
        ("(atomic_read(m, X, folio) or atomic_read(m, Z, 1)) and atomic_read(m, Y, folio)", ["x", "z", "y"]),
        ("order and atomic_read(m, Y, folio)", ["y"]),
        ("order - 2 and atomic_read(m, Y, folio)", []),
        ("order or atomic_read(m, Y, folio)", []),
        ("atomic_read(m, Z, 0) and order and atomic_read(m, Y, folio)", ["z", "y"]),
        ("atomic_read(m, Z, 0) and order - 2 and atomic_read(m, Y, folio)", ["z"]),
    ],
)
def test_what_is_not_asked_is_not_touched(tmp_path, condition, words):
    """X and Y hold 0 and Z holds -1: the words that are touched follow from Python's rules, counted by hand."""
    source = f"def asked(m, folio, order, page):\n    if {condition}:\n        return 1\n    return 0"
    scheme = tiny_scheme(tmp_path, source, ["asked"])
    steps = trace(Model(scheme, 2, ((Call("asked"),),)), [0] * max(1, len(words))).steps
    assert [step.cell.word.name for step in steps if step.cell] == words
    assert steps[-1].returned is not None


@pytest.mark.parametrize(
    "body",
    [
        "    v = order and 7\n    return v",
        "    return atomic_read(m, Z, 1) or 5",
        "    return atomic_read(m, X, folio) or 5",
        "    return (atomic_read(m, X, folio) and 5) + 2",
        "    return 3 if atomic_read(m, X, folio) else 4",
        "    return ~order + (-order) + (+order) + (not order)",
        "    return -7 // 2 * 10 + -7 % 3 + (1 << 5 >> 2) ^ 9 | 64 & 65",
        "    v = 0\n    for i in range(5, 0, -2):\n        v = v * 10 + i\n    return v",
        "    v = 0\n    n = 3\n    for i in range(n):\n        n = 1\n        v += i\n    return v * 10 + n",
        (
            "    v = 0\n    for i in range(7):\n        if i == 2:\n            continue\n"
            "        if i == 5:\n            break\n        v += i\n    return v"
        ),
        "    v = 0\n    while True:\n        v += 1\n        if v < 4:\n            continue\n        break\n    return v",
        "    v = 0\n    while v < 9 and atomic_add_return(m, X, folio, 2) < 7:\n        v += 1\n    return v",
        "    order = order + 1\n    order += order\n    return order",
        "    v: int = 3\n    pass\n    return v > 2",
        "    v = 10\n    for i in range(3):\n        for j in range(i):\n            v += i * j\n    return v",
        "    return test_and_set_bit(m, LOCK, folio) * 10 + test_and_set_bit(m, LOCK, folio)",
        "    store(m, X, folio, (1 << 31) - 1)\n    return atomic_add_return(m, X, folio, 1) < 0",
        "    return folio_test_anon(m, folio) * 4 + folio_test_shmem(m, folio) * 2 + folio_maybe_dma_pinned(m, folio)",
    ],
)
def test_lowered_python_is_python(tmp_path, body):
    returned, expected = alone(tmp_path, body)
    assert returned == expected


def test_a_parameter_that_is_assigned_is_the_callees_own(tmp_path):
    source = """
    def twice(m, v):
        v = v * 2
        return v

    def asked(m, folio, order, page):
        v = 5 + atomic_read(m, X, folio)
        return twice(m, v) * 100 + twice(m, twice(m, v)) + v
    """
    returned, expected = alone(tmp_path, source)
    assert returned == expected == 1025


def test_a_word_may_be_an_argument(tmp_path):
    source = """
    def both(m, word, other, folio):
        return atomic_inc_and_test(m, word, folio) + atomic_read(m, other, folio)

    def asked(m, folio, order, page):
        return both(m, X, Y, folio) + both(m, Y, X, folio) * 10
    """
    returned, expected = alone(tmp_path, source)
    assert returned == expected == 10


def test_positions_name_each_call_on_the_way(tmp_path):
    source = "def asked(m, folio, order, page):\n    return outer(m, folio)\n"
    source += "def outer(m, folio):\n    v = 1\n    return inner(m, folio)\n"
    source += "def inner(m, folio):\n    return atomic_read(m, X, folio)\n"
    scheme = tiny_scheme(tmp_path, source, ["asked"])
    first = scheme.functions["asked"].__code__.co_firstlineno
    (step,) = trace(Model(scheme, 1, ((Call("asked"),),)), (0,)).steps
    assert [(frame.function, frame.line - first) for frame in step.position] == [
        ("asked", 1),
        ("outer", 4),
        ("inner", 6),
    ]
    assert {frame.file for frame in step.position} == {scheme.functions["asked"].__code__.co_filename}


def test_statistics_are_left_out_unless_wanted():
    scheme = find_scheme("large-mapcount")
    entry = Model(scheme, 2, ((),)).entry(Call("map_ptes", 0, 3, 1))
    memory = scheme.memory([2], [Kind.ANON])
    for wanted in (False, True):
        codes = {one.code for one in lower([entry], memory, statistics=wanted).instructions}
        assert (Code.STATISTIC in codes) is wanted


def test_what_only_a_statistic_needs_leaves_no_register(tmp_path):
    """Else a thread that will change a statistic, and one that will not, would be two states."""
    source = """
    def map_ptes(m, folio, order, page, nr, mm):
        was = atomic_inc_and_test(m, Z, page)
        atomic_inc(m, X, folio)
        if was:
            mod_stat(m, folio, 0, nr)
    """
    scheme = tiny_scheme(tmp_path, source)
    entry = Model(scheme, 2, ((),)).entry(Call("map_ptes", 0, 1, 1))
    memory = scheme.memory([2], [Kind.ANON])

    def live_at_second(*, statistics):
        program = lower([entry], memory, statistics=statistics)
        accesses = [pc for pc, one in enumerate(program.instructions) if one.code is Code.ACCESS]
        return len(program.live[accesses[1]])

    assert live_at_second(statistics=False) == 0
    assert live_at_second(statistics=True) == 1


names = st.sampled_from(["a", "b", "c"])


@st.composite
def expressions(draw, depth=2):
    """Write an expression over three variables and two words."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        leaf = st.sampled_from(["a", "b", "c", "order", "page", "3", "-2", "READ", "SWAP"])
        text = draw(leaf)
        return {"READ": "atomic_read(m, X, folio)", "SWAP": "atomic_add_return(m, Y, folio, 1)"}.get(text, text)
    left, right = draw(expressions(depth - 1)), draw(expressions(depth - 1))
    operator = draw(
        st.sampled_from(["+", "-", "*", "&", "|", "^", "<", "<=", ">", ">=", "==", "!=", "and", "or", "if"])
    )
    if operator == "if":
        return f"({left} if {draw(expressions(depth - 1))} else {right})"
    return f"({left} {operator} {right})" if draw(st.booleans()) else f"(not ({left} {operator} {right}))"


@st.composite
def blocks(draw, depth=2, *, in_loop=False):
    """Write some statements."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["assign", "add", "store", "if", "for", "leave"]))
        if kind == "assign":
            lines.append(f"{draw(names)} = {draw(expressions())}")
        elif kind == "add":
            lines.append(f"{draw(names)} += {draw(expressions())}")
        elif kind == "store":
            lines.append(f"store(m, X, folio, {draw(expressions())})")
        elif kind == "if" and depth:
            lines.append(f"if {draw(expressions())}:")
            lines += ["    " + line for line in draw(blocks(depth - 1, in_loop=in_loop))]
            if draw(st.booleans()):
                lines += ["else:", *("    " + line for line in draw(blocks(depth - 1, in_loop=in_loop)))]
        elif kind == "for" and depth:
            lines.append(f"for i{depth} in range({draw(st.integers(0, 3))}):")
            lines += ["    " + line for line in draw(blocks(depth - 1, in_loop=True))]
        elif kind == "leave":
            ways = ["break", "continue"] if in_loop else []
            lines.append(draw(st.sampled_from([*ways, f"return {draw(expressions())}", "pass"])))
        else:
            lines.append("pass")
    return lines


@given(blocks())
@settings(deadline=None, max_examples=150)
def test_random_functions_do_the_same_lowered(tmp_path_factory, lines):
    body = ["a = 1", "b = order", "c = 0", *lines, "return a * 10007 + b * 101 + c"]
    returned, expected = alone(tmp_path_factory.mktemp("random"), "\n".join("    " + line for line in body))
    assert returned == expected
