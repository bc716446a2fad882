"""What is seen of a machine after a step: who maps what, the words of every folio, and what /proc says.

The model, a guest and the host each give the same records. Folios have names of the observer's own choice (`f0`, `f1`, ... in
the order in which he met them): who compares two machines matches folios by the addresses at which they are mapped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.mapping.schema import Kind, Level
    from mapcount.scenarios.scenario import Settings
    from mapcount.scenarios.steps import Step

Runs: TypeAlias = tuple[tuple[int, int], ...]
"""(value, pages) of stretches of equal values, over all pages of a folio or a span."""
WordValue: TypeAlias = int | Runs | tuple[int, int] | tuple[str | None, str | None]


@dataclass(frozen=True, order=True)
class Mapped:
    """Consecutive pages of a folio mapped at consecutive addresses by entries of one level in one page table."""

    process: str
    area: str
    page: int
    """Where the first is mapped: a page of the area."""
    folio: str
    first: int
    """First page within the folio."""
    nr_pages: int
    level: Level


@dataclass(frozen=True)
class FolioState:
    """
    A folio and its words, as stored (biased by -1 where the kernel does so).

    `_mapcount` and PG_anon_exclusive are Runs over its pages; `_mm_id_mapcount` is a pair; `_mm_id` a pair of the names of
    processes, None for a free slot; `shared` is bit 63 of _mm_ids, `deferred` whether it is in the deferred split queue. A
    kernel that lacks a word has no such key. Words: compound_mapcount, _entire_mapcount, _large_mapcount, _nr_pages_mapped,
    PG_double_map, PG_partially_mapped, _refcount; of a host that shows no words: kpagecount, as Runs.
    """

    order: int
    kind: Kind
    words: Mapping[str, WordValue]


SUMS = {"Shared": ("Shared_Clean", "Shared_Dirty"), "Private": ("Private_Clean", "Private_Dirty")}
"""Names of smaps that are added up."""


@dataclass(frozen=True)
class VmaReading:
    """What /proc says of the pages `[first, end)` of an area, one VMA of a process."""

    process: str
    area: str
    first: int
    end: int
    smaps_bytes: Mapping[str, int]
    """Rss, Pss, Anonymous, AnonHugePages, ... by the kernel's names, and SUMS: what is clean or dirty is not modelled."""
    mapped_once: Runs
    """pagemap's bit 56 of each page; 0 for one that is not present."""


@dataclass(frozen=True)
class Observation:
    """The state after a step. `mappings` are sorted; `folios` has every folio that is mapped, or was and holds data."""

    result: int
    """What the step returned (steps.py)."""
    mappings: tuple[Mapped, ...]
    folios: Mapping[str, FolioState]
    proc: tuple[VmaReading, ...] = ()
    """Empty where nobody read /proc."""
    kpagecount: Mapping[str, Runs] = field(default_factory=dict)
    """By folio, where it was read."""


class Backend(Protocol):
    """
    A machine that scenarios run on. `begin`, then `do` and `observe` in turn, then `end`, whatever happened in between.

    `begin` gives the first process (scenario.FIRST_PROCESS) under these settings, or raises KernelFeatureError if this machine
    has not what they ask for. `do` is never given an Expect.
    """

    @property
    def name(self) -> str:
        """Who speaks, for people: `model of 6.12`, `6.12.107+deb12-cloud-amd64`."""
        ...

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        ...

    @property
    def page_mapcount(self) -> bool:
        """Whether it keeps counts per page."""
        ...

    def begin(self, settings: Settings) -> None:
        """Start anew with one process that maps nothing of ours."""
        ...

    def do(self, step: Step) -> int:
        """Carry out a step; return its result."""
        ...

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return what is to be seen now; `proc` also reads /proc, which takes longer."""
        ...

    def end(self) -> None:
        """End all processes of the scenario and free what they had."""
        ...
