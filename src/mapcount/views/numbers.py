"""The numbers of user space that a comparison looks at: of the machine, of each process, of each memory cgroup."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import I64
    from mapcount.views.view import View


class Key(NamedTuple):
    """A number by name, and what it is of: a row of `mms`, of `cgroups`, or -1 for the machine."""

    name: str
    of: int = -1


_MEMINFO = {
    "AnonPages": "anon",
    "Mapped": "mapped",
    "Shmem": "shmem",
    "AnonHugePages": "anon_huge",
    "ShmemPmdMapped": "shmem_pmd",
    "FilePmdMapped": "file_pmd",
}
"""Names of /proc/meminfo, and the columns of Statistics."""
_SMAPS = {
    "Rss": "rss",
    "Pss": "pss_bytes",
    "Uss": "private",
    "Shared": "shared",
    "AnonHugePages": "anon_huge",
    "ShmemPmdMapped": "shmem_pmd",
    "FilePmdMapped": "file_pmd",
}
"""Names of smaps_rollup, and the columns of Smaps. Uss and Shared are Private_ and Shared_, clean and dirty."""
_SUMMED = ("Rss", "Pss", "Uss", "Shared")
"""Those whose sum over all processes is told of the machine: what PMDs map is in meminfo."""
_MEMORY_STAT = {"anon": "anon", "file_mapped": "mapped", "anon_thp": "anon_huge", "shmem": "shmem"}
"""Names of memory.stat (cgroup v2), and the columns of Statistics."""


def machine_numbers(view: View) -> Iterator[tuple[Key, str, int]]:
    """Yield key, unit and value of the numbers of the whole machine. Units are as in `comparison.Number`."""
    stats, smaps, counts = view.by_cgroup.machine(), view.by_mm, view.kpagecount
    for name, column in _MEMINFO.items():
        yield Key(name), "bytes", stats[column]
    for name in _SUMMED:
        yield Key(f"{name}, all processes"), "bytes", int(getattr(smaps, _SMAPS[name]).sum())
    yield Key("mapmax, greatest"), "mappings", int(smaps.mapmax.max(initial=0))
    yield Key("bit 56 set"), "pages", int(view.bits.nr_pages[view.bits.mapped_once].sum())
    yield Key("kpagecount, sum"), "mappings", int(counts.count.astype(np.int64) @ counts.nr_pages.astype(np.int64))
    yield Key("kpagecount of 0"), "pages", int(counts.nr_pages[counts.count == 0].sum())
    yield Key("nr_anon"), "folios", sum(size.nr_anon for size in view.sizes)
    yield Key("nr_anon_partially_mapped"), "folios", sum(size.nr_anon_partially_mapped for size in view.sizes)


def process_numbers(view: View) -> Iterator[tuple[Key, str, int]]:
    """Yield key, unit and value of the numbers of each address space."""
    for name, column in _SMAPS.items():
        if name != "Shared":  # Rss less Uss: the same difference again
            yield from _each(name, "bytes", getattr(view.by_mm, column))
    yield from _each("mapmax", "mappings", view.by_mm.mapmax)
    bits = view.bits
    by_mm = np.bincount(bits.mm_id, bits.nr_pages * bits.mapped_once, minlength=len(view.snapshot.mms))
    yield from _each("bit 56 set", "pages", by_mm.astype(np.int64))


def cgroup_numbers(view: View) -> Iterator[tuple[Key, str, int]]:
    """Yield key, unit and value of the numbers of each memory cgroup, without its children's; not of what has no cgroup."""
    for name, column in _MEMORY_STAT.items():
        for key, unit, value in _each(name, "bytes", getattr(view.by_cgroup, column)):
            if key.of:
                yield key, unit, value


def _each(name: str, unit: str, values: I64) -> Iterator[tuple[Key, str, int]]:
    for of, value in enumerate(values.tolist()):
        yield Key(name, of), unit, value
