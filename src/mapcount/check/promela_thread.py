"""One thread of a model as a proctype of Promela: one d_step for each access, with the thread's own work around it.

The thread's place is a variable, numbered over the places where it can rest between two steps (its calls' beginnings, its
accesses, its end). What it keeps between two steps are variables too, and those that nobody will read hold 0. What it needs
within a step alone are hidden variables, which are no part of a state.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import ARITHMETIC, JUMPS, Code, Register
from mapcount.check.liveness import successors
from mapcount.check.slots import RESTS, slots
from mapcount.errors import UsageError
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mapcount.check.bytecode import Instruction, Operand, Program
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


class Watch(NamedTuple):
    """What the ghost wants to be run, as statements: when a call begins, once it has begun, and when it has returned."""

    before: Callable[[int], list[str]]
    after: Callable[[int], list[str]]
    closed: Callable[[int], list[str]]
    """The value is in RESULT."""


class ThreadText:
    """
    The text of one thread; `name` is the proctype's and that of its variables.

    `kept` are the calls whose results stay part of the state.
    """

    def __init__(self, name: str, program: Program, kept: Iterable[int], of_scheme: frozenset[str]) -> None:
        self.name = name
        self._code = program.instructions
        self._live = program.live
        self._kept = frozenset(kept)
        self._of_scheme = of_scheme
        self._slots = slots(program)
        self._rests = self._reachable_rests()
        self._place = {pc: place for place, pc in enumerate(self._rests)}
        self._begins = [pc for pc, one in enumerate(self._code) if one.code is Code.BEGIN]
        self.scratch = 0
        """how many hidden variables its steps need at once"""

    @property
    def place(self) -> str:
        """The variable that says where the thread is."""
        return f"pc_{self.name}"

    def result(self, call: int) -> str:
        """Return the variable that keeps what a call returned."""
        return f"{self.name}_returned_{call}"

    def variables(self) -> list[str]:
        """Return the declarations of what it keeps between two steps; all begin as 0."""
        kind = "byte" if len(self._rests) <= 256 else "short"
        names = [f"{self.name}{slot}" for slot in sorted(set(self._slots.values()))]
        names += [self.result(call) for call in sorted(self._kept)]
        return [f"{kind} {self.place};", *(f"int {name};" for name in names)]

    def over(self) -> str:
        """Return the condition that it has done everything."""
        return f"{self.place} == {len(self._rests) - 1}"

    def has_begun(self, call: int) -> str:
        """Return the condition that a call has begun, or is over."""
        return f"({self.place} > {self._place[self._begins[call]]})"

    def is_over(self, call: int) -> str:
        """
        Return the condition that a call is over, as far as the counts are concerned.

        It is over with its last access to a word of the scheme; if what it returns decides whether it did anything, not
        before it returns.
        """
        end = self._end(call)
        tail: list[str] = []
        if call not in self._kept:
            inside = [pc for pc in self._rests if self._begins[call] < pc < end]
            tail = [f" || {self.place} == {self._place[pc]}" for pc in inside if not self._counts_on(pc)]
        return f"({self.place} >= {self._place[end]}{''.join(tail)})"

    def is_inside(self, call: int) -> str:
        """Return the condition that a call has begun and has not returned."""
        return f"({self.place} > {self._place[self._begins[call]]} && {self.place} < {self._place[self._end(call)]})"

    def proctype(self, watch: Watch, more: Iterable[str] = ()) -> str:
        """Return the proctype; `more` are further choices."""
        steps = [self._step(pc, watch) for pc in self._rests if self._code[pc].code is not Code.HALT]
        choices = "".join(f"  :: {text}\n" for text in [*steps, *more]) or "  :: false\n"
        return f"proctype {self.name}() {{\nend: do\n{choices}  od\n}}\n"

    def _reachable_rests(self) -> list[int]:
        """Return where it can rest: not at an access that only ever is the first of a call."""
        found: set[int] = set()
        waiting = [0]
        while waiting:
            pc = waiting.pop()
            if pc not in found:
                found.add(pc)
                waiting += self._following_rests(pc)
        return sorted(found)

    def _following_rests(self, pc: int) -> list[int]:
        """Return where it may rest after the step from a place."""
        if self._code[pc].code is Code.HALT:
            return []
        if self._code[pc].code is Code.BEGIN:
            pc, _ = self._to_first_access(pc, _Names(self, ""))
        start = pc + 1 if self._code[pc].code is Code.ACCESS else pc
        return [to for to in self._reach(start, lambda one: one.code in RESTS) if self._code[to].code in RESTS]

    def _end(self, call: int) -> int:
        """Return where the thread rests when a call is over."""
        return [*self._begins[1:], len(self._code) - 1][call]

    def _counts_on(self, pc: int) -> bool:
        """Return whether a word of the scheme may be touched from an instruction on, in the same call."""
        return any(
            one.word is not None and one.word.name in self._of_scheme
            for one in map(self._code.__getitem__, self._reach(pc, lambda one: one.code is Code.END))
        )

    def _reach(self, pc: int, is_last: Callable[[Instruction], bool]) -> set[int]:
        """Return the instructions that may be run from one on, up to those that are the last."""
        reached: set[int] = set()
        waiting = [pc]
        while waiting:
            pc = waiting.pop()
            if pc not in reached:
                reached.add(pc)
                if not is_last(self._code[pc]):
                    waiting += successors(self._code, pc)
        return reached

    def _step(self, pc: int, watch: Watch) -> str:
        call = sum(begin <= pc for begin in self._begins) - 1
        opens = self._code[pc].code is Code.BEGIN
        names = _Names(self, f"{self.name}{self._place[pc]}_")
        guard, done, at = f"{self.place} == {self._place[pc]}", [], pc
        if opens:
            at, given = self._to_first_access(pc, names)
            done += [*watch.before(call), *given]
        if self._code[at].code is Code.ACCESS:
            free, access = _access(self._code[at], names)
            guard, at = guard + free, at + 1
            done += access
        end = [*(watch.after(call) if opens else ()), "skip"]
        end[0] = f"{names.label('done')}: {end[0]}"
        done = _without_needless_jumps([*done, *self._work(at, call, names, watch), *end])
        self.scratch = max(self.scratch, names.scratch)
        return f"d_step {{ {guard} ->\n       " + ";\n       ".join(done) + " }"

    def _to_first_access(self, begin: int, names: _Names) -> tuple[int, list[str]]:
        """
        Return where the first access of a call is, or its END, and what is done until then, as statements.

        A call begins with constants alone, so the work before its first access is the same each time.
        """
        known: dict[int, int] = {}
        changes: list[str] = []

        def value(operand: Operand) -> int:
            return known[operand.number] if isinstance(operand, Register) else operand

        pc = begin + 1
        while (one := self._code[pc]).code not in {Code.ACCESS, Code.END}:
            a, b, pc = value(one.a), value(one.b), pc + 1
            if one.code is Code.JUMP or (one.code in JUMPS and (a == 0) == (one.code is Code.JUMP_IF_ZERO)):
                pc = one.jump
            elif one.code is Code.STATISTIC:
                changes.append(_statistic(str(a), number(b)))
            elif one.target:
                known[one.target.number] = a if one.code is Code.MOVE else ARITHMETIC[one.code](a, b)
        given = [
            f"{names.register(register)} = {number(known[register])}"
            for register in self._live[pc]
            if register in known
        ]
        return pc, [*changes, *given]

    def _work(self, start: int, call: int, names: _Names, watch: Watch) -> list[str]:
        """Return the thread's own work from `start` to where it rests next, with labels for its jumps."""
        reached = sorted(self._reach(start, lambda one: one.code in RESTS))
        targets = {self._code[pc].jump for pc in reached if self._code[pc].code in JUMPS}
        lines: list[str] = []
        if reached[0] != start:
            targets.add(start)
            lines.append(f"goto {names.label(start)}")
        for pc in reached:
            label = f"{names.label(pc)}: " if pc in targets else ""
            one = self._code[pc]
            told = self._rest(pc, names) if one.code in RESTS else self._one(one, call, names, watch)
            lines += [f"{label}{text}" if i == 0 else text for i, text in enumerate(told)]
        return lines

    def _rest(self, pc: int, names: _Names) -> list[str]:
        """Return the end of a step: where the thread is now, and 0 for what nobody will read."""
        alive = {self._slots[register] for register in self._live[pc]}
        dead = sorted(set(self._slots.values()) - alive)
        return [
            f"{self.place} = {self._place[pc]}",
            *(f"{self.name}{slot} = 0" for slot in dead),
            f"goto {names.label('done')}",
        ]

    def _one(self, one: Instruction, call: int, names: _Names, watch: Watch) -> list[str]:
        a, b = names.operand(one.a), names.operand(one.b)
        if one.code is Code.JUMP:
            return [f"goto {names.label(one.jump)}"]
        if one.code in JUMPS:
            sign = "==" if one.code is Code.JUMP_IF_ZERO else "!="
            return [f"if :: {a} {sign} 0 -> goto {names.label(one.jump)} :: else -> skip fi"]
        if one.code is Code.END:
            keep = [f"{self.result(call)} = {RESULT}"] if call in self._kept else []
            return [f"{RESULT} = {a}", *keep, *watch.closed(call)]
        if one.code is Code.STATISTIC:
            return [_statistic(a, b)]
        if one.target is None:
            return ["skip"]
        value = a if one.code is Code.MOVE else PROMELA_OPERATORS[one.code].format(a=a, b=b)
        return [f"{names.register(one.target.number)} = {value}"]

    def variable(self, register: int) -> str | None:
        """Return the variable of a register that outlives a step."""
        return f"{self.name}{self._slots[register]}" if register in self._slots else None


class _Names:
    """Names within one step: of registers, and of labels."""

    def __init__(self, thread: ThreadText, prefix: str) -> None:
        self._thread = thread
        self._prefix = prefix
        self._hidden: dict[int, str] = {}

    @property
    def scratch(self) -> int:
        return len(self._hidden)

    def register(self, register: int) -> str:
        lasting = self._thread.variable(register)
        return lasting or self._hidden.setdefault(register, f"t{len(self._hidden)}")

    def operand(self, operand: Operand) -> str:
        return self.register(operand.number) if isinstance(operand, Register) else number(operand)

    def label(self, of: int | str) -> str:
        return f"{self._prefix}{of}"


def _without_needless_jumps(statements: Sequence[str]) -> list[str]:
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


def _statistic(which: str, by: str) -> str:
    return f"m_stat_{which} = m_stat_{which} + {by}"


def _access(one: Instruction, names: _Names) -> tuple[str, list[str]]:
    """Return what must be true for an access to happen (more of a guard), and its statements."""
    assert one.word is not None
    assert one.primitive is not None
    index = f"[{names.operand(one.a)}]" if one.word.scope is Scope.PAGE else ""
    word = f"{word_name(one.word)}{index}"
    effect, result = one.primitive.effect, one.primitive.result
    if effect not in PROMELA_EFFECTS or (one.target and result not in PROMELA_RESULTS):
        raise UsageError(f"{one.primitive.name} cannot be exported to Promela: {effect}, returns {result}")
    lines = [f"{RESULT} = {word}"] if result == "old" and one.target else []
    if PROMELA_EFFECTS[effect]:
        lines.append(PROMELA_EFFECTS[effect].format(word=word, argument=names.operand(one.b)))
        if one.word.width_bits == 8:
            lines.append(f"{word} = (({word} + 128) & 255) - 128")
    if one.target:
        lines.append(f"{names.register(one.target.number)} = {PROMELA_RESULTS[result].format(word=word)}")
    return (f" && {word} == 0" if effect == "lock" else ""), lines
