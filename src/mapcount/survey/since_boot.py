"""What the kernel's per-size counters say happened since boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.survey.stats import read_stats
from mapcount.survey.types import SinceBootRow

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot

_NAMES = (
    "anon_fault_alloc",
    "anon_fault_fallback",
    "split",
    "split_deferred",
    "swpout",
    "nr_anon",
    "nr_anon_partially_mapped",
)


def since_boot_rows(snapshot: Snapshot) -> list[SinceBootRow]:
    """
    Return one row per folio size, smallest first, as read after the capture; -1 where this kernel has no such counter.

    `split_deferred` counts once per folio, transients at exit included; collapse and swap-in are not in
    `anon_fault_alloc`. Source: /sys/kernel/mm/transparent_hugepage/hugepages-*/stats, Linux 6.10 to 6.14 one by one.
    """
    stats = read_stats(snapshot)
    rows = []
    for size in sorted(stats.subjects("mthp"), key=lambda size: int(size.removesuffix("kB"))):
        readings = {name: stats.get("mthp", name, size) for name in _NAMES}
        rows.append(SinceBootRow(size, **{name: -1 if got is None else got.after for name, got in readings.items()}))
    return rows
