"""Frames whose mappings moved while they were read: what is stale goes, so that no frame looks more shared than it is."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.agree import count_mappings, disagreement, runs_with
from mapcount.capture.kpage import KIND_MASK
from mapcount.capture.pagemap import PFN_MASK, PRESENT, merge_ranges, read_entries, spread
from mapcount.capture.processes import is_there
from mapcount.capture.runs import RawRuns, keep_pages
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.capture.gathered import MmCapture
    from mapcount.capture.walk import WalkPlan
    from mapcount.mapping.schema import U64, Bools


def settle_stale(mms: list[MmCapture], plan: WalkPlan, frames: U64) -> tuple[U64, int]:
    """
    Look once more at every mapping of `frames` (sorted), mm after mm, and drop those that are not there any more.

    Then the counts of `frames` are read again, and where more mappings are left than the kernel counts, the ones that were
    looked at first are dropped: a frame that went from one process to another in between belongs to the later one.
    Returns the frames of which that had to be decided, and the number of hugetlb pages mapped by shared page tables.
    """
    marked = np.zeros(plan.physical.max_pfn + 1, np.bool_)
    marked[frames] = True
    for mm in mms:
        _drop(mm, runs_with(marked, mm.pages.runs[0]), partial(_still_mapped, mm))
    plan.physical.count_again(frames)
    mappings = count_mappings(plan.physical.max_pfn, [mm.pages.runs[0] for mm in mms])
    over = disagreement(plan.physical, mappings, counts_exact=plan.counts_exact).over
    # A hugetlb page table that several mms share counts as one mapping (hugetlb_pmd_shared(), fs/proc/task_mmu.c).
    shared = plan.physical.classes[over] & KIND_MASK == Kind.HUGETLB
    over, nr_shared = over[~shared], int(shared.sum())
    excess = np.zeros(plan.physical.max_pfn + 1, np.int64)
    excess[over] = mappings.found[over] - plan.physical.counts[over].astype(np.int64)
    for mm in mms:
        _drop(mm, runs_with(excess > 0, mm.pages.runs[0]), partial(_take_from, excess))
    return over, nr_shared


def _drop(mm: MmCapture, rows: Bools, decide: Callable[[RawRuns], Bools]) -> None:
    """Let `decide` say which pages of the runs in `rows` stay; a PMD run stays or goes as a whole."""
    if not rows.any():
        return
    runs = mm.pages.runs[0]
    looked_at = runs.take(rows)
    keep = decide(looked_at)
    sizes = looked_at.nr_pages.astype(np.int64)
    begins = np.cumsum(sizes) - sizes
    whole = np.logical_and.reduceat(keep, begins)
    keep &= np.repeat(whole | (looked_at.level == Level.PTE), sizes)
    mm.pages.vanished += int((~keep).sum())
    mm.pages.runs = [RawRuns.join([runs.take(~rows), keep_pages(looked_at, keep)])]


def _still_mapped(mm: MmCapture, runs: RawRuns) -> Bools:
    sizes = runs.nr_pages.astype(np.uint64)
    pages, pfns = spread(runs.page, sizes), spread(runs.pfn, sizes)
    leader = mm.space.leader
    if not is_there(leader):
        return np.zeros(len(pages), np.bool_)
    order = np.argsort(runs.page)
    ranges = merge_ranges(runs.page[order], (runs.page + sizes)[order], 0)
    try:
        pagemap_fd = os.open(f"{leader.directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return np.zeros(len(pages), np.bool_)
    try:
        numbers, entries, _ = read_entries(pagemap_fd, *ranges)
    except OSError:
        return np.zeros(len(pages), np.bool_)
    finally:
        os.close(pagemap_fd)
    if not len(numbers):
        return np.zeros(len(pages), np.bool_)
    at = np.minimum(np.searchsorted(numbers, pages), len(numbers) - 1)
    now = entries[at]
    same: Bools = (numbers[at] == pages) & (now & PRESENT != 0) & (now & PFN_MASK == pfns)
    return same


def _take_from(excess: np.ndarray[tuple[int], np.dtype[np.int64]], runs: RawRuns) -> Bools:
    """Say which pages stay, and count those that go off the excess."""
    pfns = spread(runs.pfn, runs.nr_pages.astype(np.uint64))
    keep: Bools = excess[pfns] <= 0
    np.subtract.at(excess, pfns[~keep], 1)
    return keep
