"""Reading the address spaces one after the other, and a second time what does not agree with the kernel's counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.capture.agree import (
    Disagreement,
    Mappings,
    count_mappings,
    disagreement,
    disagreement_at,
    runs_with,
    whole_folios,
)
from mapcount.capture.budget import BudgetSpentError
from mapcount.capture.cgroups import task_cgroup
from mapcount.capture.gathered import MmCapture
from mapcount.capture.maps import parse_maps
from mapcount.capture.pagemap import ENTRY_BYTES, merge_ranges, spread
from mapcount.capture.processes import is_there
from mapcount.capture.runs import PAGE_SHIFT, RawBits, RawRuns
from mapcount.capture.sets import distinct, is_in
from mapcount.capture.smaps import mark_pmds, pmd_kib_by_vma
from mapcount.capture.stale import claimed_twice, settle_stale
from mapcount.capture.stats import read_rollup
from mapcount.capture.stretches import stretches_where, take_stretches
from mapcount.capture.walk import MmPages, WalkPlan, walk, walk_again
from mapcount.mapping.schema import Kind
from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.capture.maps import VmaList
    from mapcount.capture.processes import AddressSpace
    from mapcount.capture.stats import Stat
    from mapcount.mapping.schema import U64, Bools

MAX_ROLLUP_PAGES = 1 << 18
"""1 GiB. smaps_rollup lets go of mmap_lock between VMAs only: of a larger one it would hold it for more than 10 ms."""
SETTLEMENTS = 3
"""What is in motion still is settled this often at most; each time brings up less."""
SECOND_READS = 2
"""What disagrees is read again this often at most."""


@record(frozen=True)
class Progress:
    """How far a capture is: `done` of `total` address spaces; `pid`, `comm` and mapped pages of the one just read."""

    done: int
    total: int
    pid: int
    comm: str
    pages: int


@record
class Gathered:
    """What the reading of many address spaces gave."""

    mms: list[MmCapture] = field(default_factory=list)
    before: dict[Stat, int] = field(default_factory=dict)
    """smaps_rollup of each mm (subject `mm N`), just before its page tables were read"""
    after: dict[Stat, int] = field(default_factory=dict)
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    exited: int = 0
    unchecked: int = 0
    """Processes too large for smaps_rollup."""
    partial: str = ""
    races: dict[str, int] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def gather(
    spaces: list[AddressSpace], plan: WalkPlan, *, everybody: bool, progress: ProgressCallback | None
) -> tuple[Gathered, Mappings, Disagreement]:
    """
    Read all of `spaces`, then a second time what disagrees. Needs CAP_SYS_ADMIN and PTRACE_MODE_READ on each.

    `everybody`: no process was left out, so a frame with fewer mappings than counted is worth a second look. Ctrl-C and
    a spent budget end the reading; what was gathered stays and `partial` says why. Raises nothing for processes that
    exit or may not be read.
    """
    gathered = Gathered()
    try:
        for done, space in enumerate(spaces):
            _read_mm(gathered, plan, space)
            if progress and gathered.mms:
                pages = gathered.mms[-1].pages.pages_read
                progress(Progress(done + 1, len(spaces), space.leader.pid, space.leader.comm, pages))
        return (gathered, *_settle(gathered, plan, everybody=everybody))
    except BudgetSpentError as spent:
        gathered.partial = str(spent)
    except KeyboardInterrupt:
        gathered.partial = "interrupted"
    return (gathered, *_compare(gathered, plan))


def _read_mm(gathered: Gathered, plan: WalkPlan, space: AddressSpace) -> None:
    plan.check_budget()
    leader = space.leader
    try:
        vmas, pagemap_fd = _open_mm(leader.directory)
    except (FileNotFoundError, ProcessLookupError):
        gathered.exited += 1
        return
    except OSError as error:
        entry = {"pid": leader.pid, "comm": leader.comm, "error": error.strerror or str(error)}
        gathered.unreadable.append(entry)
        return
    reader = _reader_pid(leader.directory)
    subject = f"mm {len(gathered.mms)}"
    mm = MmCapture(space, vmas, MmPages(), task_cgroup(leader.pid), complete=False)
    try:
        checked = plan.check_all or _resident_pages(leader.directory) <= MAX_ROLLUP_PAGES
        before = read_rollup(reader, subject) if checked else {}
        if len(vmas):
            gathered.mms.append(mm)
        walk(plan, pagemap_fd, vmas, mm.pages)
        if len(vmas) == 0 or not _alive(pagemap_fd, vmas):
            raise ProcessLookupError
        if not plan.use_scan:
            _mark_pmds(gathered, mm)
        mm.complete = True
        gathered.before |= before
        gathered.after |= read_rollup(reader, subject) if checked else {}
        gathered.unchecked += not checked
    except OSError as error:
        # What was read of an mm that has ended is no mapping any more: its pages have been freed.
        if gathered.mms and gathered.mms[-1] is mm:
            gathered.mms.pop()
        if isinstance(error, ProcessLookupError) or not is_there(leader):
            gathered.exited += 1
        else:
            gathered.unreadable.append({"pid": leader.pid, "comm": leader.comm, "error": error.strerror or str(error)})
    finally:
        os.close(pagemap_fd)
        mm.pages.runs = [RawRuns.join(mm.pages.runs)]
        mm.pages.bits = [RawBits.join(mm.pages.bits)]


def _open_mm(directory: str) -> tuple[VmaList, int]:
    pagemap_fd = os.open(f"{directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with open(f"{directory}/maps", "rb") as file:
            return parse_maps(file.read()), pagemap_fd
    except BaseException:
        os.close(pagemap_fd)
        raise


def _resident_pages(directory: str) -> int:
    try:
        with open(f"{directory}/statm", encoding="ascii") as file:
            return int(file.read().split()[1])
    except (OSError, IndexError):
        return 0


def _reader_pid(directory: str) -> int:
    return int(directory.rpartition("/")[2])


def _alive(pagemap_fd: int, vmas: VmaList) -> bool:
    """Return whether the mm still has users: the pagemap of one that is gone is empty (fs/proc/task_mmu.c)."""
    return len(os.pread(pagemap_fd, ENTRY_BYTES, (int(vmas.start[0]) >> PAGE_SHIFT) * ENTRY_BYTES)) == ENTRY_BYTES


def _mark_pmds(gathered: Gathered, mm: MmCapture) -> None:
    try:
        with open(f"{mm.space.leader.directory}/smaps", "rb") as file:
            pmd_kib = pmd_kib_by_vma(file.read())
    except OSError:
        pmd_kib = {}
    runs, untold = mark_pmds(RawRuns.join(mm.pages.runs), mm.vmas, pmd_kib)
    mm.pages.runs = [runs]
    _add(gathered, "pages_pmd_or_pte_not_told", untold)


def _add(gathered: Gathered, name: str, count: int) -> None:
    if count:
        gathered.races[name] = gathered.races.get(name, 0) + int(count)


def _compare(gathered: Gathered, plan: WalkPlan) -> tuple[Mappings, Disagreement]:
    physical = plan.physical
    mappings = count_mappings(physical, [RawRuns.join(mm.pages.runs) for mm in gathered.mms])
    return mappings, disagreement(physical, mappings, counts_exact=plan.counts_exact)


def _settle(gathered: Gathered, plan: WalkPlan, *, everybody: bool) -> tuple[Mappings, Disagreement]:
    mappings, differs = _compare(gathered, plan)
    first = differs
    _add(gathered, "pages_disagreed", len(differs.over) + (differs.nr_under if everybody else 0))
    unstable: list[U64] = []
    for attempt in range(SECOND_READS):
        suspects = [differs.over]
        if everybody and attempt == 0:
            suspects.append(differs.under)
        elif not everybody:
            suspects.append(_torn(gathered, plan, differs))
        for mm in gathered.mms:
            suspects += mm.pages.suspects
            mm.pages.suspects = []
        frames = np.concatenate(suspects)
        if not len(frames):
            break
        unstable.append(whole_folios(plan.physical, frames))
        looked_at = distinct(unstable[-1], _read_again(gathered, plan, unstable[-1]))
        parts = [mm.pages.runs[0] for mm in gathered.mms]
        anew = disagreement_at(plan.physical, parts, looked_at, counts_exact=plan.counts_exact)
        differs = Disagreement.of(
            _renewed(differs.over, looked_at, anew.over), _renewed(differs.under, looked_at, anew.under)
        )
    _add(gathered, "bit_56_unlike_kpagecount", sum(len(pfns) for mm in gathered.mms for pfns in mm.pages.suspects))
    if not unstable:
        return mappings, differs
    moved: list[U64] = []
    frames = distinct(*unstable, whole_folios(plan.physical, differs.over))
    for _ in range(SETTLEMENTS):
        stale, shared = settle_stale(gathered.mms, plan, frames)
        moved.append(stale)
        mappings, differs = _compare(gathered, plan)
        over = differs.over[plan.physical.kinds_of(differs.over) != Kind.HUGETLB]
        frames = whole_folios(plan.physical, np.concatenate((over, _torn(gathered, plan, differs))))
        if not len(frames):
            break
    _add(gathered, "pages_given_to_the_later_process", sum(len(pfns) for pfns in moved))
    _add(gathered, "hugetlb_pages_in_shared_tables", shared)
    if everybody:  # an unseen mapper was missing from the beginning; what is missing since then is in motion
        known = is_in(differs.under, first.under)
        moved.append(differs.under[~known])
        differs = Disagreement.of(differs.over, differs.under[known])
    return mappings, Disagreement.of(distinct(*moved, over), differs.under)


def _torn(gathered: Gathered, plan: WalkPlan, differs: Disagreement) -> U64:
    """
    Return the heads of anon folios of several mms with pages that only somebody else maps.

    Others may map what we do not; but such a folio may also be one that was freed and reused while it was read.
    """
    if len(gathered.mms) < 2:
        return np.empty(0, np.uint64)
    under = differs.under_starts, differs.under_lengths
    lone = spread(*stretches_where(take_stretches(plan.physical.counts, *under) == 1, *under))
    return claimed_twice(gathered.mms, plan.physical, lone)


def _renewed(pfns: U64, looked_at: U64, anew: U64) -> U64:
    """Return `pfns` less those that were looked at anew, and what that gave; sorted."""
    return np.sort(np.concatenate((pfns[~is_in(pfns, looked_at)], anew)))


def _read_again(gathered: Gathered, plan: WalkPlan, frames: U64) -> U64:
    """
    Drop all runs that hold one of `frames` (sorted), forget what the kernel said of these, and read those addresses anew.

    Returns the frames that were found there.
    """
    plan.physical.forget(frames)
    found: list[U64] = [np.empty(0, np.uint64)]
    for mm in list(gathered.mms):
        runs = RawRuns.join(mm.pages.runs)
        hit = runs_with(frames, runs)
        if not hit.any():
            continue
        order = np.argsort(runs.page[hit])
        starts = runs.page[hit][order]
        ranges = merge_ranges(starts, starts + runs.nr_pages[hit][order], 0)
        _add(gathered, "pages_read_again", int(runs.nr_pages[hit].sum()))
        bits = RawBits.join(mm.pages.bits)
        stale = _inside(bits.page, *ranges)
        mm.pages.runs = [runs.take(~hit)]
        mm.pages.bits = [RawBits(bits.page[~stale], bits.nr_pages[~stale], bits.mapped_once[~stale])]
        if not _walk_again(mm, plan, ranges):
            gathered.exited += 1
            _forget_mm(gathered, mm)
            continue
        fresh = mm.pages.runs[0].take(np.arange(int((~hit).sum()), len(mm.pages.runs[0])))
        found.append(spread(fresh.pfn, fresh.nr_pages.astype(np.uint64)))
    return np.concatenate(found)


def _inside(pages: U64, starts: U64, ends: U64) -> Bools:
    at = np.searchsorted(starts, pages, side="right") - 1
    inside: Bools = (at >= 0) & (pages < ends[at])
    return inside


def _walk_again(mm: MmCapture, plan: WalkPlan, ranges: tuple[U64, U64]) -> bool:
    """Return whether the mm was still there."""
    leader = mm.space.leader
    if not is_there(leader):
        return False
    try:
        pagemap_fd = os.open(f"{leader.directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        walk_again(plan, pagemap_fd, mm.vmas, mm.pages, ranges)
        return _alive(pagemap_fd, mm.vmas)
    except OSError:
        return False
    finally:
        os.close(pagemap_fd)
        mm.pages.runs = [RawRuns.join(mm.pages.runs)]
        mm.pages.bits = [RawBits.join(mm.pages.bits)]


def _forget_mm(gathered: Gathered, mm: MmCapture) -> None:
    """Take out an mm that ended after it was read; stats of the later ones keep their subject by renumbering."""
    gone = gathered.mms.index(mm)
    gathered.mms.remove(mm)
    for stats in (gathered.before, gathered.after):
        renumbered = {}
        for stat, value in stats.items():
            number = int(stat.subject.removeprefix("mm "))
            if number != gone:
                renumbered[stat._replace(subject=f"mm {number - (number > gone)}")] = value
        stats.clear()
        stats.update(renumbered)
