"""The kernel's own numbers: meminfo, vmstat, mTHP stats, memory.stat, smaps_rollup; two moments of them as a table."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mapcount.capture.cgroups import memory_mount
from mapcount.capture.settings import SETTINGS_DIR, read_text
from mapcount.mapping.schema import ObservedStats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mapcount.capture.cgroups import Mount

UNREADABLE = -1
# The nr_* lines are pages, except counters in KiB (include/linux/mmzone.h, NR_KERNEL_STACK_KB) and those that the
# kernel divides by HPAGE_PMD_NR before it prints them (include/linux/vmstat.h, vmstat_item_print_in_thp).
_VMSTAT_KIB = frozenset({"nr_kernel_stack", "nr_shadow_call_stack"})
_VMSTAT_THPS = frozenset(
    {
        "nr_anon_transparent_hugepages",
        "nr_file_hugepages",
        "nr_file_pmdmapped",
        "nr_shmem_hugepages",
        "nr_shmem_pmdmapped",
    }
)
# memory.stat gives bytes, except for events (mm/memcontrol.c, memcg_page_state_output_unit, memcg_vm_event_stat).
_MEMCG_EVENTS = ("pg", "thp_", "workingset_", "zswp", "swpin", "swpout", "numa_")
_SIZE_DIR = re.compile(r"hugepages-(\d+kB)$")
_ROLLUP_MUST_HAVE = ("Rss", "Pss")


class Stat(NamedTuple):
    """What a number is about; the fields are columns of `ObservedStats`."""

    source: str
    subject: str
    name: str
    unit: str


def parse_meminfo(text: str) -> dict[Stat, int]:
    """Return the lines of /proc/meminfo in bytes; hugetlb page counts (no unit in the text) in folios."""
    stats = {}
    for name, value, kib in _lines(text, ":"):
        unit, scale = ("bytes", 1024) if kib else ("folios", 1)
        stats[Stat("meminfo", "", name, unit)] = value * scale
    return stats


def parse_vmstat(text: str) -> dict[Stat, int]:
    """Return the `nr_*`, `thp_*` and `pswp*` lines of /proc/vmstat: pages, folios of PMD size, bytes, or events."""
    stats = {}
    for name, value, _ in _lines(text, " "):
        if not name.startswith(("nr_", "thp_", "pswp")):
            continue
        unit = "pages" if name.startswith("nr_") else "events"
        unit = "folios" if name in _VMSTAT_THPS else "bytes" if name in _VMSTAT_KIB else unit
        stats[Stat("vmstat", "", name, unit)] = value * (1024 if name in _VMSTAT_KIB else 1)
    return stats


def parse_memory_stat(text: str, cgroup: str) -> dict[Stat, int]:
    """Return the lines of a cgroup's memory.stat, v1 or v2, in bytes or events."""
    return {
        Stat(
            "memcg", cgroup, name, "events" if name.removeprefix("total_").startswith(_MEMCG_EVENTS) else "bytes"
        ): value
        for name, value, _ in _lines(text, " ")
    }


def parse_rollup(text: str, subject: str) -> dict[Stat, int]:
    """Return the fields of a smaps_rollup in bytes."""
    return {Stat("smaps_rollup", subject, name, "bytes"): value * 1024 for name, value, kib in _lines(text, ":") if kib}


def _lines(text: str, separator: str) -> Iterator[tuple[str, int, bool]]:
    """Yield name, number, and whether `kB` follows, of each line that is no more than that."""
    for line in text.split("\n"):
        name, _, rest = line.partition(separator)
        number, _, unit = rest.strip(" ").partition(" ")
        if name and number.isdecimal() and unit in ("", "kB"):
            yield name, int(number), bool(unit)


def read_stats(
    *,
    cgroups: Iterable[str] = (),
    processes: Mapping[int, int] | None = None,
    proc: str = "/proc",
    sys: str = "/sys",
) -> dict[Stat, int]:
    """
    Return the kernel's numbers of this moment: of the machine, the root cgroup and the given ones, and processes.

    `cgroups` are paths in the memory controller's hierarchy (`/a/b`). `processes` maps mm_id to a pid that has that mm,
    or to a live thread of it; each costs one walk of all its page tables by the kernel, and PTRACE_MODE_READ on it.
    What cannot be read (no such cgroup, the process gone or forbidden) is -1. Nothing is raised.
    """
    stats = parse_meminfo(read_text(os.path.join(proc, "meminfo")) or "")
    stats |= parse_vmstat(read_text(os.path.join(proc, "vmstat")) or "")
    stats |= dict(_mthp(os.path.join(sys, SETTINGS_DIR)))
    mount = memory_mount(proc=proc)
    if mount:
        for cgroup in dict.fromkeys(("/", *cgroups)):
            stats |= _memory_stat(mount, cgroup)
    for mm_id, pid in (processes or {}).items():
        stats |= read_rollup(pid, f"mm {mm_id}", proc=proc)
    return stats


def read_rollup(pid: int, subject: str, *, proc: str = "/proc") -> dict[Stat, int]:
    """
    Return all fields of a process's smaps_rollup (4.14+) in bytes; Rss and Pss of -1 if it cannot be read.

    The kernel walks all page tables of the process for it, holding its mmap_lock for reading.
    """
    stats = parse_rollup(read_text(os.path.join(proc, str(pid), "smaps_rollup")) or "", subject)
    return stats or {Stat("smaps_rollup", subject, name, "bytes"): UNREADABLE for name in _ROLLUP_MUST_HAVE}


def observed_stats(before: Mapping[Stat, int], after: Mapping[Stat, int]) -> ObservedStats:
    """Return two moments as one table; -1 where a number was read at one of them only."""
    stats = list(dict.fromkeys((*before, *after)))
    columns = [np.array(texts, object) for texts in zip(*stats, strict=True)] if stats else [np.empty(0, object)] * 4
    values = (np.array([moment.get(stat, UNREADABLE) for stat in stats], np.int64) for moment in (before, after))
    return ObservedStats(*columns, *values)


def _memory_stat(mount: Mount, cgroup: str) -> dict[Stat, int]:
    directory = mount.directory(cgroup)
    text = read_text(os.path.join(directory, "memory.stat")) if directory else None
    if text is None:
        name = "anon" if mount.version == 2 else "rss"
        return {Stat("memcg", cgroup, name, "bytes"): UNREADABLE}
    return parse_memory_stat(text, cgroup)


def _mthp(top: str) -> Iterator[tuple[Stat, int]]:
    for size in _sizes(top):
        folder = os.path.join(top, f"hugepages-{size}", "stats")
        for name in sorted(_names(folder)):
            text = (read_text(os.path.join(folder, name)) or "").strip()
            # nr_anon and nr_anon_partially_mapped are folios now; all others are events since boot (transhuge.rst).
            unit = "folios" if name.startswith("nr_") else "events"
            yield Stat("mthp", size, name, unit), int(text) if text.isdigit() else UNREADABLE


def _sizes(top: str) -> list[str]:
    found = (_SIZE_DIR.match(name) for name in _names(top))
    return sorted((match[1] for match in found if match), key=lambda size: int(size[:-2]))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
