"""A thread at work on its own registers: from where it rests to its next access, and from there to where it rests again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import ARITHMETIC, Code, Instruction, Operand, Program, Register
from mapcount.check.locks import excluded_by, held_alone, held_shared
from mapcount.check.memory_order import Late, always_late, barrier_waits, ends_early_loads
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mapcount.schemes.words import Word

LONGEST_WORK = 100_000
"""Instructions that a thread may run without touching a word; more is taken for an endless loop."""


class Local(NamedTuple):
    """A thread between two accesses."""

    pc: int
    """a BEGIN, an ACCESS, a HOLD before one, the HALT, or what waits until accesses that were put off are done"""
    registers: tuple[int, ...]
    """the values of the registers that are live there"""
    returned: tuple[int, ...]
    """what the calls that are over returned, of those whose result is kept"""
    held: int = 0
    """the locks that it holds, as bits"""
    late: tuple[Late, ...] = ()
    """accesses that it has put off, the oldest first (memory_order.py)"""
    early: tuple[tuple[int, int], ...] = ()
    """cells that it has loaded ahead of their turn, and what it saw: the oldest first of each, which is used first"""


class Rules(NamedTuple):
    """What does not change while a thread runs."""

    program: Program
    kept: Collection[int]
    """the calls whose results stay part of the state"""
    locks: int
    """the locks that are modelled, as bits"""
    memory: str
    bit_locks: bool
    """whether anyone waits for a bit lock that is held"""
    cell: Callable[[Word, int], int]
    """the number of a word's cell"""


class Run:
    """One thread, as it works. `excluded` is what others may not hold when it takes the locks that it takes, as bits."""

    def __init__(self, rules: Rules, state: Local) -> None:
        self._rules = rules
        self._code = rules.program.instructions
        self.pc = state.pc
        self._registers = [0] * rules.program.nr_registers
        for number, value in zip(rules.program.live[state.pc], state.registers, strict=True):
            self._registers[number] = value
        self._returned = state.returned
        self.held = state.held
        self.excluded = 0
        self.late = list(state.late)
        self.early = list(state.early)
        self.statistics: list[tuple[int, int]] = []

    def state(self) -> Local:
        """Return the thread as it is now."""
        live = self._rules.program.live[self.pc]
        registers = tuple(self._registers[number] for number in live)
        return Local(
            self.pc, registers, self._returned, self.held, tuple(self.late), tuple(sorted(self.early, key=_cell_of))
        )

    def value(self, operand: Operand) -> int:
        """Return the value of a register or a constant."""
        return self._registers[operand.number] if isinstance(operand, Register) else operand

    def cell(self, one: Instruction) -> int:
        """Return the number of the cell that an access is about."""
        assert one.word is not None
        return self._rules.cell(one.word, self.value(one.a))

    def to_access(self) -> Instruction | None:
        """Work until the next access, or what has to wait, or the END of a call that has none; None at the HALT."""
        if self._code[self.pc].code is Code.HALT:
            return None
        if self._code[self.pc].code is Code.BEGIN:
            self.pc += 1
        return self._work(rests_at_hold=False)

    def access_done(self, one: Instruction, result: int) -> None:
        """Take what an access returned."""
        assert one.primitive is not None
        if one.target:
            self._registers[one.target.number] = result
        if ends_early_loads(one.primitive):
            self.early.clear()
        self.pc += 1

    def load_early(self, cell: int, value: int) -> None:
        """Remember what a load saw that is done before its turn."""
        self.early.append((cell, value))

    def put_off(self, one: Instruction) -> None:
        """Leave an access for later."""
        assert one.primitive is not None
        assert one.word is not None
        self.late.append(Late(self.cell(one), one.primitive, one.word, self.value(one.b), self.pc))
        self.pc += 1

    def to_rest(self) -> int | None:
        """
        Work until the next access, or the lock that is taken with it, or past the END of the call.

        Then return what the call returned.
        """
        one = self._work(rests_at_hold=True)
        if one.code is not Code.END or self.late:
            return None
        self.pc += 1
        self.early.clear()
        result = self.value(one.a)
        if one.jump in self._rules.kept:
            self._returned = (*self._returned, result)
        return result

    def _work(self, *, rests_at_hold: bool) -> Instruction:
        for _ in range(LONGEST_WORK):
            one = self._code[self.pc]
            if self._rests(one, rests_at_hold=rests_at_hold):
                return one
            if one.code is Code.ACCESS:
                self._alone(one)
            else:
                self.pc = self._one(one)
        where = self._code[self.pc].position[-1]
        raise UsageError(f"{where}: loops for ever without touching a word")

    def _rests(self, one: Instruction, *, rests_at_hold: bool) -> bool:
        """Return whether an instruction needs others: a word that all see, a lock, or late accesses to be done first."""
        match one.code:
            case Code.END:
                return True
            case Code.HOLD:
                return rests_at_hold
            case Code.RELEASE:
                return bool(self.late)
            case Code.BARRIER:
                assert one.primitive is not None
                return barrier_waits(self._rules.memory, one.primitive, tuple(self.late))
            case Code.ACCESS:
                assert one.primitive is not None
                is_early = one.primitive.effect == "load" and self.cell(one) in map(_cell_of, self.early)
                return not is_early and not always_late(self._rules.memory, one.primitive)
        return False

    def _alone(self, one: Instruction) -> None:
        """Do an access that nobody sees now: a load that was done early, a store that waits in the buffer."""
        assert one.primitive is not None
        if one.primitive.effect == "load":
            seen = next(found for found in self.early if found[0] == self.cell(one))
            self.early.remove(seen)
            self.access_done(one, seen[1])
        else:
            self.put_off(one)

    def _one(self, one: Instruction) -> int:
        """Run an instruction that is no access; return where the thread is then."""
        a = self.value(one.a)
        if one.code is Code.JUMP:
            return one.jump
        if one.code is Code.JUMP_IF_ZERO:
            return self.pc + 1 if a else one.jump
        if one.code is Code.JUMP_UNLESS_ZERO:
            return one.jump if a else self.pc + 1
        if one.code is Code.STATISTIC:
            self.statistics.append((a, self.value(one.b)))
        elif one.code is Code.HOLD:
            self._take(a, shared=bool(self.value(one.b)))
        elif one.code is Code.RELEASE:
            self.held &= ~(held_alone(a) | held_shared(a))
        elif one.code is Code.BARRIER:
            assert one.primitive is not None
            if ends_early_loads(one.primitive):
                self.early.clear()
        elif one.target:
            result = a if one.code is Code.MOVE else ARITHMETIC[one.code](a, self.value(one.b))
            self._registers[one.target.number] = result
        return self.pc + 1

    def _take(self, lock: int, *, shared: bool) -> None:
        bit = (held_shared(lock) if shared else held_alone(lock)) & self._rules.locks
        if bit:
            self.held |= bit
            self.excluded |= excluded_by(lock, shared=shared)


def _cell_of(early: tuple[int, int]) -> int:
    return early[0]
