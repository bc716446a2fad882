"""The states of one thread between its accesses, numbered as they are met, and the move that leads from one to the next.

A thread that is between two accesses is a place in its program, the registers that may still be read, and results that
stay part of the state. What it does next depends on that and on the value of the one word that it touches: a move is
reckoned once and looked up ever after.

A move is one access, with the thread's own work around it: a call begins with its first access (the work before it belongs
to the same move) and ends with its last. A call without any access is a move of its own. What an operation has to do to its
surroundings after its last access to a word of the scheme does not prolong it: by then all is counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import ARITHMETIC, Code, Instruction, Operand, Program, Register
from mapcount.check.effects import blocks, outcome
from mapcount.check.liveness import successors
from mapcount.check.locks import excluded_by, held_alone, held_shared
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from mapcount.check.layout import Layout

NO_CELL = -1
_ACCESS_OR_END = frozenset({Code.ACCESS, Code.END})
_REST = frozenset({Code.ACCESS, Code.END, Code.HOLD})
LONGEST_WORK = 100_000
"""Instructions that a thread may run without touching a word; more is taken for an endless loop."""


class Local(NamedTuple):
    """A thread between two accesses."""

    pc: int
    """a BEGIN, an ACCESS, a HOLD before one, or the HALT"""
    registers: tuple[int, ...]
    """the values of the registers that are live there"""
    returned: tuple[int, ...]
    """what the calls that are over returned, of those whose result is kept"""
    held: int = 0
    """the locks that it holds, as bits"""


class Next(NamedTuple):
    """What a thread does next."""

    call: int
    opens: bool
    """it is the first access of that call"""
    access: Instruction | None
    """None: the call touches nothing"""
    cell: int
    held: int
    """the locks that it holds meanwhile, as bits"""
    excluded: int
    """what nobody else may hold when it takes those that it takes now, as bits"""


class Move(NamedTuple):
    """What comes of it."""

    local: int
    value: int
    """what the cell holds then"""
    closed: int | None
    """what the call returned, if it is over"""
    statistics: tuple[tuple[int, int], ...]
    """cells of statistics that change, and by how much"""


class Progress(NamedTuple):
    """How far a thread has come with its calls: those that are over, and the one that it is inside, or None."""

    over: int
    inside: int | None
    returned: tuple[int, ...]


class ThreadStates:
    """
    All states that one thread can be in. `kept` are the calls whose results stay part of the state.

    `locks` are the locks that are modelled, as bits; the others are held by nobody.
    """

    def __init__(self, program: Program, layout: Layout, kept: Collection[int], locks: int = -1) -> None:
        self.program = program
        self.locks = locks
        self.kept = frozenset(kept)
        self._layout = layout
        self._number: dict[Local, int] = {}
        self.locals: list[Local] = []
        self._next: list[Next | None] = []
        self._moves: dict[tuple[int, int], Move | None] = {}
        self._call_at = _calls(program)
        self._counts_on = _counts_on(program, layout)
        self._has_counted = _has_counted(program, layout)
        self.first = self._intern(Local(0, (), ()))

    def next(self, local: int) -> Next | None:
        """Return what the thread does next in a state; None when it has done everything."""
        return self._next[local]

    def move(self, local: int, old: int) -> Move | None:
        """Return the move from a state when the cell holds `old`; None if the thread has to wait for a lock."""
        key = (local, old)
        if key not in self._moves:
            self._moves[key] = self._move(local, old)
        return self._moves[key]

    def progress(self, local: int) -> Progress:
        """
        Return how far it has come.

        A call is under way from its first access to a word of the scheme to its last one; one whose result is kept is not
        over before that is known.
        """
        state = self.locals[local]
        call = self._call_at[state.pc]
        if not self._has_counted[state.pc]:
            return Progress(call, None, state.returned)
        if call in self.kept or self._counts_on[state.pc]:
            return Progress(call, call, state.returned)
        return Progress(call + 1, None, state.returned)

    def _intern(self, state: Local) -> int:
        if state not in self._number:
            self._number[state] = len(self.locals)
            self.locals.append(state)
            self._next.append(self._look_ahead(state))
        return self._number[state]

    def _look_ahead(self, state: Local) -> Next | None:
        run = _Run(self, state)
        one = run.to_access()
        if one is None:
            return None
        opens = self.program.instructions[state.pc].code is Code.BEGIN
        call = self._call_at[state.pc]
        if one.code is Code.END:
            return Next(call, opens, None, NO_CELL, run.held, run.excluded)
        assert one.word is not None
        cell = self._layout.number(one.word, run.value(one.a))
        return Next(call, opens, one, cell, run.held, run.excluded)

    def _move(self, local: int, old: int) -> Move | None:
        run = _Run(self, self.locals[local])
        one = run.to_access()
        value = old
        assert one is not None
        if one.code is Code.ACCESS:
            assert one.primitive is not None
            assert one.word is not None
            if blocks(one.primitive, old):
                return None
            value, result = outcome(one.primitive, one.word.width_bits, old, run.value(one.b))
            run.access_done(one, result)
        closed = run.to_rest()
        changes = tuple((self._layout.statistic(number), by) for number, by in run.statistics)
        return Move(self._intern(run.state()), value, closed, changes)


class _Run:
    """A thread at work on its own registers."""

    def __init__(self, thread: ThreadStates, state: Local) -> None:
        self._thread = thread
        self._code = thread.program.instructions
        self._pc = state.pc
        self._registers = [0] * thread.program.nr_registers
        for number, value in zip(thread.program.live[state.pc], state.registers, strict=True):
            self._registers[number] = value
        self._returned = state.returned
        self.held = state.held
        self.excluded = 0
        self.statistics: list[tuple[int, int]] = []

    def state(self) -> Local:
        live = self._thread.program.live[self._pc]
        return Local(self._pc, tuple(self._registers[number] for number in live), self._returned, self.held)

    def value(self, operand: Operand) -> int:
        return self._registers[operand.number] if isinstance(operand, Register) else operand

    def to_access(self) -> Instruction | None:
        """Work until the next access, or the END of a call that has none; None at the HALT."""
        if self._code[self._pc].code is Code.HALT:
            return None
        if self._code[self._pc].code is Code.BEGIN:
            self._pc += 1
        return self._work(_ACCESS_OR_END)

    def access_done(self, one: Instruction, result: int) -> None:
        """Take what an access returned."""
        if one.target:
            self._registers[one.target.number] = result
        self._pc += 1

    def to_rest(self) -> int | None:
        """
        Work until the next access, or the lock that is taken with it, or past the END of the call.

        Then return what the call returned.
        """
        one = self._work(_REST)
        if one.code is not Code.END:
            return None
        self._pc += 1
        result = self.value(one.a)
        if one.jump in self._thread.kept:
            self._returned = (*self._returned, result)
        return result

    def _work(self, until: frozenset[Code]) -> Instruction:
        for _ in range(LONGEST_WORK):
            one = self._code[self._pc]
            if one.code in until:
                return one
            self._pc = self._one(one)
        where = self._code[self._pc].position[-1]
        raise UsageError(f"{where}: loops for ever without touching a word")

    def _one(self, one: Instruction) -> int:
        """Run an instruction that is no access; return where the thread is then."""
        a = self.value(one.a)
        if one.code is Code.JUMP:
            return one.jump
        if one.code is Code.JUMP_IF_ZERO:
            return self._pc + 1 if a else one.jump
        if one.code is Code.JUMP_UNLESS_ZERO:
            return one.jump if a else self._pc + 1
        if one.code is Code.STATISTIC:
            self.statistics.append((a, self.value(one.b)))
        elif one.code is Code.HOLD:
            self._take(a, shared=bool(self.value(one.b)))
        elif one.code is Code.RELEASE:
            self.held &= ~(held_alone(a) | held_shared(a))
        elif one.target:
            result = a if one.code is Code.MOVE else ARITHMETIC[one.code](a, self.value(one.b))
            self._registers[one.target.number] = result
        return self._pc + 1

    def _take(self, lock: int, *, shared: bool) -> None:
        bit = (held_shared(lock) if shared else held_alone(lock)) & self._thread.locks
        if bit:
            self.held |= bit
            self.excluded |= excluded_by(lock, shared=shared)


def _calls(program: Program) -> list[int]:
    """Return the call that each instruction belongs to; of the HALT the number of calls."""
    found: list[int] = []
    call = 0
    for one in program.instructions:
        if one.code is Code.BEGIN:
            call = one.jump
        elif one.code is Code.HALT:
            call = call + 1 if found else 0
        found.append(call)
    return found


def _counts_on(program: Program, layout: Layout) -> list[bool]:
    """Return, for each instruction, whether it or a later one of the same call may touch a word of the scheme."""
    found = _touches(program, layout)
    changed = True
    while changed:
        changed = False
        for pc, one in enumerate(program.instructions):
            if (
                not found[pc]
                and one.code is not Code.END
                and any(found[to] for to in successors(program.instructions, pc))
            ):
                found[pc] = changed = True
    return found


def _has_counted(program: Program, layout: Layout) -> list[bool]:
    """
    Return, for each instruction, whether one before it in the same call may have touched a word of the scheme.

    A call that touches none counts as under way, and over, from its first access on.
    """
    code, touches, calls = program.instructions, _touches(program, layout), _calls(program)
    without = {calls[pc] for pc in range(len(code))} - {calls[pc] for pc in range(len(code)) if touches[pc]}
    found = [calls[pc] in without and one.code not in {Code.BEGIN, Code.HALT} for pc, one in enumerate(code)]
    waiting = [pc for pc in range(len(code)) if touches[pc]]
    while waiting:
        pc = waiting.pop()
        if code[pc].code is Code.END:
            continue
        for to in successors(code, pc):
            if not found[to]:
                found[to] = True
                waiting.append(to)
    return found


def _touches(program: Program, layout: Layout) -> list[bool]:
    return [one.word is not None and one.word.name in layout.of_scheme for one in program.instructions]
