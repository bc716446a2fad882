"""A Snapshot: who mapped what at one time, what the kernel said of itself then, and how both were obtained."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from mapcount.mapping import schema as tables
from mapcount.record import record

if TYPE_CHECKING:
    import os


@record(frozen=True)
class Metadata:
    """How a snapshot came to be and what changes the meaning of its numbers. Written as meta.json."""

    schema_version: int = tables.SCHEMA_VERSION
    mapcount_version: str = ""
    tier: str = "pfn"
    """`pfn`: folios are known. `no-pfn`: the kernel hid PFNs; only `observed_*`, `mms` and `vmas` have rows."""
    scope: str = "all"
    """`all` processes, or `pids`, or `cgroup`: what was asked for."""
    scope_detail: str = ""
    host: str = ""
    kernel_release: str = ""
    kernel_version: str = ""
    machine: str = ""
    page_size: int = 4096
    pmd_order: int = 9
    boot_id: str = ""
    mem_total_bytes: int = 0
    cpus: int = 0
    """Online CPUs: the kernel holds some of its counts back per CPU. 0: not recorded."""
    counts_are: str = "unknown"
    """kpagecount of a large folio's page: `exact`, `average` (CONFIG_NO_PAGE_MAPCOUNT) or `unknown`; by probing."""
    counts_probe: str = ""
    """How the probe came to that."""
    settings: dict[str, str] = field(default_factory=dict)
    """THP and mTHP settings by their path below /sys/kernel/mm/transparent_hugepage."""
    capabilities: dict[str, bool] = field(default_factory=dict)
    """What could be used: pagemap_scan, kpageflags, kpagecount, kpagecgroup, kcmp, smaps_rollup."""
    started_at: float = 0.0
    """Seconds since the epoch."""
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    """User and system time of the capture, its threads included."""
    peak_rss_bytes: int = 0
    """Of the capturing process, from its start (VmHWM)."""
    reads: int = 0
    """Read calls on pagemap and kpage files, PAGEMAP_SCAN not counted."""
    bytes_read: int = 0
    command_line: str = ""
    capture_pid: int = 0
    """The process that captured: its own memory changed meanwhile."""
    partial: str = ""
    """Empty, or why the capture ended before it saw everything."""
    redacted: bool = False
    frozen: bool = False
    processes_seen: int = 0
    kernel_threads: int = 0
    exited: int = 0
    """Processes that ended while they were read."""
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    """`pid`, `comm`, `error` of processes that may not be read."""
    verdicts: dict[str, int] = field(default_factory=dict)
    """Large folios by consistency; order-0 ones are not among them."""
    races: dict[str, int] = field(default_factory=dict)
    """
    Pages by what happened to them: pages_disagreed (first reads), pages_read_again, pages_vanished (left out), pages_over and
    pages_under (still more, or fewer, mappings found than counted), pages_given_to_the_later_process,
    bit_56_unlike_kpagecount, hugetlb_pages_in_shared_tables, pages_pmd_or_pte_not_told. Zero ones may be absent.
    """
    notes: list[str] = field(default_factory=list)
    """Whatever else a reader must know, one sentence each."""


@record(frozen=True)
class Snapshot:
    """
    The tables of schema.py and the metadata. Immutable; arrays must not be written to.

    `cgroups[0]` is the empty name (none or unknown); cgroup columns index it.
    """

    meta: Metadata
    mms: tables.Mms
    vmas: tables.Vmas
    folios: tables.Folios
    runs: tables.Runs
    small: tables.Small
    swap: tables.Swap
    unseen: tables.Unseen
    observed_counts: tables.ObservedCounts
    observed_bits: tables.ObservedBits
    observed_vmas: tables.ObservedVmas
    observed_stats: tables.ObservedStats
    observed_words: tables.ObservedWords
    cgroups: tuple[str, ...] = ("",)

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> int:
        """
        Write a .mapsnap directory (0700, files 0600), beside its final name and then swapped in; return its bytes.

        Raises OutputExistsError if `path` is there and not `force`, OutputError if it cannot be written.
        """
        from mapcount.mapping.store import save

        return save(self, path, force=force)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Snapshot:
        """Read a .mapsnap directory. Raises BadSnapshotError if it is none, damaged, or of a newer schema."""
        from mapcount.mapping.store import load

        return load(path)


def empty_tables() -> dict[str, Any]:
    """Return every table of a snapshot without rows, by name."""
    return {name: table.empty() for name, table in tables.SNAPSHOT_TABLES.items()}
