"""meminfo and memory.stat: AnonPages, Mapped, Shmem and what PMDs map, by memory cgroup and for the machine."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
)
from mapcount.survey.facts import is_kind
from mapcount.survey.small import join_small, small_in_rss
from mapcount.views.reading import axis_of, holds_small

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I64, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.reading import Reading


@dataclass(frozen=True, eq=False)
class Statistics:
    """
    Bytes, by memory cgroup: what is charged to it, not to its children (memory.stat of a parent has these in it too).

    Only folios that something captured maps are in it: of others the kernel's `shmem` knows.
    """

    anon: I64
    """AnonPages of meminfo, `anon` of memory.stat: NR_ANON_MAPPED."""
    mapped: I64
    """Mapped, `file_mapped`: NR_FILE_MAPPED."""
    shmem: I64
    """Shmem, `shmem`: whole folios, mapped or not."""
    anon_huge: I64
    """AnonHugePages, `anon_thp`: NR_ANON_THPS."""
    shmem_pmd: I64
    """ShmemPmdMapped."""
    file_pmd: I64
    """FilePmdMapped."""

    def machine(self) -> dict[str, int]:
        """Return the sums over all cgroups: meminfo."""
        return {f.name: int(getattr(self, f.name).sum()) for f in fields(self)}


def statistics(snapshot: Snapshot, reading: Reading) -> Statistics:
    """Return the statistics of each cgroup, row by row of `snapshot.cgroups`."""
    kind, page = snapshot.folios.kind, snapshot.meta.page_size
    owner = np.maximum(snapshot.folios.charge_cgroup, 0)

    def total(pages: npt.NDArray[Any]) -> I64:
        found = np.zeros(len(snapshot.cgroups), np.int64)
        np.add.at(found, owner, pages.astype(np.int64))
        return found

    found = {
        "anon": total(reading.stats[NR_ANON_MAPPED]),
        "mapped": total(reading.stats[NR_FILE_MAPPED]),
        "shmem": total(np.diff(axis_of(snapshot)) * (kind == Kind.SHMEM)),
        "anon_huge": total(reading.stats[NR_ANON_THPS]),
        "shmem_pmd": total(reading.stats[NR_SHMEM_PMDMAPPED]),
        "file_pmd": total(reading.stats[NR_FILE_PMDMAPPED]),
    }
    if not holds_small(snapshot):
        _add_small(found, snapshot)
    return Statistics(**{name: pages * page for name, pages in found.items()})


def _add_small(found: dict[str, I64], snapshot: Snapshot) -> None:
    """Add order-0 pages, each once however many map it; all kernels count them alike."""
    small = join_small(replace(snapshot, small=snapshot.small.take(small_in_rss(snapshot))))
    kind, owner = small.kind.astype(np.uint8), np.maximum(small.cgroup, 0)
    anon = is_kind(kind, Kind.ANON, Kind.KSM)

    def add(name: str, chosen: Bools) -> None:
        np.add.at(found[name], owner[chosen], small.pages[chosen])

    add("anon", anon)
    add("mapped", ~anon)
    add("shmem", kind == Kind.SHMEM)
