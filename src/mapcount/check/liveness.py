"""Which registers may still be read, at each instruction: the others are not part of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.bytecode import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mapcount.check.bytecode import Instruction


def live_registers(instructions: Sequence[Instruction]) -> tuple[tuple[int, ...], ...]:
    """Return, for each instruction, the registers that it or a later one may read before they are written."""
    # Sets of registers are bits of a number: a program of some hundred instructions is walked some ten times.
    live = [0] * len(instructions)
    rows = [
        (pc, successors(instructions, pc), ~_bits([one.target.number] if one.target else []), _bits(one.reads))
        for pc, one in reversed(list(enumerate(instructions)))
    ]
    changed = True
    while changed:
        changed = False
        for pc, following, stays, read in rows:
            after = 0
            for other in following:
                after |= live[other]
            before = after & stays | read
            if before != live[pc]:
                live[pc] = before
                changed = True
    return tuple(tuple(_numbers(registers)) for registers in live)


def _bits(registers: Iterable[int]) -> int:
    return sum(1 << number for number in set(registers))


def _numbers(bits: int) -> Iterator[int]:
    while bits:
        yield (bits & -bits).bit_length() - 1
        bits &= bits - 1


def successors(instructions: Sequence[Instruction], pc: int) -> tuple[int, ...]:
    """Return the instructions that may come next."""
    one = instructions[pc]
    if one.code is Code.HALT:
        return ()
    if one.code is Code.JUMP:
        return (one.jump,)
    if one.code in {Code.JUMP_IF_ZERO, Code.JUMP_UNLESS_ZERO}:
        return (pc + 1, one.jump)
    return (pc + 1,)
