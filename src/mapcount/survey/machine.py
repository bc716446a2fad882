"""Where the machine's memory is: found mapped, counted by the kernel, or left over; the parts make MemTotal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.survey.stats import read_stats
from mapcount.survey.types import MemoryRow, SizeRow

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.stats import Stats

ANON, WASTED = "anon, mapped", "anon, unmapped (wasted)"
HUGETLB, REST = "hugetlb", "rest"

_KERNEL = {
    HUGETLB: ("Hugetlb",),
    "slab": ("Slab",),
    "page tables": ("PageTables", "SecPageTables"),
    "kernel stacks": ("KernelStack",),
    "per-CPU": ("Percpu",),
    "free": ("MemFree",),
}


def memory_rows(snapshot: Snapshot, sizes: list[SizeRow]) -> list[MemoryRow]:
    """
    Return the parts of MemTotal; their sizes (but for rows `within` another) sum to it exactly. Empty without meminfo.

    `rest` takes what is left (drivers, vmalloc, swap cache that nothing maps, ...) and the races between our reading
    and the kernel's; it may be negative then. Parts computed as a difference are at least 0. meminfo is the one read
    after the capture. Pages that meminfo counts as mapped and that were not found are `mapped by processes not seen`;
    the kernel does not say whether those of files are shmem: they are taken from unmapped files first.
    """
    stats = read_stats(snapshot)
    total = _meminfo(stats, "MemTotal") or snapshot.meta.mem_total_bytes
    if not total or stats.get("meminfo", "MemFree") is None:
        return []
    anon, shmem, file = _mapped(sizes, "anon", "ksm"), _mapped(sizes, "shmem"), _mapped(sizes, "file")
    wasted = sum(row.wasted_bytes for row in sizes)
    # With CONFIG_NO_PAGE_MAPCOUNT AnonPages counts whole folios, so what is wasted is in it.
    averaged = wasted if snapshot.meta.counts_are == "average" else 0
    unseen_anon = max(_meminfo(stats, "AnonPages") - anon - averaged, 0)
    unseen_file = max(_meminfo(stats, "Mapped") - shmem - file, 0)
    shmem_left = max(_meminfo(stats, "Shmem") - shmem, 0)
    cache = _meminfo(stats, "Cached") + _meminfo(stats, "Buffers") - _meminfo(stats, "Shmem")
    file_left = max(cache - file, 0)
    from_file = min(unseen_file, file_left)
    from_shmem = min(unseen_file - from_file, shmem_left)

    rows = [
        MemoryRow(ANON, anon, "found"),
        MemoryRow(WASTED, wasted, "found"),
        MemoryRow("shmem, mapped", shmem, "found"),
        MemoryRow("shmem, unmapped", shmem_left - from_shmem, "derived"),
        MemoryRow("file, mapped", file, "found"),
        MemoryRow("file, unmapped", file_left - from_file, "derived"),
        MemoryRow("mapped by processes not seen", unseen_anon + from_file + from_shmem, "derived"),
    ]
    for name, parts in _KERNEL.items():
        rows.append(MemoryRow(name, sum(_meminfo(stats, part) for part in parts), "kernel"))
    rows.append(MemoryRow(REST, total - sum(row.size_bytes for row in rows), "derived"))
    return rows + _within(sizes)


def _within(sizes: list[SizeRow]) -> list[MemoryRow]:
    anon = [row for row in sizes if row.kind == "anon" and row.order > 0]
    return [
        MemoryRow("in large folios", sum(row.mapped_bytes for row in anon), "found", ANON),
        MemoryRow("in folios mapped by PMD", sum(row.pmd_mapped_bytes for row in anon), "found", ANON),
        MemoryRow("mapped", _mapped(sizes, "hugetlb"), "found", HUGETLB),
    ]


def _mapped(sizes: list[SizeRow], *kinds: str) -> int:
    return sum(row.mapped_bytes for row in sizes if row.kind in kinds)


def _meminfo(stats: Stats, name: str) -> int:
    """Return a line of meminfo in bytes; 0 if this kernel has none."""
    reading = stats.get("meminfo", name)
    return reading.after if reading else 0
