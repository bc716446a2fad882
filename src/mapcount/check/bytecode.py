"""The bytecode of one thread: instructions over registers, each with its place in the scheme's source.

Registers hold plain integers. Only ACCESS touches what other threads see; all else is a thread's own work.
"""

from __future__ import annotations

import enum
import operator
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.schemes.ops import Primitive
    from mapcount.schemes.words import Word


class Code(enum.IntEnum):
    """What an instruction does; `t` is its target, `a` and `b` its operands."""

    HALT = 0
    BEGIN = 1
    """A call of an operation or a reader starts; `jump` is its number in the thread."""
    END = 2
    """That call is over and returned `a`."""
    MOVE = 3
    """t = a"""
    JUMP = 4
    JUMP_IF_ZERO = 5
    JUMP_UNLESS_ZERO = 6
    ACCESS = 7
    """t = what `primitive` returns of `word`[a], with argument b"""
    STATISTIC = 8
    """Statistic number a changes by b pages."""
    BARRIER = 9
    ADD = 10
    SUB = 11
    MUL = 12
    FLOORDIV = 13
    MOD = 14
    AND = 15
    OR = 16
    XOR = 17
    LSHIFT = 18
    RSHIFT = 19
    LT = 20
    LE = 21
    EQ = 22
    NE = 23
    HOLD = 24
    """Lock number a (locks.py) is taken with the next access; with b for reading, so that others may have it too."""
    RELEASE = 25
    """Lock number a is given back with the last access."""


ARITHMETIC: dict[Code, Callable[[int, int], int]] = {
    Code.ADD: operator.add,
    Code.SUB: operator.sub,
    Code.MUL: operator.mul,
    Code.FLOORDIV: operator.floordiv,
    Code.MOD: operator.mod,
    Code.AND: operator.and_,
    Code.OR: operator.or_,
    Code.XOR: operator.xor,
    Code.LSHIFT: operator.lshift,
    Code.RSHIFT: operator.rshift,
    Code.LT: lambda a, b: int(a < b),
    Code.LE: lambda a, b: int(a <= b),
    Code.EQ: lambda a, b: int(a == b),
    Code.NE: lambda a, b: int(a != b),
}
"""t = a ? b"""
JUMPS = frozenset({Code.JUMP, Code.JUMP_IF_ZERO, Code.JUMP_UNLESS_ZERO})


class Register(NamedTuple):
    """A register, by number."""

    number: int


Operand: TypeAlias = "int | Register"
"""A constant or a register."""


class Frame(NamedTuple):
    """A line of a function that is being run."""

    function: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.function}() {os.path.basename(self.file)}:{self.line}"


Position: TypeAlias = tuple[Frame, ...]
"""Where an instruction comes from: the operation or reader first, then each function called, its own line last."""


class Instruction(NamedTuple):
    """One instruction; fields that its code does not use are left at their defaults."""

    code: Code
    position: Position
    target: Register | None = None
    a: Operand = 0
    b: Operand = 0
    jump: int = 0
    primitive: Primitive | None = None
    word: Word | None = None

    @property
    def reads(self) -> list[int]:
        """Return the numbers of the registers that it reads."""
        return [operand.number for operand in (self.a, self.b) if isinstance(operand, Register)]


@dataclass(frozen=True)
class Program:
    """
    What one thread runs: its calls one after the other, each from its BEGIN to its END, then HALT.

    `live[pc]` are the registers whose value may still be read from `pc` on, in ascending order.
    """

    instructions: tuple[Instruction, ...]
    live: tuple[tuple[int, ...], ...]
    nr_registers: int

    def __str__(self) -> str:
        return "\n".join(f"{pc:4d}  {_told(one)}" for pc, one in enumerate(self.instructions))


def _told(one: Instruction) -> str:
    def name(operand: Operand) -> str:
        return f"r{operand.number}" if isinstance(operand, Register) else str(operand)

    what = one.primitive.name if one.primitive else one.code.name
    of = f" {one.word.name}[{name(one.a)}], {name(one.b)}" if one.word else f" {name(one.a)}, {name(one.b)}"
    jump = f" -> {one.jump}" if one.code in JUMPS or one.code is Code.BEGIN else ""
    target = f"{name(one.target)} = " if one.target else ""
    return f"{target}{what}{of}{jump}    {one.position[-1] if one.position else ''}"
