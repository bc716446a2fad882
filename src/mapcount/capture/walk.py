"""The page tables of one address space, read in bounded windows and turned into runs."""

from __future__ import annotations

import os
from dataclasses import field
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SMALL
from mapcount.capture.pagemap import (
    ENTRY_BYTES,
    GUARD,
    JOIN_GAP_PAGES,
    PFN_MASK,
    PRESENT,
    SWAP_TYPE_MASK,
    SWAPPED,
    UFFD_WP,
    as_index,
    merge_ranges,
    read_ranges,
    spread,
)
from mapcount.capture.runs import PAGE_SHIFT, PMD_ORDER, Pieces, RawBits, RawRuns, cut_runs, pieces_of
from mapcount.capture.scan import PAGE_IS_HUGE, PAGE_IS_PFNZERO, PAGE_IS_PRESENT, scan_windows
from mapcount.capture.stretches import stretches_where, take_stretches
from mapcount.mapping.schema import Kind, Level, SwapKind
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mapcount.capture.maps import VmaList
    from mapcount.capture.physical import PhysicalPages
    from mapcount.mapping.schema import U64

SCAN_PAGES = 1 << 13
"""Pages of one PAGEMAP_SCAN, which holds mmap_lock for reading meanwhile: about 0.3 ms."""
WINDOW_PAGES = 1 << 17
"""
Entries held at a time; their frames are read within some 50 ms of them. pagemap itself takes the lock anew for each 2 MiB
(PAGEMAP_WALK_SIZE, fs/proc/task_mmu.c).
"""
PMD_PAGES = 1 << PMD_ORDER


@record
class MmPages:
    """What was read of one mm. Grows window by window."""

    runs: list[RawRuns] = field(default_factory=list)
    bits: list[RawBits] = field(default_factory=list)
    swap: dict[tuple[int, SwapKind], int] = field(default_factory=dict)
    """Pages by VMA (index within the mm) and kind."""
    beyond: dict[int, int] = field(default_factory=dict)
    """Pages by VMA whose PFN kpageflags does not know: device memory."""
    suspects: list[U64] = field(default_factory=list)
    """PFNs of which bit 56 and kpagecount tell different things."""
    pages_read: int = 0
    reads: int = 0
    """Read calls on pagemap, and bytes."""
    bytes_read: int = 0
    vanished: int = 0
    """Pages left out because they came or went while they were read."""


@record(frozen=True)
class WalkPlan:
    """How page tables are read."""

    physical: PhysicalPages
    use_scan: bool
    """PAGEMAP_SCAN exists."""
    whole_folios: bool
    """Read the counts of every frame of a PMD-mapped folio, not of the head alone: needed when not all mms are read."""
    counts_exact: bool
    """kpagecount and bit 56 speak of pages, not of folios."""
    swap_types: int
    """Swap files in use: swap entries of a higher type are migration, hwpoison or device entries."""
    check_budget: Callable[[], None]
    check_all: bool = False
    """Read smaps_rollup of every process, however large."""


def walk(plan: WalkPlan, pagemap_fd: int, vmas: VmaList, pages: MmPages) -> None:
    """Read all page tables of an mm into `pages`. Needs CAP_SYS_ADMIN for PFNs; raises OSError if the kernel refuses."""
    if not len(vmas):
        return
    if plan.use_scan:  # one range from the first VMA to the last: holes of any size cost it nothing
        for regions in _gathered_regions(
            plan, scan_windows(pagemap_fd, int(vmas.start[0]), int(vmas.end[-1]), SCAN_PAGES)
        ):
            _read_regions(plan, pagemap_fd, vmas, pages, regions)
    else:
        starts, ends = merge_ranges(vmas.start, vmas.end, 0)
        _read_all(plan, pagemap_fd, vmas, pages, starts >> np.uint64(PAGE_SHIFT), ends >> np.uint64(PAGE_SHIFT))


def _gathered_regions(plan: WalkPlan, windows: Iterable[U64]) -> Iterator[U64]:
    """Join scans to windows of WINDOW_PAGES: a scan is short for the sake of the lock, a window long for that of speed."""
    parts, nr_pages = [], 0
    for regions in windows:
        plan.check_budget()
        parts.append(regions)
        nr_pages += int((regions[:, 1] - regions[:, 0]).sum()) >> PAGE_SHIFT
        if nr_pages >= WINDOW_PAGES:
            whole, rest = _cut_at_table(np.concatenate(parts))
            if len(whole):
                yield whole
                parts, nr_pages = [rest], int((rest[:, 1] - rest[:, 0]).sum()) >> PAGE_SHIFT
    if parts:
        yield np.concatenate(parts)


def _cut_at_table(regions: U64) -> tuple[U64, U64]:
    """Cut regions in two where the last page table among them begins: runs never cross one, so none is cut in two."""
    table = regions[-1, 1] & ~np.uint64((PMD_PAGES << PAGE_SHIFT) - 1)
    before, behind = regions[regions[:, 0] < table].copy(), regions[regions[:, 1] > table].copy()
    before[:, 1] = np.minimum(before[:, 1], table)
    behind[:, 0] = np.maximum(behind[:, 0], table)
    return before, behind


def walk_again(plan: WalkPlan, pagemap_fd: int, vmas: VmaList, pages: MmPages, ranges: tuple[U64, U64]) -> None:
    """Read page-number ranges (sorted, disjoint) anew, in bounded windows."""
    starts, ends = ranges
    if plan.use_scan:
        # Joined over gaps: an address without a present page costs a scan next to nothing.
        spans = zip(*(edges.tolist() for edges in merge_ranges(starts, ends, PMD_PAGES)), strict=True)
        windows = (
            scan_windows(pagemap_fd, first << PAGE_SHIFT, last << PAGE_SHIFT, SCAN_PAGES) for first, last in spans
        )
        for regions in _gathered_regions(plan, chain.from_iterable(windows)):
            # What lies between is known already: it must not be read along.
            _read_regions(plan, pagemap_fd, vmas, pages, _clip(regions, starts, ends), join_gap=0)
        return
    _read_all(plan, pagemap_fd, vmas, pages, starts, ends)


def _read_all(plan: WalkPlan, pagemap_fd: int, vmas: VmaList, pages: MmPages, starts: U64, ends: U64) -> None:
    """Read every entry of page-number ranges, present or not: all that can be done without PAGEMAP_SCAN."""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        for window in range(start // WINDOW_PAGES * WINDOW_PAGES, end, WINDOW_PAGES):  # ends with a page table
            plan.check_budget()
            page, last = max(window, start), min(window + WINDOW_PAGES, end)
            _read_ptes(plan, pagemap_fd, vmas, pages, np.array([page], np.uint64), np.array([last], np.uint64))


def _clip(regions: U64, starts: U64, ends: U64) -> U64:
    """Cut regions (rows of byte addresses) to page-number ranges; both are sorted and disjoint."""
    if not len(regions):
        return regions
    low, high = int(regions[0, 0]) >> PAGE_SHIFT, int(regions[-1, 1]) >> PAGE_SHIFT
    near = slice(np.searchsorted(ends, low, side="right"), np.searchsorted(starts, high, side="left"))
    starts, ends = starts[near] << np.uint64(PAGE_SHIFT), ends[near] << np.uint64(PAGE_SHIFT)
    first = np.searchsorted(regions[:, 1], starts, side="right")
    times = np.maximum(np.searchsorted(regions[:, 0], ends, side="left") - first, 0)
    clipped = regions[as_index(spread(first.view(np.uint64), times.view(np.uint64)))]
    clipped[:, 0] = np.maximum(clipped[:, 0], np.repeat(starts, times))
    clipped[:, 1] = np.minimum(clipped[:, 1], np.repeat(ends, times))
    return clipped


def _read_regions(
    plan: WalkPlan, pagemap_fd: int, vmas: VmaList, pages: MmPages, regions: U64, *, join_gap: int = JOIN_GAP_PAGES
) -> None:
    categories = regions[:, 2]
    huge = (categories & PAGE_IS_HUGE != 0) & (categories & PAGE_IS_PRESENT != 0)
    if huge.any():
        _read_pmds(plan, pagemap_fd, pages, regions[huge])
        regions = regions[~huge]
    if len(regions):
        starts, ends = regions[:, 0] >> np.uint64(PAGE_SHIFT), regions[:, 1] >> np.uint64(PAGE_SHIFT)
        starts, ends = merge_ranges(starts, ends, join_gap)
        _read_ptes(plan, pagemap_fd, vmas, pages, starts, ends)


def _read_pmds(plan: WalkPlan, pagemap_fd: int, pages: MmPages, regions: U64) -> None:
    """Read the first entry of each PMD; what lies behind it follows from the folio."""
    physical = plan.physical
    found: list[tuple[int, int, int]] = []
    unread: dict[int, tuple[int, bool]] = {}
    for start, end, categories in regions.tolist():
        first, last = start >> PAGE_SHIFT, end >> PAGE_SHIFT
        for page in range(first, last, PMD_PAGES):
            nr_pages = min(PMD_PAGES - page % PMD_PAGES, last - page)
            data = os.pread(pagemap_fd, ENTRY_BYTES, page * ENTRY_BYTES)
            pages.reads += 1
            pages.bytes_read += len(data)
            entry = int.from_bytes(data, "little")
            pfn = entry & int(PFN_MASK)
            if not entry & int(PRESENT) or pfn == 0 or pfn + nr_pages > physical.max_pfn:
                continue
            unread.setdefault(pfn, (nr_pages, plan.whole_folios and not categories & PAGE_IS_PFNZERO))
            found.append((page, pfn, nr_pages))
    physical.learn_pmds(unread)
    page_numbers, pfns, sizes = np.array(found, np.uint64).reshape(-1, 3).T.copy()
    pages.pages_read += int(sizes.sum())
    pages.runs.append(RawRuns(page_numbers, pfns, sizes.astype(np.uint32), np.full(len(found), Level.PMD, np.uint8)))


def _read_ptes(plan: WalkPlan, pagemap_fd: int, vmas: VmaList, pages: MmPages, starts: U64, ends: U64) -> None:
    physical = plan.physical
    entries, counts, reads = read_ranges(pagemap_fd, starts, ends)
    pages.reads += reads
    pages.bytes_read += len(entries) * ENTRY_BYTES
    pieces, present, words = pieces_of(entries, starts, counts)
    if not present.all():
        _count_absent(plan, vmas, pages, pieces.page[~present], words[~present])
        pieces = pieces.take(present)
    if not len(pieces.page):
        return
    pieces = _within_memory(physical, vmas, pages, pieces)
    physical.learn_stretches(pieces.pfn, pieces.nr_pages)
    classes = take_stretches(physical.classes, pieces.pfn, pieces.nr_pages)
    runs, bits = cut_runs(pieces, classes, vmas.start >> np.uint64(PAGE_SHIFT))
    pages.pages_read += len(classes)
    pages.runs.append(runs)
    pages.bits.append(bits)
    if physical.has_counts:
        once = np.repeat(pieces.once, as_index(pieces.nr_pages))
        unlike = once != (take_stretches(physical.counts, pieces.pfn, pieces.nr_pages) == 1)
        if unlike.any():
            unlike &= (classes & READ != 0) & (classes & KIND_MASK < Kind.ZERO)
            if not plan.counts_exact:
                unlike &= classes & ROLE_MASK == SMALL
        if unlike.any():
            pages.suspects.append(spread(*stretches_where(unlike, pieces.pfn, pieces.nr_pages)))


def _within_memory(physical: PhysicalPages, vmas: VmaList, pages: MmPages, pieces: Pieces) -> Pieces:
    """Take out, and count by VMA, pages whose PFN kpageflags does not know, or that is 0."""
    if pieces.pfn.all() and int((pieces.pfn + pieces.nr_pages).max()) <= physical.max_pfn:
        return pieces
    sizes = as_index(pieces.nr_pages)
    page, pfn = spread(pieces.page, pieces.nr_pages), spread(pieces.pfn, pieces.nr_pages)
    beyond = (pfn >= np.uint64(physical.max_pfn)) | (pfn == 0)
    for vma in (np.searchsorted(vmas.start, page[beyond] << np.uint64(PAGE_SHIFT), side="right") - 1).tolist():
        pages.beyond[vma] = pages.beyond.get(vma, 0) + 1
    inside = ~beyond
    return Pieces(
        page[inside], pfn[inside], np.ones(len(page), np.uint64)[inside], np.repeat(pieces.once, sizes)[inside]
    )


def _count_absent(plan: WalkPlan, vmas: VmaList, pages: MmPages, numbers: U64, words: U64) -> None:
    """Count entries (of these page numbers) that are not present but not empty: swap, migration, markers."""
    marked = words & (SWAPPED | GUARD) != 0
    if not marked.any():
        return
    words, numbers = words[marked], numbers[marked]
    vma = np.searchsorted(vmas.start, numbers << np.uint64(PAGE_SHIFT), side="right") - 1
    kind = np.full(len(words), SwapKind.SWAP, np.int64)
    kind[words & SWAP_TYPE_MASK >= plan.swap_types] = SwapKind.SPECIAL
    # A marker is a swap entry of the last type; with bit 57 it is userfaultfd's, with bit 58 a guard (include/linux/swap.h).
    marker = words & SWAP_TYPE_MASK == SWAP_TYPE_MASK
    kind[marker & (words & UFFD_WP != 0)] = SwapKind.UFFD_WP
    kind[words & GUARD != 0] = SwapKind.GUARD
    pairs, counts = np.unique(vma * len(SwapKind) + kind, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        key = (pair // len(SwapKind), SwapKind(pair % len(SwapKind)))
        pages.swap[key] = pages.swap.get(key, 0) + count
