"""What /proc of the running kernel shows of the areas of some processes: mappings, folios, kpagecount, smaps, bit 56.

The processes hold still while they are looked at. Pages that are not present (swap, migration) and the zero pages are left
out. A folio of a file that nobody maps any more is told by its frame, which nobody else has got: it is still charged to the
cgroup of the scenario.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.kpage import HEAD, KIND_MASK, ROLE_MASK, SMALL, TAIL, KpageFiles, classify, open_kpage_files
from mapcount.capture.maps import VmaList, parse_maps
from mapcount.capture.pagemap import ENTRY_BYTES, MAPPED_ONCE, PRESENT, read_entries, spread
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.runs import PAGE_SHIFT, RawRuns
from mapcount.capture.scan import scan_supported
from mapcount.capture.smaps import mark_pmds, pmd_kib_by_vma
from mapcount.capture.walk import MmPages, WalkPlan, walk
from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.folio_names import Entries, Folio, FolioNames
from mapcount.kernels.mapped_rows import mapped_rows, run_lengths
from mapcount.mapping.schema import Kind
from mapcount.scenarios.observation import SUMS, FolioState, Observation, VmaReading
from mapcount.scenarios.steps import AREA_BASE, AREA_BYTES, AREAS, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.mapping.schema import U8, U64
    from mapcount.scenarios.observation import Runs

_AREAS_END = AREA_BASE + len(AREAS) * AREA_BYTES
_ALL_SWAP_TYPES = 1 << 5
_VMA = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) .*\n", re.MULTILINE)
_AMOUNT = re.compile(rb"^(\w+): +(\d+) kB$", re.MULTILINE)
_NO_AMOUNTS = frozenset({"Size", "KernelPageSize", "MMUPageSize"})
"""Lines of smaps in kB that say what the VMA is, not what is mapped."""


@dataclass(frozen=True)
class _Pages:
    """The present pages of one process, sorted, without zero pages: one element a page."""

    page: U64
    pfn: U64
    level: U8


def observe(
    pids: Mapping[str, int],
    names: FolioNames,
    result: int,
    *,
    proc: bool = False,
    cgroup_inode: int = 0,
    root: str = "/proc",
) -> Observation:
    """
    Return what is to be seen of the areas of processes, by name in the order of their birth.

    `proc` adds smaps and bit 56. `cgroup_inode` is that of a cgroup that nobody else uses; without one, folios that nobody
    maps are left out. Needs root. Raises OSError if /proc cannot be read, GuestError for a process that is gone,
    KernelFeatureError where this kernel cannot tell what a PMD maps (before 6.7, and not always).
    """
    files = open_kpage_files(root)
    try:
        physical = PhysicalPages(files)
        found = {name: _read_process(f"{root}/{pid}", physical) for name, pid in pids.items()}
        entries = {
            name: Entries(pages.page, pages.pfn, physical.heads_of(pages.pfn)) for name, (pages, _) in found.items()
        }
        heads = np.unique(np.concatenate([part.head for part in entries.values()] or [np.empty(0, np.uint64)]))
        folios = _folios(physical, heads)
        held = _held(files, names.known, cgroup_inode)
        named = names.name(entries, folios, held)
        folios |= held
        in_order = sorted(named, key=lambda head: int(named[head][1:]))
        counts = {named[head]: _counts(physical, head, folios[head].order) for head in in_order}
    finally:
        files.close()
    mappings = [
        row
        for name, (pages, _) in found.items()
        for row in mapped_rows(name, pages.page, pages.pfn, entries[name].head, pages.level, named)
    ]
    states = {
        named[head]: FolioState(folios[head].order, folios[head].kind, {"kpagecount": counts[named[head]]})
        for head in in_order
    }
    readings: list[VmaReading] = []
    if proc:
        for name, (_, vmas) in found.items():
            readings += _readings(name, f"{root}/{pids[name]}", vmas)
    readings.sort(key=lambda reading: (reading.process, reading.area, reading.first))
    return Observation(result, tuple(sorted(mappings)), states, tuple(readings), counts)


def _read_process(directory: str, physical: PhysicalPages) -> tuple[_Pages, VmaList]:
    try:
        with open(f"{directory}/maps", "rb") as file:
            vmas = parse_maps(file.read())
        if not len(vmas):  # nobody has reaped it yet
            raise ProcessLookupError
        pagemap = os.open(f"{directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise GuestError(f"{directory}: this process of the scenario has ended by itself, or was killed") from error
    vmas = _in_areas(vmas)
    try:
        runs = _read_runs(directory, pagemap, vmas, physical)
    finally:
        os.close(pagemap)
    sizes = runs.nr_pages.astype(np.uint64)
    pages = _Pages(spread(runs.page, sizes), spread(runs.pfn, sizes), np.repeat(runs.level, runs.nr_pages))
    order = np.argsort(pages.page)
    order = order[physical.kinds_of(pages.pfn[order]) != Kind.ZERO]
    return _Pages(pages.page[order], pages.pfn[order], pages.level[order]), vmas


def _in_areas(vmas: VmaList) -> VmaList:
    rows = np.flatnonzero((vmas.start >= AREA_BASE) & (vmas.start < _AREAS_END))
    first, end = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    columns = (vmas.start, vmas.end, vmas.perms, vmas.offset, vmas.dev, vmas.inode, vmas.path)
    return VmaList(*(column[first:end] for column in columns))  # type: ignore[arg-type]


def _read_runs(directory: str, pagemap: int, vmas: VmaList, physical: PhysicalPages) -> RawRuns:
    use_scan = scan_supported(pagemap)
    plan = WalkPlan(
        physical,
        use_scan=use_scan,
        whole_folios=True,
        counts_exact=True,
        swap_types=_ALL_SWAP_TYPES,
        check_budget=lambda: None,
    )
    read = MmPages()
    walk(plan, pagemap, vmas, read)
    runs = RawRuns.join(read.runs)
    if use_scan or not len(runs):
        return runs
    with open(f"{directory}/smaps", "rb") as file:
        runs, untold = mark_pmds(runs, vmas, pmd_kib_by_vma(file.read()))
    if untold:
        raise KernelFeatureError(
            f"{directory}: {untold} pages are mapped by PMDs or by PTEs, which smaps does not tell apart where a VMA has "
            "both; PAGEMAP_SCAN of Linux 6.7 and later does"
        )
    return runs


def _folios(physical: PhysicalPages, heads: U64) -> dict[int, Folio]:
    orders, kinds = physical.orders_of(heads), physical.classes[heads] & np.uint8(KIND_MASK)
    rows = zip(heads.tolist(), orders.tolist(), kinds.tolist(), strict=True)
    return {head: Folio(order, Kind(kind)) for head, order, kind in rows}


def _held(files: KpageFiles, known: Mapping[int, Folio], cgroup_inode: int) -> dict[int, Folio]:
    """Return the folios of files that were seen before and are what they were, whoever maps them."""
    if not cgroup_inode:
        return {}
    return {
        head: folio
        for head, folio in known.items()
        if folio.kind is Kind.SHMEM
        and _words(files.cgroup_fd, head, 1).tolist() == [cgroup_inode]
        and _is_shmem(classify(_words(files.flags_fd, head, (1 << folio.order) + 1)), folio.order)
    }


def _words(fd: int, first: int, count: int) -> U64:
    return np.frombuffer(os.pread(fd, count * ENTRY_BYTES, first * ENTRY_BYTES) if fd >= 0 else b"", np.uint64)


def _is_shmem(classes: U8, order: int) -> bool:
    """Tell whether frames, and one more if there is one, are exactly one folio of shmem."""
    tails = classes & np.uint8(ROLE_MASK) == TAIL
    first = int(classes[0]) & (ROLE_MASK | KIND_MASK) == (HEAD if order else SMALL) | Kind.SHMEM
    return first and bool(tails[1 : 1 << order].all()) and not tails[1 << order :].any()


def _counts(physical: PhysicalPages, head: int, order: int) -> Runs:
    return run_lengths(physical.counts[head : head + (1 << order)])


def _readings(process: str, directory: str, vmas: VmaList) -> list[VmaReading]:
    with open(f"{directory}/smaps", "rb") as file:
        amounts = parse_amounts(file.read())
    pagemap = os.open(f"{directory}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return [
            _reading(process, start, end, amounts[start, end], pagemap)
            for start, end in zip(vmas.start.tolist(), vmas.end.tolist(), strict=True)
        ]
    finally:
        os.close(pagemap)


def _reading(process: str, start: int, end: int, amounts: dict[str, int], pagemap: int) -> VmaReading:
    area, first = place_of(start >> PAGE_SHIFT)
    bounds = (np.array([address >> PAGE_SHIFT], np.uint64) for address in (start, end))
    _, entries, _ = read_entries(pagemap, *bounds)
    once = (entries & PRESENT != 0) & (entries & MAPPED_ONCE != 0)
    return VmaReading(process, area, first, first + len(entries), amounts, run_lengths(once.astype(np.int64)))


def parse_amounts(smaps: bytes) -> dict[tuple[int, int], dict[str, int]]:
    """Return what is mapped in each VMA of a smaps text, by first and last address: bytes by the kernel's names and SUMS."""
    heads = list(_VMA.finditer(smaps))
    ends = [*(head.start() for head in heads[1:]), len(smaps)]
    return {
        (int(head[1], 16), int(head[2], 16)): _amounts_of(smaps[head.end() : end])
        for head, end in zip(heads, ends, strict=False)
    }


def _amounts_of(body: bytes) -> dict[str, int]:
    amounts = {name.decode(): int(kib) * 1024 for name, kib in _AMOUNT.findall(body)}
    told = {name: number for name, number in amounts.items() if name not in _NO_AMOUNTS}
    return told | {name: sum(amounts.get(part, 0) for part in parts) for name, parts in SUMS.items()}
