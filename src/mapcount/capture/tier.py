"""The tier without PFNs: what the page tables of a VMA say to a user who may not see page frames.

PAGEMAP_SCAN gives what is present, mapped by a PMD, or the zero page; pagemap's flag bits give the rest. Which pages
belong to one folio, and who else maps them, cannot be known without PFNs.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import field
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.capture.budget import BudgetSpentError
from mapcount.capture.cgroups import task_cgroup
from mapcount.capture.maps import VmaList, parse_maps
from mapcount.capture.pagemap import (
    ENTRY_BYTES,
    FILE_OR_SHMEM,
    GUARD,
    JOIN_GAP_PAGES,
    MAPPED_ONCE,
    PRESENT,
    SWAPPED,
    merge_ranges,
    read_entries,
)
from mapcount.capture.processes import read_process
from mapcount.capture.runs import PAGE_SHIFT
from mapcount.capture.scan import PAGE_IS_HUGE, PAGE_IS_PFNZERO, scan_supported, scan_windows
from mapcount.capture.tier_smaps import read_smaps
from mapcount.mapping.schema import Mms, ObservedVmas, Vmas
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mapcount.capture.processes import AddressSpace, Process
    from mapcount.capture.tier_smaps import SmapsVma
    from mapcount.mapping.schema import I64, U64

WINDOW_PAGES = 1 << 16
"""Entries read at a time: 512 KiB of them, and about 2 ms of mmap_lock held for reading."""
_SPARSE_PAGES = 1 << 18
"""Without PAGEMAP_SCAN a VMA of 1 GiB and more is skipped if smaps finds nothing in it."""
_COLUMNS = ("present", "pmd_mapped", "mapped_once", "file_or_shmem", "zero", "not_present")


@record(frozen=True)
class TierCapture:
    """Tables of a snapshot of the tier without PFNs, and what could not be read."""

    mms: Mms
    vmas: Vmas
    observed_vmas: ObservedVmas
    unreadable: list[dict[str, Any]]
    """`pid`, `comm`, `error` of processes that may not be read."""
    exited: int
    """Processes that ended before they were read."""
    reads: int
    bytes_read: int
    partial: str
    """Empty, or why it ended before it saw everything."""
    notes: list[str]
    """One sentence each on what a fallback cannot tell."""


@record
class _Gathered:
    mms: list[tuple[Any, ...]] = field(default_factory=list)
    vmas: list[VmaList] = field(default_factory=list)
    numbers: list[I64] = field(default_factory=list)
    unreadable: list[dict[str, Any]] = field(default_factory=list)
    exited: int = 0
    reads: int = 0
    bytes_read: int = 0
    fallback: bool = False


def capture_without_pfns(
    spaces: Sequence[AddressSpace],
    *,
    check_budget: Callable[[], None] = lambda: None,
    use_scan: bool = True,
    proc: str = "/proc",
) -> TierCapture:
    """
    Return mms, their VMAs and per VMA the pages by state, of those address spaces that this user may read.

    Takes PTRACE_MODE_READ on each process (the same user, not setuid) and no capability. Reads windows of at most
    WINDOW_PAGES entries and calls `check_budget` between them; a BudgetSpentError or Ctrl-C ends the capture with what
    was gathered (the mm that was being read is not `complete`). Without PAGEMAP_SCAN (`use_scan=False`, or Linux before
    6.7) `pmd_mapped` and `zero` are taken from smaps. Raises nothing for processes that exit or may not be read.
    """
    gathered = _Gathered()
    partial = ""
    try:
        for space in spaces:
            check_budget()
            _capture_mm(gathered, space, check_budget, proc, use_scan=use_scan)
    except BudgetSpentError as spent:
        partial = str(spent)
    except KeyboardInterrupt:
        partial = "interrupted"
    return _tables(gathered, partial)


def _capture_mm(
    gathered: _Gathered, space: AddressSpace, check_budget: Callable[[], None], proc: str, *, use_scan: bool
) -> None:
    with ExitStack() as stack:
        process, opened = _open_one(stack, space, use_scan=use_scan)
        if opened is None:
            return _not_read(gathered, process)
        vmas, smaps, pagemap_fd = opened
        if not len(vmas):
            gathered.exited += 1
            return None
        numbers = np.zeros((len(vmas), len(_COLUMNS)), np.int64)
        complete = False
        try:
            if smaps is None:
                _count_scanned(gathered, pagemap_fd, vmas, numbers, check_budget)
            else:
                _count_all(gathered, smaps, pagemap_fd, vmas, numbers, check_budget)
            complete = _still_there(pagemap_fd, vmas, process, proc)
        finally:
            gathered.fallback |= smaps is not None
            gathered.vmas.append(vmas)
            gathered.numbers.append(numbers)
            pids = " ".join(str(twin.pid) for twin in space.processes)
            cgroup = task_cgroup(process.pid, proc=proc)
            gathered.mms.append((process.pid, pids, process.comm, cgroup, process.start_time, complete))
    return None


def _open_one(
    stack: ExitStack, space: AddressSpace, *, use_scan: bool
) -> tuple[Process, tuple[VmaList, dict[int, SmapsVma] | None, int] | None]:
    # The first of the processes that share the mm which can be read; with what smaps says where it cannot be scanned.
    for process in space.processes:
        try:
            pagemap_fd = os.open(f"{process.directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, pagemap_fd)
            if not (use_scan and scan_supported(pagemap_fd)):
                return process, (*read_smaps(process), pagemap_fd)
            with open(f"{process.directory}/maps", "rb") as file:
                return process, (parse_maps(file.read()), None, pagemap_fd)
        except OSError:
            continue
    return space.leader, None


def _not_read(gathered: _Gathered, process: Process) -> None:
    try:
        with open(f"{process.directory}/pagemap", "rb"):
            gathered.exited += 1  # readable now: it was being replaced or had lost its mm
    except (FileNotFoundError, ProcessLookupError):
        gathered.exited += 1
    except OSError as error:
        gathered.unreadable.append({"pid": process.pid, "comm": process.comm, "error": error.strerror or str(error)})


def _still_there(pagemap_fd: int, vmas: VmaList, process: Process, proc: str) -> bool:
    # Reads of a dead mm return nothing; after exec maps and pagemap may have been of two mms, which the layout betrays.
    alive = os.pread(pagemap_fd, ENTRY_BYTES, (int(vmas.start[0]) >> PAGE_SHIFT) * ENTRY_BYTES)
    now = read_process(process.pid, proc)
    return bool(alive) and now is not None and now.start_time == process.start_time and now.layout == process.layout


def _count_scanned(
    gathered: _Gathered, pagemap_fd: int, vmas: VmaList, numbers: I64, check_budget: Callable[[], None]
) -> None:
    # One range from the first VMA to the last: holes of any size cost PAGEMAP_SCAN next to nothing.
    for regions in scan_windows(pagemap_fd, int(vmas.start[0]), int(vmas.end[-1]), WINDOW_PAGES):
        check_budget()
        starts, ends = regions[:, 0] >> np.uint64(PAGE_SHIFT), regions[:, 1] >> np.uint64(PAGE_SHIFT)
        joined = merge_ranges(starts, ends, JOIN_GAP_PAGES)
        for first, last in _windows(*joined):
            pages, entries, reads = read_entries(pagemap_fd, first, last)
            _note_reads(gathered, entries, reads)
            count_pages(numbers, vmas, pages, entries, (starts, ends, regions[:, 2]))


def _count_all(
    gathered: _Gathered,
    smaps: dict[int, SmapsVma],
    pagemap_fd: int,
    vmas: VmaList,
    numbers: I64,
    check_budget: Callable[[], None],
) -> None:
    no_regions = np.empty(0, np.uint64)
    for row, (start, end) in enumerate(zip(vmas.start.tolist(), vmas.end.tolist(), strict=True)):
        known = smaps[start]
        pages = (end - start) >> PAGE_SHIFT
        if known.pfnmap or (known.empty and pages >= _SPARSE_PAGES):
            continue
        span = np.array([start >> PAGE_SHIFT], np.uint64), np.array([end >> PAGE_SHIFT], np.uint64)
        for first, last in _windows(*span):
            check_budget()
            got, entries, reads = read_entries(pagemap_fd, first, last)
            _note_reads(gathered, entries, reads)
            count_pages(numbers, vmas, got, entries, (no_regions, no_regions, no_regions))
        present = int(numbers[row, 0])
        numbers[row, 1] = min(known.pmd_bytes >> PAGE_SHIFT, present)
        # What is present but in no Rss: the zero page, the huge zero folio.
        numbers[row, 4] = max(present - (known.counted_bytes >> PAGE_SHIFT), 0)


def count_pages(numbers: I64, vmas: VmaList, pages: U64, entries: U64, regions: tuple[U64, U64, U64]) -> None:
    """
    Add pages to `numbers`: one row per VMA, columns as in ObservedVmas after `vma_id`.

    `pages` are page numbers with their pagemap `entries`; `regions` are sorted, disjoint page-number ranges
    `[start, end)` and PAGEMAP_SCAN's categories of each. A page is what its entry says, read after the scan: a region
    adds only whether a PMD maps it and whether it is the zero page. Pages outside of all VMAs (mapped since) are left
    out.
    """
    vma = np.searchsorted(vmas.start, pages << np.uint64(PAGE_SHIFT), side="right") - 1
    inside = (vma >= 0) & ((pages << np.uint64(PAGE_SHIFT)) < vmas.end[vma])
    categories = _categories(pages, *regions)
    present = (entries & PRESENT != 0) & inside
    facts = (
        present,
        present & (categories & np.uint64(PAGE_IS_HUGE) != 0),
        present & (entries & MAPPED_ONCE != 0),
        present & (entries & FILE_OR_SHMEM != 0),
        present & (categories & np.uint64(PAGE_IS_PFNZERO) != 0),
        inside & (((entries & SWAPPED != 0) & (entries & PRESENT == 0)) | (entries & GUARD != 0)),
    )
    for column, fact in enumerate(facts):
        numbers[:, column] += np.bincount(vma[fact], minlength=len(vmas))


def _categories(pages: U64, starts: U64, ends: U64, categories: U64) -> U64:
    if not len(starts):
        return np.zeros(len(pages), np.uint64)
    region = np.maximum(np.searchsorted(starts, pages, side="right") - 1, 0)
    inside = (pages >= starts[region]) & (pages < ends[region])
    return np.where(inside, categories[region], np.uint64(0))


def _windows(starts: U64, ends: U64) -> Iterator[tuple[U64, U64]]:
    """Cut page-number ranges (sorted, disjoint) into groups of at most WINDOW_PAGES pages."""
    first: list[int] = []
    last: list[int] = []
    room = WINDOW_PAGES
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        at = start
        while at < end:
            until = min(at + room, end)
            first.append(at)
            last.append(until)
            room -= until - at
            at = until
            if not room:
                yield np.array(first, np.uint64), np.array(last, np.uint64)
                first, last, room = [], [], WINDOW_PAGES
    if first:
        yield np.array(first, np.uint64), np.array(last, np.uint64)


def _note_reads(gathered: _Gathered, entries: U64, reads: int) -> None:
    gathered.reads += reads
    gathered.bytes_read += entries.nbytes


_FALLBACK_NOTE = (
    "without PAGEMAP_SCAN the pages mapped by a PMD are smaps' own figure, "
    "and zero pages are those present that Rss leaves out"
)


def _tables(gathered: _Gathered, partial: str) -> TierCapture:
    lengths = [len(vmas) for vmas in gathered.vmas]
    numbers = np.concatenate([np.zeros((0, len(_COLUMNS)), np.int64), *gathered.numbers]).astype(np.uint64)
    vma_id = np.arange(sum(lengths), dtype=np.uint32)
    return TierCapture(
        mms=_mms(gathered.mms),
        vmas=_vmas(gathered.vmas, vma_id, np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)),
        observed_vmas=ObservedVmas(vma_id, *numbers.T.copy()),
        unreadable=gathered.unreadable,
        exited=gathered.exited,
        reads=gathered.reads,
        bytes_read=gathered.bytes_read,
        partial=partial,
        notes=[_FALLBACK_NOTE] if gathered.fallback else [],
    )


def _mms(rows: list[tuple[Any, ...]]) -> Mms:
    pid, pids, comm, cgroup, start_time, complete = zip(*rows, strict=True) if rows else ((),) * 6
    return Mms(
        mm_id=np.arange(len(rows), dtype=np.uint32),
        pid=np.array(pid, np.int32),
        pids=np.array(pids, object),
        comm=np.array(comm, object),
        task_cgroup=np.array(cgroup, object),
        start_time=np.array(start_time, np.uint64),
        complete=np.array(complete, np.bool_),
    )


def _vmas(lists: list[VmaList], vma_id: Any, mm_id: Any) -> Vmas:
    def column(name: str, dtype: Any) -> Any:
        return np.array([value for vmas in lists for value in getattr(vmas, name)], dtype)

    return Vmas(
        vma_id=vma_id,
        mm_id=mm_id,
        start=column("start", np.uint64),
        end=column("end", np.uint64),
        perms=column("perms", object),
        offset=column("offset", np.uint64),
        dev=column("dev", object),
        inode=column("inode", np.uint64),
        path=column("path", object),
    )
