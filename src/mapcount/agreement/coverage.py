"""How much scenarios exercise a kernel: steps of each operation that had an effect, and branches of its way of counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.agreement.branches import BranchTrace
from mapcount.scenarios.text import step_text

if TYPE_CHECKING:
    from mapcount.agreement.branches import Branch
    from mapcount.scenarios.observation import Observation
    from mapcount.scenarios.steps import Step
    from mapcount.schemes.bind import BoundScheme

OUT_OF_REACH = {
    "folio_maybe_dma_pinned": "nothing is pinned in a scenario",
    "must_copy(": "nothing is pinned in a scenario",
    "may_not_share(": "nothing is pinned in a scenario",
    "nr < 0": "two CPUs at once, and a scenario has one",
    ">= ENTIRELY_MAPPED": "two CPUs at once, and a scenario has one",
    "while again": "two CPUs at once, and a scenario has one",
    "op == FIRST_MAP": "a change of another kind is refused before",
}
"""By a part of the line: why no scenario takes a branch."""
ENOUGH = 100
"""Steps of an operation that had an effect, on one kernel."""
OPERATIONS = (
    "read",
    "write",
    "munmap",
    "dontneed",
    "mprotect",
    "mremap",
    "fork",
    "exit",
    "punch",
    "reclaim",
    "pageout",
    "collapse",
    "free",
)
"""Verbs that can change a mapping or a word; the others only prepare."""


@dataclass
class Coverage:
    """What was seen so far of one kernel. Give `watch` to a Pair whose left machine counts by this scheme."""

    branches: BranchTrace
    steps: Counter[str] = field(default_factory=Counter)
    """By operation."""
    effective: Counter[str] = field(default_factory=Counter)
    """Those that changed a mapping or a word of a folio."""

    @classmethod
    def of(cls, scheme: BoundScheme) -> Coverage:
        """Begin with nothing covered."""
        return cls(BranchTrace(scheme))

    def watch(self, step: Step, before: Observation | None, after: Observation) -> None:
        """Count a step."""
        operation = operation_of(step)
        self.steps[operation] += 1
        state = (before.mappings, before.folios) if before else ((), {})
        self.effective[operation] += state != (after.mappings, after.folios)

    def too_few(self) -> dict[str, int]:
        """Return the operations that had an effect less than ENOUGH times, and how often they had."""
        return {name: self.effective[name] for name in OPERATIONS if self.effective[name] < ENOUGH}

    def branches_not_taken(self) -> list[tuple[Branch, str]]:
        """Return them by file and line, each with the reason if it is out of reach."""
        return [(branch, _why(branch)) for branch in self.branches.not_taken()]


def _why(branch: Branch) -> str:
    if branch.function == "must_copy":
        return OUT_OF_REACH["must_copy("]
    return next((why for part, why in OUT_OF_REACH.items() if part in branch.source), "")


def operation_of(step: Step) -> str:
    """Return the verb of a step, as a scenario has it."""
    words = step_text(step).split()
    return words[1] if words[0].endswith(":") else words[0]
