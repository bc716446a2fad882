"""Which registers may still be read, at each instruction: the others are not part of a state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.bytecode import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.bytecode import Instruction


def live_registers(instructions: Sequence[Instruction]) -> tuple[tuple[int, ...], ...]:
    """Return, for each instruction, the registers that it or a later one may read before they are written."""
    live: list[frozenset[int]] = [frozenset()] * len(instructions)
    changed = True
    while changed:
        changed = False
        for pc in range(len(instructions) - 1, -1, -1):
            one = instructions[pc]
            after = frozenset().union(*(live[following] for following in successors(instructions, pc)))
            written = {one.target.number} if one.target else set()
            before = (after - written) | set(one.reads)
            if before != live[pc]:
                live[pc] = before
                changed = True
    return tuple(tuple(sorted(registers)) for registers in live)


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
