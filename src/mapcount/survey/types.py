"""The answers of a survey, one frozen record per kind of row: what reports print and JSON holds.

Sizes are bytes, counts are folios unless the name says pages. `exclusive` means `one_mm`: all mappings belong to one
address space; it is neither "mapped once" (Uss, bit 56) nor PageAnonExclusive. `wasted_bytes` is anon memory of a folio
that is not in the swap cache and that nothing maps; unmapped parts of shmem and file folios hold data and are
`unmapped_bytes` alone. Rows of owners divide the waste of a shared folio by the number of mms that map it, rounded
down, so they never sum to more than the total.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Metadata


@record(frozen=True)
class SizeRow:
    """All folios of one kind and order; order 0 comes from the aggregates of small pages."""

    kind: str
    order: int
    folio_bytes: int
    folios: int
    bytes: int
    mapped_bytes: int
    """Bytes of pages with at least one mapping; each page once, however many map it."""
    fully_mapped: int
    partially_mapped: int
    """Folios of which some page is mapped and some page is not, over all mms together."""
    unmapped_bytes: int
    wasted_bytes: int
    exclusive: int
    """Folios all of whose mappings belong to one mm."""
    shared: int
    unknown: int
    """Folios of which neither can be said: not every mm was captured and kpagecount is no exact count."""
    pmd_mapped_bytes: int
    """Bytes of folios mapped by at least one PMD or PUD, each folio once."""
    pmd_only: int
    pte_only: int
    pmd_and_pte: int
    aligned_bytes: int
    """Of the bytes of runs (each mapping counts): those whose address is congruent to their place in the folio."""
    run_bytes: int
    """Bytes of all runs: the whole of which `aligned_bytes` and `contiguous_bytes` are parts."""
    contiguous_bytes: dict[str, int] = field(default_factory=dict)
    """By block size in bytes (as text): bytes in blocks contiguous and aligned in address and folio alike."""


@record(frozen=True)
class ProcessRow:
    """One address space."""

    mm_id: int
    pid: int
    pids: str
    comm: str
    cgroup: str
    complete: bool
    rss_bytes: int
    """Present pages as the kernel's Rss counts them: no zero page, no hugetlb, no device memory."""
    pss_bytes: int
    """Each page divided by its mappings; those of unseen mms included."""
    uss_bytes: int
    """Pages with exactly one mapping (`mapped_once`)."""
    swap_bytes: int
    hugetlb_bytes: int
    anon_large_bytes: int
    """Mapped pages of large anon folios."""
    file_large_bytes: int
    """Mapped pages of large file and shmem folios."""
    pmd_mapped_bytes: int
    large_folios: int
    """Large folios of which it maps at least one page."""
    partially_mapped: int
    """Of these, anon folios of which some page is mapped by nobody."""
    partial_view: int
    """Of these, anon folios that are mapped whole, but not by this process alone."""
    wasted_bytes: int


@record(frozen=True)
class OwnerRow:
    """A charge cgroup, a program (all processes of one name) or a VMA. Each folio counts once per row."""

    name: str
    mms: int
    mapped_bytes: int
    """Distinct pages, small ones included."""
    anon_large_bytes: int
    file_large_bytes: int
    pmd_mapped_bytes: int
    large_folios: int
    partially_mapped: int
    wasted_bytes: int


@record(frozen=True)
class VmaRow:
    """One VMA."""

    vma_id: int
    pid: int
    comm: str
    start: int
    end: int
    perms: str
    path: str
    rss_bytes: int
    anon_large_bytes: int
    file_large_bytes: int
    pmd_mapped_bytes: int
    large_folios: int
    partially_mapped: int
    partial_view: int
    wasted_bytes: int


@record(frozen=True)
class FolioRow:
    """One large folio."""

    folio_id: int
    kind: str
    order: int
    cgroup: str
    node: int
    mapped_pages: int
    mappings: int
    """Page mappings found and unseen, over all pages; a PMD counts one per page."""
    mms: int
    mapped: str
    """`pmd`, `pte` or `both`"""
    state: str
    """`exclusive`, `shared` or `unknown`"""
    wasted_bytes: int
    consistency: str
    pids: str
    """Processes that map it (at most eight), separated by blanks."""


@record(frozen=True)
class CutRow:
    """What if no anon folio were larger than `folio_bytes`: the same mappings with folios cut."""

    order: int
    folio_bytes: int
    folios: int
    """Pieces of anon folios with at least one mapped page, order 0 included; pieces nobody maps would be free."""
    wasted_bytes: int
    freed_bytes: int
    """Wasted bytes of today that this cut would give back."""


@record(frozen=True)
class MemoryRow:
    """One part of the machine's memory; the rows (except those `within` another) sum to MemTotal."""

    name: str
    size_bytes: int
    source: str
    """`found` by us, `kernel` (meminfo), or `derived`"""
    within: str = ""
    """Name of the row that it is a part of; empty: a part of MemTotal."""


@record(frozen=True)
class SinceBootRow:
    """What the kernel's per-size counters say happened since boot (not only to what is mapped now)."""

    size: str
    anon_fault_alloc: int
    anon_fault_fallback: int
    split: int
    split_deferred: int
    swpout: int
    nr_anon: int
    nr_anon_partially_mapped: int


@record(frozen=True)
class Check:
    """Our number beside the kernel's own."""

    name: str
    ours: int
    kernel: int
    """Its reading after the capture (or the nearer end of the band)."""
    unit: str
    verdict: str
    """`equal`, `bounded` (inside the band, or off in the direction that is known) or `unexplained`"""
    difference: int
    low: int
    high: int
    """The band that the kernel's readings before and after, and the known terms, allow."""
    note: str = ""
    """Why a difference is expected, and in which direction."""


@record(frozen=True)
class Survey:
    """All that a snapshot says by itself."""

    meta: Metadata
    sizes: list[SizeRow]
    processes: list[ProcessRow]
    cgroups: list[OwnerRow]
    programs: list[OwnerRow]
    cuts: list[CutRow]
    memory: list[MemoryRow]
    since_boot: list[SinceBootRow]
    checks: list[Check]
