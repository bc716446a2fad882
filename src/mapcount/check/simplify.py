"""Leaves out of a program what has no effect, so that states do not differ by what nobody will look at.

Not needed for speed: a value that only decides about work that is left out (a statistic) would make two states of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.bytecode import ARITHMETIC, JUMPS, Code
from mapcount.check.liveness import live_registers, successors

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from mapcount.check.bytecode import Instruction


def simplify(instructions: Sequence[Instruction]) -> list[Instruction]:
    """Return the program without what cannot be reached, jumps to what follows anyway, and values that nobody reads."""
    kept = list(instructions)
    while True:
        useful = _reachable(kept) - _needless_jumps(kept) - _unread(kept)
        if len(useful) == len(kept):
            return kept
        kept = _keep(kept, useful)


def _reachable(instructions: Sequence[Instruction]) -> set[int]:
    reached: set[int] = set()
    waiting = [0]
    while waiting:
        pc = waiting.pop()
        if pc not in reached:
            reached.add(pc)
            waiting.extend(successors(instructions, pc))
    return reached


def _needless_jumps(instructions: Sequence[Instruction]) -> set[int]:
    return {pc for pc, one in enumerate(instructions) if one.code in JUMPS and one.jump == pc + 1}


def _unread(instructions: Sequence[Instruction]) -> set[int]:
    """Return moves and arithmetic whose result is not live afterwards."""
    live = live_registers(instructions)
    return {
        pc
        for pc, one in enumerate(instructions)
        if (one.code is Code.MOVE or one.code in ARITHMETIC) and one.target and one.target.number not in live[pc + 1]
    }


def _keep(instructions: Sequence[Instruction], useful: Collection[int]) -> list[Instruction]:
    """Return these instructions; a jump to one that goes is a jump to the next that stays."""
    number, stays = {}, 0
    for pc in range(len(instructions)):
        number[pc] = stays
        stays += pc in useful
    return [
        one._replace(jump=number[one.jump]) if one.code in JUMPS else one
        for one in (instructions[pc] for pc in sorted(useful))
    ]
