"""What a thread does, as statements of Promela: accesses to words, and its own work on registers.

The effects and results are those of effects.py, the arithmetic is Python's. Within a step registers are variables that outlive
it or hidden ones (slots.py).
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from mapcount.check.bytecode import ARITHMETIC, JUMPS, Code, Register
from mapcount.check.surroundings import STATISTICS, VMAS, VMAS_STATISTIC
from mapcount.check.thread_run import LONGEST_WORK
from mapcount.errors import UsageError
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mapcount.check.bytecode import Instruction, Operand
    from mapcount.schemes.words import Word

RESULT = "result"
"""A hidden variable: what an access or a call has just returned."""

_LABEL = re.compile(r"\w+: ")

PROMELA_EFFECTS = {
    "add": "{word} = {word} + {argument}",
    "sub": "{word} = {word} - {argument}",
    "inc": "{word} = {word} + 1",
    "dec": "{word} = {word} - 1",
    "store": "{word} = {argument}",
    "load": "",
    "set": "{word} = 1",
    "clear": "{word} = 0",
    "lock": "{word} = 1",
    "unlock": "{word} = 0",
}
PROMELA_RESULTS = {"new": "{word}", "zero": "({word} == 0)", "negative": "({word} < 0)", "old": RESULT}
_FLOOR = "(({a}) % ({b}) != 0 && (({a}) < 0) != (({b}) < 0))"
"""Whether Python's quotient is one less than C's."""
PROMELA_OPERATORS = {
    Code.ADD: "{a} + {b}",
    Code.SUB: "{a} - {b}",
    Code.MUL: "{a} * {b}",
    Code.FLOORDIV: "{a} / {b} - " + _FLOOR,
    Code.MOD: "{a} % {b} + {b} * " + _FLOOR,
    Code.AND: "{a} & {b}",
    Code.OR: "{a} | {b}",
    Code.XOR: "{a} ^ {b}",
    Code.LSHIFT: "{a} << {b}",
    Code.RSHIFT: "{a} >> {b}",
    Code.LT: "({a} < {b})",
    Code.LE: "({a} <= {b})",
    Code.EQ: "({a} == {b})",
    Code.NE: "({a} != {b})",
}


def word_name(word: Word) -> str:
    """Return the variable of a word: its name in the memory m."""
    return "m" + "".join(c if c.isalnum() else "_" for c in f"{'' if word.name[0] == '_' else '_'}{word.name}").rstrip(
        "_"
    )


def number(value: int) -> str:
    """Return a constant as an operand."""
    return str(value) if value >= 0 else f"(-{-value})"


class Names:
    """
    Names within one step: of registers, and of labels, which begin with `prefix`.

    `lasting` returns the variable of a register that outlives the step, or None.
    """

    def __init__(self, lasting: Callable[[int], str | None], prefix: str) -> None:
        self._lasting = lasting
        self._prefix = prefix
        self._hidden: dict[int, str] = {}

    @property
    def scratch(self) -> int:
        """How many hidden variables were named."""
        return len(self._hidden)

    def register(self, register: int) -> str:
        """Return the variable of a register."""
        return self._lasting(register) or self._hidden.setdefault(register, f"t{len(self._hidden)}")

    def operand(self, operand: Operand, known: Mapping[int, int] | None = None) -> str:
        """Return an operand; a constant for a register whose value is known."""
        if isinstance(operand, Register):
            constant = (known or {}).get(operand.number)
            return self.register(operand.number) if constant is None else number(constant)
        return number(operand)

    def label(self, of: int | str) -> str:
        """Return a label."""
        return f"{self._prefix}{of}"


class Approach:
    """What a thread does from a place up to and without its next access, or the END of a call that has none."""

    def __init__(self, code: Sequence[Instruction], pc: int) -> None:
        self.locks: list[Instruction] = []
        """those that are taken and given back, in order"""
        self.known: dict[int, int] = {}
        """what registers hold by then, as far as it is always the same"""
        self._done: list[Instruction] = []
        self.access = pc
        for _ in range(LONGEST_WORK):
            one = code[self.access]
            if one.code in {Code.ACCESS, Code.END}:
                return
            self._take(one._replace(a=self._bind(one.a), b=self._bind(one.b)))
        raise UsageError(f"{code[pc].position[-1]}: loops for ever without touching a word")

    def statements(self, names: Names, alive: Iterable[int]) -> list[str]:
        """Return what has to be done, if these registers are read later."""
        lines = [text for one in self._done for text in own_work(one, names)]
        return lines + [f"{names.register(one)} = {number(self.known[one])}" for one in alive if one in self.known]

    def _take(self, one: Instruction) -> None:
        self.access = one.jump if _jumps(one) else self.access + 1
        if one.code in {Code.HOLD, Code.RELEASE}:
            self.locks.append(one)
        elif one.target:
            self._set(one.target.number, one)
        elif one.code is Code.STATISTIC:
            self._done.append(one)

    def _bind(self, operand: Operand) -> Operand:
        return self.known.get(operand.number, operand) if isinstance(operand, Register) else operand

    def _set(self, register: int, bound: Instruction) -> None:
        self.known.pop(register, None)
        if isinstance(bound.a, Register) or isinstance(bound.b, Register):
            self._done.append(bound)
        else:
            self.known[register] = bound.a if bound.code is Code.MOVE else ARITHMETIC[bound.code](bound.a, bound.b)


def _jumps(one: Instruction) -> bool:
    """Return whether an instruction jumps that depends on a constant, or on nothing. Raises UsageError for others."""
    if one.code not in JUMPS or one.code is Code.JUMP:
        return one.code is Code.JUMP
    if isinstance(one.a, Register):
        raise UsageError(f"{one.position[-1]}: which access comes after a lock depends on values: not exported")
    return (one.a == 0) == (one.code is Code.JUMP_IF_ZERO)


def own_work(one: Instruction, names: Names) -> list[str]:
    """Return an instruction that touches registers and statistics alone."""
    a, b = names.operand(one.a), names.operand(one.b)
    if one.code is Code.STATISTIC:
        assert isinstance(one.a, int)
        changed = word_name(VMAS if one.a == VMAS_STATISTIC else STATISTICS[one.a])
        return [f"{changed} = {changed} + {b}"]
    if one.target is None:
        return []
    value = a if one.code is Code.MOVE else PROMELA_OPERATORS[one.code].format(a=a, b=b)
    return [f"{names.register(one.target.number)} = {value}"]


def without_needless_jumps(statements: Sequence[str]) -> list[str]:
    """Return statements without jumps to what follows anyway, and without labels that nothing jumps to."""
    kept = [
        one
        for one, following in zip(statements, [*statements[1:], ""], strict=True)
        if not (one.startswith("goto ") and following.startswith(f"{one.removeprefix('goto ')}: "))
    ]
    targets = {word for one in kept for at, word in pairwise(one.split()) if at == "goto"}
    return [
        one.partition(": ")[2] if _LABEL.match(one) and one.partition(":")[0] not in targets else one for one in kept
    ]


def access_to(one: Instruction, names: Names, known: Mapping[int, int]) -> tuple[str, list[str]]:
    """Return what must be true for an access to happen (more of a guard), and its statements."""
    assert one.word is not None
    assert one.primitive is not None
    index = f"[{names.operand(one.a, known)}]" if one.word.scope is Scope.PAGE else ""
    word = f"{word_name(one.word)}{index}"
    effect, result = one.primitive.effect, one.primitive.result
    if effect not in PROMELA_EFFECTS or (one.target and result not in PROMELA_RESULTS):
        raise UsageError(f"{one.primitive.name} cannot be exported to Promela: {effect}, returns {result}")
    lines = [f"{RESULT} = {word}"] if result == "old" and one.target else []
    if PROMELA_EFFECTS[effect]:
        lines.append(PROMELA_EFFECTS[effect].format(word=word, argument=names.operand(one.b, known)))
        if one.word.width_bits == 8:
            lines.append(f"{word} = (({word} + 128) & 255) - 128")
    if one.target:
        lines.append(f"{names.register(one.target.number)} = {PROMELA_RESULTS[result].format(word=word)}")
    return (f" && {word} == 0" if effect == "lock" else ""), lines
