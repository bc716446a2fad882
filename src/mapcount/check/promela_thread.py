"""One thread of a model as a proctype of Promela: one d_step for each access, with the thread's own work around it.

The thread's place is a variable, numbered over the places where it can rest between two steps (its calls' beginnings, its
accesses, its end). What it keeps between two steps are variables too, and those that nobody will read hold 0. What it needs
within a step alone are hidden variables, which are no part of a state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import JUMPS, Code
from mapcount.check.liveness import successors
from mapcount.check.promela_statements import RESULT, Approach, Names, access_to, own_work, without_needless_jumps
from mapcount.check.slots import RESTS, slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapcount.check.bytecode import Instruction, Operand, Program


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

    def _variable(self, register: int) -> str | None:
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
        access = Approach(self._code, pc).access
        start = access + 1 if self._code[access].code is Code.ACCESS else access
        return [to for to in self._reach([start], *RESTS) if self._code[to].code in RESTS]

    def _step(self, pc: int, watch: Watch) -> str:
        call, names = self._call(pc), Names(self._variable, f"{self.name}{self._place[pc]}_")
        way = Approach(self._code, pc)
        guard, given = self._take_locks(way)
        given = [*given, *way.statements(names, self._live[way.access])]
        if self._code[pc].code is Code.BEGIN:
            given = [*watch.before(call), *given]
        start = way.access
        if self._code[start].code is Code.ACCESS:
            free, access = access_to(self._code[start], names, way.known)
            guard += free
            given += access
            start += 1
        further = any(self._progress(to) != self._progress(pc) for to in self._following(pc))
        end = [*(watch.further(call) if further else ()), "skip"]
        end[0] = f"{names.label('done')}: {end[0]}"
        done = without_needless_jumps([*given, *self._work(start, call, names, watch), *end])
        self.scratch = max(self.scratch, names.scratch)
        return f"d_step {{ {self.place} == {self._place[pc]}{guard} ->\n       " + ";\n       ".join(done) + " }"

    def _take_locks(self, way: Approach) -> tuple[str, list[str]]:
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

    def _work(self, start: int, call: int, names: Names, watch: Watch) -> list[str]:
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

    def _rest(self, pc: int, names: Names) -> list[str]:
        """Return the end of a step: where the thread is now, and 0 for what nobody will read."""
        alive = {self._slots[register] for register in self._live[pc]}
        dead = sorted(set(self._slots.values()) - alive)
        return [
            f"{self.place} = {self._place[pc]}",
            *(f"{self.name}{slot} = 0" for slot in dead),
            f"goto {names.label('done')}",
        ]

    def _one(self, one: Instruction, call: int, names: Names, watch: Watch) -> list[str]:
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
        return own_work(one, names)
