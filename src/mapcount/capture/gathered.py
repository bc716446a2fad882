"""What a capture has gathered before it becomes tables: address spaces with their runs, and the evidence about frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.kpage import HEAD, ROLE_MASK, TAIL
from mapcount.capture.pagemap import spread
from mapcount.capture.runs import PAGE_SHIFT, RawRuns
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.capture.agree import Disagreement, Mappings
    from mapcount.capture.maps import VmaList
    from mapcount.capture.nodes import Nodes
    from mapcount.capture.physical import PhysicalPages
    from mapcount.capture.processes import AddressSpace
    from mapcount.capture.walk import MmPages
    from mapcount.mapping.schema import U32, U64, Bools


@record
class MmCapture:
    """One address space and all that was read of it."""

    space: AddressSpace
    vmas: VmaList
    pages: MmPages
    task_cgroup: str
    complete: bool
    vma_base: int = 0
    """Id of its first VMA."""


@record(frozen=True)
class Evidence:
    """What the kernel said of the frames, and how it agrees with the mappings found."""

    physical: PhysicalPages
    mappings: Mappings
    differs: Disagreement
    counts_exact: bool
    cgroup_name: Callable[[int], str]
    nodes: Nodes


def settled_runs(mm: MmCapture, physical: PhysicalPages) -> RawRuns:
    """
    Return the runs of an mm, less those that came or went while it was read.

    Left out and counted are runs at addresses that had no VMA when maps was read, and pages whose frame was mapped by
    nobody any more when it was looked at, twice.
    """
    runs = RawRuns.join(mm.pages.runs)
    gone = physical.classes[runs.pfn] == 0
    if gone.any():
        mm.pages.vanished += int(runs.nr_pages[gone].sum())
        runs = runs.take(~gone)
    address = runs.page << np.uint64(PAGE_SHIFT)
    vma = np.searchsorted(mm.vmas.start, address, side="right") - 1
    inside = (vma >= 0) & (address < mm.vmas.end[vma])
    if inside.all():
        return runs
    mm.pages.vanished += int(runs.nr_pages[~inside].sum())
    return runs.take(inside)


def vma_of(mm: MmCapture, pages: U64) -> U32:
    """Return the VMA id of each page number; all must lie in VMAs."""
    address = pages << np.uint64(PAGE_SHIFT)
    return (np.searchsorted(mm.vmas.start, address, side="right") - 1 + mm.vma_base).astype(np.uint32)


def is_large(physical: PhysicalPages, runs: RawRuns) -> Bools:
    """Return which runs are of large folios."""
    role = physical.classes[runs.pfn] & ROLE_MASK
    large: Bools = (role == HEAD) | (role == TAIL)
    return large


def runs_to_keep(runs: RawRuns, physical: PhysicalPages, *, keep_small: bool) -> RawRuns:
    """Return the runs that become rows, by address: those of large folios; of small pages, if wanted, one for each."""
    large = is_large(physical, runs)
    kept = RawRuns.join([runs.take(large), _single_pages(runs.take(~large))]) if keep_small else runs.take(large)
    return kept.take(np.argsort(kept.page, kind="stable"))


def _single_pages(runs: RawRuns) -> RawRuns:
    sizes = runs.nr_pages.astype(np.uint64)
    page, pfn = spread(runs.page, sizes), spread(runs.pfn, sizes)
    return RawRuns(page, pfn, np.ones(len(page), np.uint32), np.repeat(runs.level, runs.nr_pages))
