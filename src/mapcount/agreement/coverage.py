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

_PINNED, _TWO_CPUS = "nothing is pinned in a scenario", "two CPUs at once, and a scenario has one"
_NEW = "anon memory alone is told of as mapped for the first time"
OUT_OF_REACH = (
    ("must_copy", "", _PINNED),
    ("", "must_copy(", _PINNED),
    ("", "may_not_share(", _PINNED),
    ("", "folio_maybe_dma_pinned", _PINNED),
    ("", "nr < 0", _TWO_CPUS),
    ("", ">= ENTIRELY_MAPPED", _TWO_CPUS),
    ("", "while again", _TWO_CPUS),
    ("", "op == FIRST_MAP", "there is no other change"),
    ("apply_ptes", "folio_test_anon", _NEW),
    ("apply_pmd", "folio_test_anon", _NEW),
    (
        "dup_pmd",
        "not folio_test_anon",
        "fork leaves PMDs of files to faults (copy_huge_pmd(), mm/huge_memory.c of 6.12)",
    ),
    ("folio_mapped", "", "no number of /proc, and no decision of the model, asks for it"),
    (
        "map_pmd",
        "atomic_inc_and_test(m, compound_mapcount",
        "a second PMD maps anon memory by fork alone (dup_pmd): what several map is not moved",
    ),
    ("sum_of_all_pages", "not folio_test_anon", "MADV_FREE alone asks, and it is for anon memory"),
    ("mod_mapped", "if pages", "whoever counts folios, not pages, tells of none without pages"),
    ("mod_pmdmapped", "if pages", "no PMD is told of without pages"),
    ("mod_pmdmapped", "folio_test_shmem", "the files of scenarios are in memory (shmem)"),
)
"""Function (any, if empty), part of the line, and why no scenario takes a branch there that was not taken."""
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
        return cls(BranchTrace(scheme, out_of_reach=_why))

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
    for function, part, why in OUT_OF_REACH:
        if function in {"", branch.function} and part in branch.source:
            return why
    return ""


def operation_of(step: Step) -> str:
    """Return the verb of a step, as a scenario has it."""
    words = step_text(step).split()
    return words[1] if words[0].endswith(":") else words[0]
