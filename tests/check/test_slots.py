"""Registers that outlive a step share variables only if they are never alive together."""

from check.tiny import tiny_module
from mapcount.check.assembler import Assembler
from mapcount.check.bytecode import Code
from mapcount.check.lower import Entry, lower
from mapcount.check.slots import slots
from mapcount.mapping.schema import Kind
from mapcount.schemes.memory import Memory
from mapcount.schemes.ops import PRIMITIVES
from mapcount.schemes.words import folio_word

X = folio_word("x")


def load(assembler):
    target = assembler.register()
    assembler.emit(Code.ACCESS, 0, target=target, primitive=PRIMITIVES["read"], word=X)
    return target


def test_one_after_the_other_share_and_at_once_do_not():
    """a is alive over the second load, b and c over the third and fourth, d only within its step."""
    assembler = Assembler()
    assembler.emit(Code.BEGIN)
    a = load(assembler)
    b = load(assembler)
    assembler.emit(Code.ADD, a, b, target=(c := assembler.register()))
    d = load(assembler)
    assembler.emit(Code.ADD, c, d, target=(e := assembler.register()))
    assembler.emit(Code.ADD, e, b, target=(f := assembler.register()))
    assembler.emit(Code.END, f)
    found = slots(assembler.finish())
    assert set(found) == {a.number, b.number, c.number}
    assert found[b.number] != found[c.number]
    assert set(found.values()) == {0, 1}


def test_calls_one_after_the_other_need_no_more_than_one(tmp_path):
    module = tiny_module(
        tmp_path,
        """
        def twice(m, folio, order, page):
            first = read(m, X, folio)
            return first + read(m, Y, folio)
        """,
    )
    memory = Memory((), [1], [Kind.ANON])
    entry = Entry(module.twice, (0, 1, 0))
    assert set(slots(lower([entry], memory)).values()) == {0}
    assert set(slots(lower([entry] * 3, memory)).values()) == {0}
