"""The states of one thread between its accesses, numbered as they are met, and the move that leads from one to the next.

A thread that is between two accesses is a place in its program, the registers that may still be read, and results that
stay part of the state. What it does next depends on that and on the value of the one word that it touches: a move is
reckoned once and looked up ever after. Where the memory model leaves it more than one thing to do next, these are its options.

A move is one access, with the thread's own work around it: a call begins with its first access (the work before it belongs
to the same move) and ends with its last. A call without any access is a move of its own. What an operation has to do to its
surroundings after its last access to a word of the scheme does not prolong it: by then all is counted.
"""

from __future__ import annotations

import enum
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import Code, Instruction, Program
from mapcount.check.effects import blocks, outcome
from mapcount.check.liveness import successors
from mapcount.check.memory_order import (
    ends_early_loads,
    forwarded,
    may_be_done,
    may_be_late,
    waits_for_late,
)
from mapcount.check.thread_run import Local, Rules, Run

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from mapcount.check.layout import Layout
    from mapcount.check.symmetry import Twins

NO_CELL = -1


class Way(enum.Enum):
    """How a thread does its next access."""

    IN_PLACE = "in place"
    PUT_OFF = "put off"
    LATE = "late"
    EARLY = "early"


class Next(NamedTuple):
    """What a thread may do next."""

    call: int
    opens: bool
    """it is the first access of that call"""
    access: Instruction | None
    """None: nothing that others see"""
    cell: int
    held: int
    """the locks that it holds meanwhile, as bits"""
    excluded: int
    """what nobody else may hold when it takes those that it takes now, as bits"""
    way: Way = Way.IN_PLACE
    which: int = 0
    """of a late access: its number among those that were put off"""


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

    `locks` are the locks that are modelled, as bits; the others are held by nobody. `memory` is a memory model
    (memory_order.py); `readers` are the calls whose loads it lets be done early.
    """

    def __init__(
        self,
        program: Program,
        layout: Layout,
        kept: Collection[int],
        locks: int = -1,
        memory: str = "sc",
        readers: Collection[int] = (),
        *,
        bit_locks: bool = True,
    ) -> None:
        self.program = program
        self.kept = frozenset(kept)
        self._rules = Rules(program, self.kept, locks, memory, bit_locks, layout.number)
        self._readers = frozenset(readers) if memory == "weak" else frozenset()
        self._layout = layout
        self._number: dict[Local, int] = {}
        self.locals: list[Local] = []
        self._options: list[tuple[Next, ...]] = []
        self._moves: dict[tuple[int, int, int], Move | None] = {}
        self._call_at = _calls(program)
        self._counts_on = _counts_on(program, layout)
        self._has_counted = _has_counted(program, layout)
        self.twins: Twins | None = None
        """threads that are alike, whose states are numbered alike (symmetry.py)"""
        self.first = self._intern(Local(0, (), ()))

    def is_over(self, local: int) -> bool:
        """Return whether the thread has done everything."""
        return self.program.instructions[self.locals[local].pc].code is Code.HALT

    def options(self, local: int) -> tuple[Next, ...]:
        """Return what the thread may do next in a state; nothing when it has done everything, or waits for itself."""
        return self._options[local]

    def next(self, local: int) -> Next | None:
        """Return the first of these; None if there is none."""
        return self._options[local][0] if self._options[local] else None

    def move(self, local: int, old: int, option: int = 0) -> Move | None:
        """Return the move from a state when the cell holds `old`; None if the thread has to wait for a bit lock."""
        key = (local, option, old)
        if key not in self._moves:
            self._moves[key] = self._move(local, old, self._options[local][option])
        return self._moves[key]

    def progress(self, local: int) -> Progress:
        """
        Return how far it has come.

        A call is under way from its first access to a word of the scheme to its last one; one whose result is kept is not
        over before that is known, and none before all that it put off is done.
        """
        state = self.locals[local]
        call = self._call_at[state.pc]
        if state.late:
            return Progress(call, call, state.returned)
        if not self._has_counted[state.pc]:
            return Progress(call, None, state.returned)
        if call in self.kept or self._counts_on[state.pc]:
            return Progress(call, call, state.returned)
        return Progress(call + 1, None, state.returned)

    def call_of(self, local: int) -> int:
        """Return the call that the thread is inside, or comes to next."""
        return self._call_at[self.locals[local].pc]

    def add(self, state: Local) -> None:
        """Give a state that was not met before the next number."""
        self._number[state] = len(self.locals)
        self.locals.append(state)
        self._options.append(tuple(self._look_ahead(state)))

    def _intern(self, state: Local) -> int:
        if state not in self._number and self.twins:
            self.twins.add(self, state)
        elif state not in self._number:
            self.add(state)
        return self._number[state]

    def _look_ahead(self, state: Local) -> Iterator[Next]:
        run = Run(self._rules, state)
        one = run.to_access()
        if one is None:
            return
        opens = self.program.instructions[state.pc].code is Code.BEGIN
        coming = Next(self._call_at[state.pc], opens, None, NO_CELL, run.held, run.excluded)
        if run.late != list(state.late):
            # Stores have gone into the buffer: from here on they may be seen before what follows is done.
            yield coming
        elif one.code is Code.ACCESS:
            yield from self._in_place_or_put_off(run, one, coming)
        elif not run.late:
            # A call that touches nothing that others see.
            yield coming
        yield from self._early(run, state, one, coming)
        for which in may_be_done(self._rules.memory, state.late):
            late = state.late[which]
            access = self.program.instructions[late.pc]
            yield Next(coming.call, False, access, late.cell, state.held, 0, Way.LATE, which)

    def _in_place_or_put_off(self, run: Run, one: Instruction, coming: Next) -> Iterator[Next]:
        assert one.primitive is not None
        cell, late, memory = run.cell(one), tuple(run.late), self._rules.memory
        if one.primitive.effect == "load" and forwarded(cell, late) is not None:
            yield coming
        elif not waits_for_late(memory, one.primitive, cell, late):
            yield coming._replace(access=one, cell=cell)
        if may_be_late(memory, one.primitive):
            yield coming._replace(access=one, way=Way.PUT_OFF)

    def _early(self, run: Run, state: Local, one: Instruction, coming: Next) -> Iterator[Next]:
        """Yield the loads of a reader that may be done ahead of their turn; the next one in its turn is none of them."""
        if coming.call not in self._readers:
            return
        own = run.cell(one) if one.code is Code.ACCESS else NO_CELL
        pending = Counter(cell for cell, _ in state.early)
        for cell, loads in sorted(self._loads_ahead(run.pc).items()):
            if cell != own and pending[cell] < len(loads):
                yield coming._replace(access=loads[pending[cell]], cell=cell, way=Way.EARLY)

    def _loads_ahead(self, start: int) -> dict[int, list[Instruction]]:
        """Return the loads that may follow before anything that orders them, by cell; one of a loop is one."""
        code = self.program.instructions
        found: dict[int, list[Instruction]] = {}
        waiting, seen = [start], set()
        while waiting:
            pc = waiting.pop()
            one = code[pc]
            if pc in seen or one.code is Code.END:
                continue
            seen.add(pc)
            if one.primitive is not None and ends_early_loads(one.primitive):
                continue
            if one.code is Code.ACCESS and one.primitive is not None and one.primitive.effect == "load":
                for cell in self._layout.cells_of(one):
                    found.setdefault(cell, []).append(one)
            waiting.extend(successors(code, pc))
        return found

    def _move(self, local: int, old: int, coming: Next) -> Move | None:
        state = self.locals[local]
        run = Run(self._rules, state)
        value = old
        if coming.way is Way.LATE:
            value = run.late.pop(coming.which).value(old)
        else:
            one = run.to_access()
            assert one is not None
            if coming.way is Way.EARLY:
                run.load_early(coming.cell, old)
            elif coming.way is Way.PUT_OFF:
                run.put_off(one)
            elif one.code is Code.ACCESS:
                done = self._access(run, one, coming, old)
                if done is None:
                    return None
                value = done
        closed = run.to_rest()
        changes = tuple((self._layout.statistic(number), by) for number, by in run.statistics)
        return Move(self._intern(run.state()), value, closed, changes)

    def _access(self, run: Run, one: Instruction, coming: Next, old: int) -> int | None:
        """Do an access in its place; return what the cell holds then, None if the thread has to wait for a bit lock."""
        assert one.primitive is not None
        assert one.word is not None
        own = forwarded(run.cell(one), tuple(run.late)) if one.primitive.effect == "load" else None
        if own is not None:
            run.access_done(one, own)
            return old
        if coming.cell == NO_CELL:
            return old
        if self._rules.bit_locks and blocks(one.primitive, old):
            return None
        value, result = outcome(one.primitive, one.word.width_bits, old, run.value(one.b))
        run.access_done(one, result)
        return value


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
