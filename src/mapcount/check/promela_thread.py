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
    from collections.abc import Callable, Iterable, Mapping, Sequence

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
    """What the ghost wants to be run, as statements: when a call begins, when it has come further, and when it has returned."""

    before: Callable[[int], list[str]]
    further: Callable[[int], list[str]]
    closed: Callable[[int], list[str]]
    """The value is in RESULT."""


class Locks(NamedTuple):
    """The locks of a model (locks.py), by the bits that stand for each here, and the threads that take any."""

    numbers: tuple[int, ...]
    holders: tuple[str, ...]

    def bits(self, lock: Operand, *, alone: bool, shared: bool) -> int:
        """Return the bits of a lock that is held alone, or for reading; 0 if it is not modelled."""
        if not isinstance(lock, int) or lock not in self.numbers:
            return 0
        return (2 * alone | int(shared)) << 2 * self.numbers.index(lock)


class ThreadText:
    """
    The text of one thread; `name` is the proctype's and that of its variables.

    `kept` are the calls whose results stay part of the state.
    """

    def __init__(
        self, name: str, program: Program, kept: Iterable[int], of_scheme: frozenset[str], locks: Locks
    ) -> None:
        self.name = name
        self._code = program.instructions
        self._live = program.live
        self._kept = frozenset(kept)
        self._locks = locks
        self._slots = slots(program)
        self._begins = [pc for pc, one in enumerate(self._code) if one.code is Code.BEGIN]
        touches = {pc for pc, one in enumerate(self._code) if one.word is not None and one.word.name in of_scheme}
        self._counts_on = {pc for pc in range(len(self._code)) if touches & self._reach([pc], Code.END)}
        self._has_counted = self._reached_by_counting(touches)
        self._rests = self._reachable_rests()
        self._place = {pc: place for place, pc in enumerate(self._rests)}
        self.scratch = 0
        """how many hidden variables its steps need at once"""

    @property
    def place(self) -> str:
        """The variable that says where the thread is."""
        return f"pc_{self.name}"

    @property
    def holds(self) -> str:
        """The variable that says which locks it holds."""
        return f"holds_{self.name}"

    def result(self, call: int) -> str:
        """Return the variable that keeps what a call returned."""
        return f"{self.name}_returned_{call}"

    def variables(self) -> list[str]:
        """Return the declarations of what it keeps between two steps; all begin as 0."""
        names = [f"{self.name}{slot}" for slot in sorted(set(self._slots.values()))]
        names += [self.result(call) for call in sorted(self._kept)]
        held = [f"int {self.holds};"] if self.name in self._locks.holders else []
        return [
            f"{'byte' if len(self._rests) <= 256 else 'short'} {self.place};",
            *held,
            *(f"int {name};" for name in names),
        ]

    def over(self) -> str:
        """Return the condition that it has done everything."""
        return f"{self.place} == {len(self._rests) - 1}"

    def has_begun(self, call: int) -> str:
        """Return the condition that a call has begun to count, or is over."""
        return self._is_at(lambda over, inside: over > call or inside == call)

    def is_over(self, call: int) -> str:
        """
        Return the condition that a call is over, as far as the counts are concerned.

        It is over with its last access to a word of the scheme; if what it returns decides whether it did anything, not
        before it returns.
        """
        return self._is_at(lambda over, _: over > call)

    def is_inside(self, call: int) -> str:
        """Return the condition that a call has begun and has not returned."""
        return f"({self.place} > {self._place[self._begins[call]]} && {self.place} < {self._place[self._end(call)]})"

    def proctype(self, watch: Watch, more: Iterable[str] = ()) -> str:
        """Return the proctype; `more` are further choices."""
        steps = [self._step(pc, watch) for pc in self._rests if self._code[pc].code is not Code.HALT]
        choices = "".join(f"  :: {text}\n" for text in [*steps, *more]) or "  :: false\n"
        return f"proctype {self.name}() {{\nend: do\n{choices}  od\n}}"

    def variable(self, register: int) -> str | None:
        """Return the variable of a register that outlives a step."""
        return f"{self.name}{self._slots[register]}" if register in self._slots else None

    def _is_at(self, fits: Callable[[int, int | None], bool]) -> str:
        """Return the condition that it is where its progress, the calls that are over and the one it is inside, fits."""
        places = [self._place[pc] for pc in self._rests if fits(*self._progress(pc))]
        runs: list[list[int]] = []
        for place in places:
            if runs and runs[-1][-1] == place - 1:
                runs[-1].append(place)
            else:
                runs.append([place])
        last = len(self._rests) - 1
        told = [
            f"{self.place} >= {run[0]}" + ("" if run[-1] == last else f" && {self.place} <= {run[-1]}") for run in runs
        ]
        return f"({' || '.join(told) or 'false'})"

    def _progress(self, pc: int) -> tuple[int, int | None]:
        """Return how many calls are over where the thread rests, as far as counts are concerned, and which is under way."""
        call = self._call(pc)
        if pc not in self._has_counted:
            return call, None
        return (call, call) if call in self._kept or pc in self._counts_on else (call + 1, None)

    def _call(self, pc: int) -> int:
        """Return the call that an instruction belongs to; of the HALT, the number of calls."""
        return len(self._begins) if self._code[pc].code is Code.HALT else sum(begin <= pc for begin in self._begins) - 1

    def _end(self, call: int) -> int:
        """Return where the thread rests when a call is over."""
        return [*self._begins[1:], len(self._code) - 1][call]

    def _reached_by_counting(self, touches: set[int]) -> set[int]:
        """Return the instructions that may come after one that counts, in the same call; all of a call in which none does."""
        after = {to for pc in touches for to in successors(self._code, pc)}
        counting = {self._call(pc) for pc in touches}
        without = {
            pc
            for pc, one in enumerate(self._code)
            if self._call(pc) not in counting and one.code not in {Code.BEGIN, Code.HALT}
        }
        return self._reach(after, Code.END) | without

    def _reach(self, start: Iterable[int], *last: Code) -> set[int]:
        """Return the instructions that may be run from some on, up to those that are the last."""
        reached: set[int] = set()
        waiting = list(start)
        while waiting:
            pc = waiting.pop()
            if pc not in reached:
                reached.add(pc)
                if self._code[pc].code not in last:
                    waiting += successors(self._code, pc)
        return reached

    def _reachable_rests(self) -> list[int]:
        """Return where it can rest: not at an access that only ever is the first of a call."""
        found: set[int] = set()
        waiting = [0]
        while waiting:
            pc = waiting.pop()
            if pc not in found:
                found.add(pc)
                waiting += self._following(pc)
        return sorted(found)

    def _following(self, pc: int) -> list[int]:
        """Return where it may rest after the step from a place."""
        if self._code[pc].code is Code.HALT:
            return []
        access = _Approach(self._code, pc).access
        start = access + 1 if self._code[access].code is Code.ACCESS else access
        return [to for to in self._reach([start], *RESTS) if self._code[to].code in RESTS]

    def _step(self, pc: int, watch: Watch) -> str:
        call, names = self._call(pc), _Names(self, f"{self.name}{self._place[pc]}_")
        way = _Approach(self._code, pc)
        guard, given = self._take_locks(way)
        given = [*given, *way.statements(names, self._live[way.access])]
        if self._code[pc].code is Code.BEGIN:
            given = [*watch.before(call), *given]
        start = way.access
        if self._code[start].code is Code.ACCESS:
            free, access = _access(self._code[start], names, way.known)
            guard += free
            given += access
            start += 1
        further = any(self._progress(to) != self._progress(pc) for to in self._following(pc))
        end = [*(watch.further(call) if further else ()), "skip"]
        end[0] = f"{names.label('done')}: {end[0]}"
        done = _without_needless_jumps([*given, *self._work(start, call, names, watch), *end])
        self.scratch = max(self.scratch, names.scratch)
        return f"d_step {{ {self.place} == {self._place[pc]}{guard} ->\n       " + ";\n       ".join(done) + " }"

    def _take_locks(self, way: _Approach) -> tuple[str, list[str]]:
        """Return that nobody else holds what excludes the locks that are taken, as more of a guard; and the taking."""
        taken = given_back = excluded = 0
        for one in way.locks:
            shared, lock = one.code is Code.HOLD and bool(one.b), one.a
            if one.code is Code.RELEASE:
                bits = self._locks.bits(lock, alone=True, shared=True)
                taken, given_back = taken & ~bits, given_back | bits
                continue
            bits = self._locks.bits(lock, alone=not shared, shared=shared)
            taken, given_back = taken | bits, given_back & ~bits
            excluded |= self._locks.bits(lock, alone=True, shared=not shared)
        others = " | ".join(f"holds_{name}" for name in self._locks.holders if name != self.name)
        guard = f" && (({others}) & {excluded}) == 0" if excluded and others else ""
        changes = [f"{self.holds} = {self.holds} | {taken}"] if taken else []
        return guard, changes + ([f"{self.holds} = {self.holds} & ~{given_back}"] if given_back else [])

    def _work(self, start: int, call: int, names: _Names, watch: Watch) -> list[str]:
        """Return the thread's own work from `start` to where it rests next, with labels for its jumps."""
        reached = sorted(self._reach([start], *RESTS))
        targets = {self._code[pc].jump for pc in reached if self._code[pc].code in JUMPS}
        lines: list[str] = []
        if reached[0] != start:
            targets.add(start)
            lines.append(f"goto {names.label(start)}")
        for pc in reached:
            one = self._code[pc]
            told = self._rest(pc, names) if one.code in RESTS else self._one(one, call, names, watch)
            if pc in targets:
                told = [f"{names.label(pc)}: {told[0] if told else 'skip'}", *told[1:]]
            lines += told
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
        a = names.operand(one.a)
        if one.code is Code.JUMP:
            return [f"goto {names.label(one.jump)}"]
        if one.code in JUMPS:
            sign = "==" if one.code is Code.JUMP_IF_ZERO else "!="
            return [f"if :: {a} {sign} 0 -> goto {names.label(one.jump)} :: else -> skip fi"]
        if one.code is Code.END:
            keep = [f"{self.result(call)} = {RESULT}"] if call in self._kept else []
            return [f"{RESULT} = {a}", *keep, *watch.closed(call)]
        if one.code is Code.RELEASE:
            bits = self._locks.bits(one.a, alone=True, shared=True)
            return [f"{self.holds} = {self.holds} & ~{bits}"] if bits else []
        return _own_work(one, names)


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

    def operand(self, operand: Operand, known: Mapping[int, int] | None = None) -> str:
        if isinstance(operand, Register):
            constant = (known or {}).get(operand.number)
            return self.register(operand.number) if constant is None else number(constant)
        return number(operand)

    def label(self, of: int | str) -> str:
        return f"{self._prefix}{of}"


class _Approach:
    """What a thread does from a place up to and without its next access, or the END of a call that has none."""

    def __init__(self, code: Sequence[Instruction], pc: int) -> None:
        self.locks: list[Instruction] = []
        """those that are taken and given back, in order"""
        self.known: dict[int, int] = {}
        """what registers hold by then, as far as it is always the same"""
        self._done: list[Instruction] = []
        while (one := code[pc]).code not in {Code.ACCESS, Code.END}:
            bound = one._replace(a=self._bind(one.a), b=self._bind(one.b))
            pc = one.jump if _jumps(bound) else pc + 1
            if one.code in {Code.HOLD, Code.RELEASE}:
                self.locks.append(bound)
            elif one.target:
                self._set(one.target.number, bound)
            elif one.code is Code.STATISTIC:
                self._done.append(bound)
        self.access = pc

    def statements(self, names: _Names, alive: Iterable[int]) -> list[str]:
        """Return what has to be done, if these registers are read later."""
        lines = [text for one in self._done for text in _own_work(one, names)]
        return lines + [f"{names.register(one)} = {number(self.known[one])}" for one in alive if one in self.known]

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


def _own_work(one: Instruction, names: _Names) -> list[str]:
    """Return an instruction that touches registers and statistics alone."""
    a, b = names.operand(one.a), names.operand(one.b)
    if one.code is Code.STATISTIC:
        return [f"m_stat_{a} = m_stat_{a} + {b}"]
    if one.target is None:
        return []
    value = a if one.code is Code.MOVE else PROMELA_OPERATORS[one.code].format(a=a, b=b)
    return [f"{names.register(one.target.number)} = {value}"]


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


def _access(one: Instruction, names: _Names, known: Mapping[int, int]) -> tuple[str, list[str]]:
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
