"""A scenario: its name, what it shows, the settings it runs under, what it needs of a kernel, and its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.scenarios.steps import Step

FIRST_PROCESS = "p"
"""Who is there when a scenario begins; all others are its descendants."""


@dataclass(frozen=True)
class Settings:
    """
    What is switched on while a scenario runs. Whatever is not named is off, so that a scenario says all that it rests on.

    khugepaged sleeps, and the zero page of PMD size is not used unless `huge_zero_page`.
    """

    thp: str = "madvise"
    """transparent_hugepage/enabled: always, madvise or never; holds for PMD size."""
    anon: Mapping[int, str] = field(default_factory=dict)
    """By order below PMD size: hugepages-*/enabled, a word of `thp` (Linux 6.8 and later)."""
    shmem: Mapping[int, str] = field(default_factory=dict)
    """By order: hugepages-*/shmem_enabled (6.11 and later), for PMD size shmem_enabled: always, within_size, advise or never.
    A memfd is on the kernel's own mount, to which they apply."""
    hugetlb_pages: int = 0
    """Pages of PMD size in the hugetlb pool."""
    swap: bool = False
    """There is a swap device."""
    huge_zero_page: bool = False
    max_ptes_none: int = 511
    """khugepaged/max_ptes_none: a folio of PMD size with more pages of zeros is split when memory is short (6.12 and later);
    511 is the kernel's default and means never."""
    gigantic_pages: int = 0
    """Pages of 1 GiB in a hugetlb pool of their own, set aside when a guest boots."""
    nodes: int = 1
    """NUMA nodes that have memory. Processors are on node 0 alone, and what is new comes from there."""


@dataclass(frozen=True)
class Scenario:
    """A named list of steps. `lines[i]` is the line of the text that step i came from, from 1; it is not compared."""

    name: str
    says: str
    """What it shows, in a sentence."""
    steps: tuple[Step, ...]
    settings: Settings = Settings()
    needs: tuple[int, int] = (0, 0)
    """The first kernel release it makes sense on."""
    lines: tuple[int, ...] = field(default=(), compare=False)
