"""Frames whose mappings moved while they were read: what is stale goes, so that no frame looks more shared than it is."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.agree import count_mappings, disagreement_at, runs_with, whole_folios
from mapcount.capture.kpage import KIND_MASK
from mapcount.capture.pagemap import PFN_MASK, PRESENT, merge_ranges, read_entries, spread
from mapcount.capture.processes import is_there
from mapcount.capture.runs import PAGE_SHIFT, RawRuns, keep_pages, runs_of
from mapcount.capture.sets import distinct, is_in
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.capture.agree import Disagreement
    from mapcount.capture.gathered import MmCapture
    from mapcount.capture.physical import PhysicalPages
    from mapcount.capture.walk import WalkPlan
    from mapcount.mapping.schema import I32, U64, Bools

CHECKS = 2
"""Twice, so that a frame keeps two owners only if it went to and fro between them in step with the looks."""


def settle_stale(mms: list[MmCapture], plan: WalkPlan, frames: U64) -> tuple[U64, int]:
    """
    Look twice more at every mapping of `frames` (sorted), mm after mm, and drop those that are not there any more.

    Then what the kernel says of `frames` is read again: a folio may have been split and its pages given away. Where more
    mappings are left than the kernel counts, those that were looked at first are dropped: a frame that went from one
    process to another in between belongs to the later one. Returns the frames of which that had to be decided, and the
    number of hugetlb pages mapped by shared page tables.
    """
    found, counts = _found(mms, plan, frames), plan.physical.counts[frames]
    for mm in mms * CHECKS:
        _drop(mm, runs_with(frames, mm.pages.runs[0]), partial(_still_mapped, mm))
    plan.physical.forget(frames)
    for mm in mms:
        _look_at_frames(mm, plan, runs_with(frames, mm.pages.runs[0]))
    found_now = _found(mms, plan, frames)
    steady = frames[(found_now == found) & (plan.physical.counts[frames] == counts)]
    over = _differs(mms, plan, frames).over
    # A hugetlb page table that several mms share counts as one mapping (hugetlb_pmd_shared(), fs/proc/task_mmu.c).
    shared = plan.physical.kinds_of(over) == Kind.HUGETLB
    over, nr_shared = over[~shared], int(shared.sum())
    excess = np.zeros(plan.physical.max_pfn + 1, np.int32)
    excess[over] = found_now[np.searchsorted(frames, over)] - plan.physical.counts[over].astype(np.int64)
    claimed = claimed_twice(mms, plan.physical, over)
    for mm in mms:
        left = over[excess[over] > 0]
        if not len(left):
            break
        rows = runs_with(whole_folios(plan.physical, left), mm.pages.runs[0])
        _drop(mm, rows, partial(_take_from, plan.physical, claimed, excess))
    moving = plan.physical.heads_of(frames[~is_in(frames, steady)])
    steady = plan.physical.heads_of(steady)
    steady = distinct(steady[~is_in(steady, distinct(moving))])
    return distinct(over, _one_owner(mms, plan, frames, steady)), nr_shared


def _found(mms: list[MmCapture], plan: WalkPlan, frames: U64) -> I32:
    """Return how often each of `frames` is found mapped."""
    runs = [mm.pages.runs[0] for mm in mms]
    return count_mappings(plan.physical, [some.take(runs_with(frames, some)) for some in runs]).of(frames)


def _differs(mms: list[MmCapture], plan: WalkPlan, frames: U64) -> Disagreement:
    runs = [mm.pages.runs[0] for mm in mms]
    return disagreement_at(plan.physical, runs, frames, counts_exact=plan.counts_exact)


def claimed_twice(mms: list[MmCapture], physical: PhysicalPages, pfns: U64) -> U64:
    """Return the heads of the anon folios of `pfns` that several mms map."""
    wanted = distinct(physical.heads_of(pfns))
    wanted = wanted[physical.classes[wanted] & KIND_MASK == Kind.ANON]
    times = np.zeros(len(wanted), np.int64)
    for mm in mms if len(wanted) else ():
        heads = physical.heads_of(mm.pages.runs[0].pfn)
        times[np.searchsorted(wanted, distinct(heads[is_in(heads, wanted)]))] += 1
    several: U64 = wanted[times > 1]
    return several


def _one_owner(mms: list[MmCapture], plan: WalkPlan, frames: U64, steady: U64) -> U64:
    """
    Give anon folios that still disagree to the mm that was looked at last; return the heads of those that lost an owner.

    Only where no page is counted twice: such a folio has several owners only if each maps other pages of it than the
    others. That is possible (fork, then each unmaps a part), but to be believed of those alone that stood still while they
    were looked at (heads in `steady`).
    """
    physical = plan.physical
    differs = _differs(mms, plan, whole_folios(physical, frames))
    lone = distinct(differs.over, differs.under)
    heads = claimed_twice(mms, physical, lone[physical.counts[lone] <= 1])
    heads = heads[~is_in(heads, steady)]
    heads = heads[[physical.counts[pages].max() <= 1 for pages in map(partial(_pages_of, physical), heads.tolist())]]
    owned = np.empty(0, np.uint64)
    lost = [owned]
    for mm in reversed(mms) if len(heads) else ():
        runs = mm.pages.runs[0]
        whose = physical.heads_of(runs.pfn)
        mine = is_in(whose, heads)
        double = mine & is_in(whose, owned)
        owned = distinct(owned, whose[mine])
        lost.append(whose[double])
        mm.pages.vanished += int(runs.nr_pages[double].sum())
        mm.pages.runs = [runs.take(~double)]
    return distinct(*lost)


def _pages_of(physical: PhysicalPages, head: int) -> slice:
    order = int(physical.orders_of(np.array([head], np.uint64))[0])
    return slice(head, head + (1 << order))


def _look_at_frames(mm: MmCapture, plan: WalkPlan, rows: Bools) -> None:
    """Read the frames of some runs anew, and cut the runs as the folios are now."""
    if not rows.any():
        return
    runs = mm.pages.runs[0]
    by_pte = rows & (runs.level == Level.PTE)
    for pfn, nr_pages in zip(runs.pfn[rows & ~by_pte].tolist(), runs.nr_pages[rows & ~by_pte].tolist(), strict=True):
        plan.physical.learn_pmd(pfn, nr_pages, all_counts=plan.whole_folios)
    if not by_pte.any():
        return
    cut = runs.take(np.flatnonzero(by_pte)[np.argsort(runs.page[by_pte])])
    sizes = cut.nr_pages.astype(np.uint64)
    pages, pfns = spread(cut.page, sizes), spread(cut.pfn, sizes)
    plan.physical.learn(pfns)
    vma_starts = mm.vmas.start >> np.uint64(PAGE_SHIFT)
    anew, _ = runs_of(pages, pfns, np.zeros(len(pages), np.bool_), plan.physical.classes[pfns], vma_starts)
    mm.pages.runs = [RawRuns.join([runs.take(~by_pte), anew])]


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


def _take_from(physical: PhysicalPages, claimed: U64, excess: I32, runs: RawRuns) -> Bools:
    """
    Say which pages stay, and count those that go off the excess.

    An anon folio that another mm claims too goes as a whole: pages that only we claim are no less stale than the others.
    """
    pfns = spread(runs.pfn, runs.nr_pages.astype(np.uint64))
    heads = physical.heads_of(pfns)
    whole = is_in(heads, claimed[is_in(claimed, distinct(heads[excess[pfns] > 0]))])
    keep: Bools = (excess[pfns] <= 0) & ~whole
    np.subtract.at(excess, pfns[~keep], np.int32(1))
    return keep
