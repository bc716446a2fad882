"""Variables for the registers of a thread that outlive a step: registers that are never alive together share one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.bytecode import Code
from mapcount.check.liveness import successors

if TYPE_CHECKING:
    from mapcount.check.bytecode import Program

RESTS = frozenset({Code.BEGIN, Code.HOLD, Code.ACCESS, Code.HALT})
"""Where a thread is between two of its steps."""


def slots(program: Program) -> dict[int, int]:
    """
    Return the number of a variable, from 0, for each register that is alive at some place where the thread rests.

    Where a thread rests, which variable holds which register follows from the place alone.
    """
    code, live = program.instructions, program.live
    lasting = {register for pc, one in enumerate(code) if one.code in RESTS for register in live[pc]}
    apart: dict[int, set[int]] = {register: set() for register in lasting}
    for pc, one in enumerate(code):
        after = {register for to in successors(code, pc) for register in live[to]}
        together = [set(live[pc]), after | ({one.target.number} if one.target else set())]
        for alive in together:
            for register in alive & lasting:
                apart[register] |= alive & lasting
    found: dict[int, int] = {}
    for register in sorted(lasting):
        taken = {found[other] for other in apart[register] if other in found}
        found[register] = next(slot for slot in range(len(lasting)) if slot not in taken)
    return found
