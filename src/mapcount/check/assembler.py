"""Collects the instructions of one thread: registers, jumps, positions; and checks the finished program."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.bytecode import Code, Instruction, Operand, Position, Program, Register
from mapcount.check.liveness import live_registers
from mapcount.check.simplify import simplify
from mapcount.errors import SchemeSourceError

if TYPE_CHECKING:
    from mapcount.schemes.ops import Primitive
    from mapcount.schemes.words import Word


class _Variable(NamedTuple):
    name: str
    position: Position


class Assembler:
    """The program of one thread as it grows. `position` is given to what is emitted next."""

    def __init__(self) -> None:
        self.position: Position = ()
        self._instructions: list[Instruction] = []
        self._registers: list[_Variable] = []

    def register(self, name: str = "") -> Register:
        """Return a new register; `name` is the variable that lives in it."""
        self._registers.append(_Variable(name, self.position))
        return Register(len(self._registers) - 1)

    def emit(
        self,
        code: Code,
        a: Operand = 0,
        b: Operand = 0,
        *,
        target: Register | None = None,
        primitive: Primitive | None = None,
        word: Word | None = None,
        jump: int = 0,
    ) -> int:
        """Append an instruction; return its number."""
        self._instructions.append(Instruction(code, self.position, target, a, b, jump, primitive, word))
        return len(self._instructions) - 1

    @property
    def here(self) -> int:
        """The number of the instruction that comes next."""
        return len(self._instructions)

    def land(self, jumps: list[int]) -> None:
        """Let these jumps go to what comes next."""
        for jump in jumps:
            self._instructions[jump] = self._instructions[jump]._replace(jump=self.here)

    def finish(self) -> Program:
        """
        Return the program, without what has no effect.

        Raises SchemeSourceError if a variable may be read before it is assigned.
        """
        self.position = ()
        self.emit(Code.HALT)
        instructions = simplify(self._instructions)
        live = live_registers(instructions)
        if live[0]:
            variable = self._registers[live[0][0]]
            where = variable.position[-1]
            raise SchemeSourceError(f"{where.file}:{where.line}: {variable.name} may be read before it is assigned")
        return Program(tuple(instructions), live, len(self._registers))
