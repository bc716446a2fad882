"""smaps and numa_maps: Rss, Pss, Private, Shared, what PMDs map, hugetlb and mapmax, by VMA and by address space."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.mapping.schema import Kind, Level
from mapcount.survey.facts import is_kind
from mapcount.views.reading import PSS_SHIFT, axis_of, batches_of_runs, holds_small, in_smaps, is_huge

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I64, U8, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.views.reading import Reading


@dataclass(frozen=True, eq=False)
class Smaps:
    """Arrays over VMAs or over address spaces (smaps_rollup). Bytes, but for `pss*` and `mapmax`."""

    rss: I64
    pss: I64
    """As are the three that follow: 1/4096 of a byte. A kernel prints `pss >> 22` kB, of a sum after it was summed."""
    pss_anon: I64
    pss_file: I64
    pss_shmem: I64
    private: I64
    """Private_Clean and Private_Dirty (Uss): which is which is not in a snapshot."""
    shared: I64
    anonymous: I64
    anon_huge: I64
    """AnonHugePages: mapped by a PMD, as the two that follow."""
    shmem_pmd: I64
    file_pmd: I64
    private_hugetlb: I64
    shared_hugetlb: I64
    mapmax: I64
    """The greatest mapcount met in numa_maps, which leaves out 0 and 1."""

    @property
    def pss_bytes(self) -> I64:
        """Pss in whole bytes, rounded down."""
        return self.pss >> PSS_SHIFT

    def by_owner(self, owner: npt.NDArray[np.integer[Any]], owners: int) -> Smaps:
        """Return the sums over the rows of each owner, and the greatest mapmax."""
        found = {f.name: np.zeros(owners, np.int64) for f in fields(self)}
        for name, column in found.items():
            (np.maximum if name == "mapmax" else np.add).at(column, owner, getattr(self, name))
        return Smaps(**found)


@dataclass(frozen=True, eq=False)
class _Entries:
    """Entries of one kind, level and VMA: a run, or a row of `small`. `pss` and `private` are sums over their pages."""

    vma: npt.NDArray[Any]
    kind: U8
    level: U8
    pages: I64
    pss: npt.NDArray[Any]
    private: I64
    """pages"""
    mapmax: I64


def smaps(snapshot: Snapshot, reading: Reading) -> Smaps:
    """Return what smaps and numa_maps say of each VMA, row by row of `snapshot.vmas`."""
    # Shares are fractions in the truth (floats): what is left of them is rounded once, at the end.
    share = reading.pss.values.dtype
    sums = {
        f.name: np.zeros(len(snapshot.vmas), share if f.name.startswith("pss") else np.int64) for f in fields(Smaps)
    }
    base = axis_of(snapshot)
    for rows in batches_of_runs(snapshot):
        _add(sums, snapshot, _of_runs(snapshot, reading, base, rows))
    if not holds_small(snapshot):
        _add(sums, snapshot, _of_small(snapshot, reading))
    return Smaps(**{name: np.rint(column).astype(np.int64) for name, column in sums.items()})


def _of_runs(snapshot: Snapshot, reading: Reading, base: I64, rows: slice) -> _Entries:
    runs = snapshot.runs.take(rows)
    kind, huge = snapshot.folios.kind[runs.folio_id], is_huge(runs.level)
    begin = base[runs.folio_id] + runs.first_page
    pages = runs.nr_pages.astype(np.int64)
    pss = reading.pss.sums(begin, begin + pages)
    if reading.pss_by_entry:
        entry = pages[huge] * (snapshot.meta.page_size << PSS_SHIFT)
        pss[huge] = entry // np.maximum(reading.mapcount.at(begin[huge]), 1)
    # Of a page that is mapped by a PMD, or is hugetlb, numa_maps looks at the first (gather_stats).
    judged = np.where(huge, 1, pages)
    return _Entries(
        runs.vma_id,
        kind,
        runs.level,
        pages,
        pss,
        reading.private.sums(begin, begin + pages) * ~reading.in_shared_table[runs.folio_id],
        reading.mapcount.largest(begin, begin + judged),
    )


def _of_small(snapshot: Snapshot, reading: Reading) -> _Entries:
    small = snapshot.small
    pages = small.pages.astype(np.int64)
    return _Entries(
        small.vma_id,
        small.kind,
        np.full(len(small), Level.PTE, np.uint8),
        pages,
        pages * reading.small_pss,
        pages * reading.small_private,
        small.mappings.astype(np.int64),
    )


def _add(sums: dict[str, npt.NDArray[Any]], snapshot: Snapshot, entries: _Entries) -> None:
    page = snapshot.meta.page_size
    counted = in_smaps(snapshot, entries.kind, entries.vma)
    anon = counted & is_kind(entries.kind, Kind.ANON, Kind.KSM)
    shmem = counted & (entries.kind == Kind.SHMEM)
    file = counted & ~anon & ~shmem
    hugetlb = entries.kind == Kind.HUGETLB
    huge = is_huge(entries.level)

    def add(name: str, chosen: Bools, values: npt.NDArray[Any]) -> None:
        np.add.at(sums[name], entries.vma[chosen], values[chosen])

    size, private = entries.pages * page, entries.private * page
    for name, chosen in {"pss": counted, "pss_anon": anon, "pss_shmem": shmem, "pss_file": file}.items():
        add(name, chosen, entries.pss)
    add("rss", counted, size)
    add("private", counted, private)
    add("shared", counted, size - private)
    add("anonymous", anon, size)
    for name, chosen in {"anon_huge": anon, "shmem_pmd": shmem, "file_pmd": file}.items():
        add(name, chosen & huge, size)
    add("private_hugetlb", hugetlb & (private > 0), size)
    add("shared_hugetlb", hugetlb & (private == 0), size)
    # Reserved pages are none of numa_maps' (can_gather_numa_stats): of those that smaps counts, the vdso's.
    told = (counted & (snapshot.vmas.path[entries.vma] != "[vdso]")) | hugetlb
    np.maximum.at(sums["mapmax"], entries.vma[told], entries.mapmax[told])
