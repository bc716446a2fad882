"""What this machine shows without privilege: processes, the kernel's counters per size, a band of waste; no folios."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mapcount.report.layout import first, heading, left_out, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural
from mapcount.units import format_bytes, format_count, format_kernel_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import RenderableType

    from mapcount.mapping.snapshot import Snapshot
    from mapcount.survey.types import Survey

UNREADABLE = -1
_COLUMNS = [Column("pid"), Column("process", text=True), *map(Column, ("rss", "pss", "uss", "pmd-mapped", "swap"))]
_Stats = dict[tuple[str, str, str], tuple[int, int]]


@dataclass(frozen=True)
class PublicProcess:
    """One address space as smaps_rollup and pagemap's flags show it; bytes, -1 where it could not be read."""

    pid: int
    comm: str
    rss_bytes: int
    pss_bytes: int
    uss_bytes: int
    pmd_mapped_bytes: int
    swap_bytes: int


def section(snapshot: Snapshot, view: View) -> Iterator[RenderableType]:
    """Yield what may be seen of this machine: processes, sizes, waste."""
    rows = public_processes(snapshot)
    yield heading("This machine, as far as it may be seen without privilege")
    yield sentence(f"{plural(len(rows), 'address space')} may be read; folios may not, so no sizes and no sharing.")
    yield from tables(_COLUMNS, [_cells(row) for row in first(rows, view.top)], width=view.width)
    yield from left_out(len(rows), view.top)
    yield from _sizes(snapshot, view)
    yield heading("Waste, system-wide")
    yield sentence(waste_sentence(snapshot))
    if waste_band(snapshot) is None:
        return
    yield note(
        "Active(anon) + Inactive(anon) - Shmem - AnonPages, less swap cache at the lower end, plus unevictable memory "
        "at the upper end. MADV_FREE hides more of it, and without per-page counts (CONFIG_NO_PAGE_MAPCOUNT) AnonPages "
        "holds whole folios and the difference says nothing."
    )


def public_processes(snapshot: Snapshot) -> list[PublicProcess]:
    """Return the address spaces that may be read, largest Rss first."""
    stats = _stats(snapshot)
    mms, vmas, seen = snapshot.mms, snapshot.vmas, snapshot.observed_vmas
    pmd_pages = np.zeros(len(mms), np.uint64)
    np.add.at(pmd_pages, vmas.mm_id[seen.vma_id], seen.pmd_mapped)
    rows = [
        PublicProcess(
            pid=int(mms.pid[mm]),
            comm=str(mms.comm[mm]),
            rss_bytes=_rollup(stats, mm, "Rss"),
            pss_bytes=_rollup(stats, mm, "Pss"),
            uss_bytes=_rollup(stats, mm, "Private_Clean", "Private_Dirty"),
            pmd_mapped_bytes=int(pmd_pages[mm]) * snapshot.meta.page_size,
            swap_bytes=_rollup(stats, mm, "Swap"),
        )
        for mm in range(len(mms))
    ]
    return sorted(rows, key=lambda row: (-row.rss_bytes, row.pid))


def known(survey: Survey) -> Survey:
    """Return the survey of such a snapshot without the tables that would show zeroes for what was not seen."""
    return replace(survey, sizes=[], processes=[], cgroups=[], programs=[], cuts=[], memory=[], checks=[])


def waste_band(snapshot: Snapshot) -> tuple[int, int] | None:
    """
    Return bytes of anon memory mapped by nobody, at least and at most; None if meminfo lacks a number.

    Anon folios are on the anon LRUs whole, AnonPages counts their mapped pages alone. Pages in the swap cache are on
    the LRU and live; mlocked ones are in AnonPages and on another LRU, so the difference is too small by at most
    `Unevictable`.
    """
    stats = _stats(snapshot)
    names = ("Active(anon)", "Inactive(anon)", "Shmem", "AnonPages", "SwapCached", "Unevictable")
    ends = [stats.get(("meminfo", "", name)) for name in names]
    readings = [end for end in ends if end is not None and min(end) >= 0]
    if len(readings) < len(names):
        return None
    low, high = [], []
    for active, inactive, shmem, anon, swapcache, unevictable in zip(*readings, strict=True):
        low.append(active + inactive - shmem - anon - swapcache)
        high.append(active + inactive - shmem - anon + unevictable)
    return max(0, min(low)), max(0, *high)


def waste_sentence(snapshot: Snapshot) -> str:
    """Say how much anon memory nobody maps."""
    band = waste_band(snapshot)
    return _waste(*band) if band else "How much memory nobody maps is not known: /proc/meminfo lacks a number."


def _waste(low: int, high: int) -> str:
    if not high:
        return "None: as far as these counters tell, somebody maps every page of anon memory."
    if not low:
        return f"At most {format_bytes(high)} of anon memory is mapped by nobody, and perhaps none."
    much = format_bytes(low) if low == high else f"Between {format_bytes(low)} and {format_bytes(high)}"
    return f"{much} of anon memory is mapped by nobody."


def _sizes(snapshot: Snapshot, view: View) -> Iterator[RenderableType]:
    stats = _stats(snapshot)
    sizes = [subject for source, subject, name in stats if source == "mthp" and name == "nr_anon"]
    rows = [
        (size, stats["mthp", size, "nr_anon"][1], stats.get(("mthp", size, "nr_anon_partially_mapped"), (0, -1))[1])
        for size in sizes
    ]
    shown = [row for row in rows if row[1] > 0]
    if shown:
        yield heading("Large anon folios by size (the kernel's own counters, system-wide)")
        columns = [Column("size", text=True), Column("folios"), Column("partially mapped")]
        yield from tables(
            columns,
            [
                [format_kernel_size(size), *("-" if n < 0 else format_count(n) for n in counts)]
                for size, *counts in shown
            ],
            width=view.width,
        )


def _stats(snapshot: Snapshot) -> _Stats:
    """Return the kernel's numbers by source, subject and name: before and after."""
    table = snapshot.observed_stats
    keys = zip(table.source, table.subject, table.name, strict=True)
    return dict(zip(keys, zip(table.before.tolist(), table.after.tolist(), strict=True), strict=True))


def _rollup(stats: Mapping[tuple[str, str, str], tuple[int, int]], mm_id: int, *names: str) -> int:
    """Return the sum of fields of an mm's smaps_rollup: after the capture, before it if the process is gone."""
    readings = [stats.get(("smaps_rollup", f"mm {mm_id}", name), (UNREADABLE, UNREADABLE)) for name in names]
    values = [before if after < 0 else after for before, after in readings]
    return UNREADABLE if min(values) < 0 else sum(values)


def _cells(row: PublicProcess) -> list[str]:
    sizes = (row.rss_bytes, row.pss_bytes, row.uss_bytes, row.pmd_mapped_bytes, row.swap_bytes)
    return [str(row.pid), row.comm, *("-" if size < 0 else format_bytes(size) for size in sizes)]
