"""A guest as a Snapshot: who maps what by its page tables, and all words of its folios, out of its memory.

VMAs and the kernel's own numbers are read of /proc in the guest, first; then nothing runs there any more, and what is read of
its memory is of one moment.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import mapcount
from mapcount.capture.agree import count_mappings, disagreement
from mapcount.capture.assemble import assemble
from mapcount.capture.gathered import Evidence, MmCapture
from mapcount.capture.maps import parse_maps
from mapcount.capture.nodes import parse_zones
from mapcount.capture.processes import AddressSpace, parse_stat
from mapcount.capture.runs import PMD_ORDER, Pieces, RawRuns, cut_runs
from mapcount.capture.session import peak_rss_bytes
from mapcount.capture.settings import chosen_word
from mapcount.capture.stats import Stat, observed_stats, parse_meminfo, parse_rollup, parse_vmstat
from mapcount.capture.walk import MmPages
from mapcount.kernels.guest_frames import GuestFrames
from mapcount.kernels.guest_tables import read_entries
from mapcount.kernels.observed_words import words_table
from mapcount.mapping.schema import Consistency, Level, SwapKind
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mapcount.capture.maps import VmaList
    from mapcount.kernels.guest_files import GuestFiles
    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.kernels.guest_tables import GuestEntries
    from mapcount.mapping.schema import I64, Bools

_THP = "/sys/kernel/mm/transparent_hugepage"
_SIZES = tuple(f"{4 << order}kB" for order in range(1, PMD_ORDER + 1))
_PAGES_OF_ENTRY = {Level.PMD: 1 << PMD_ORDER, Level.PUD: 1 << 2 * PMD_ORDER}
_KERNELS_OWN = ("[vvar", "[vdso")
_SWAP_TYPE = np.uint64(59)
"""The lowest bit of a swap entry's type: arch/x86/include/asm/pgtable_64.h."""
_HEAD = re.compile(rb"^([0-9a-f]+)-[0-9a-f]+ ", re.MULTILINE)
_HUGETLB = re.compile(rb"^VmFlags:.* ht( |$)", re.MULTILINE)


@dataclass(frozen=True)
class GuestFacts:
    """What is known of a guest besides what is in it."""

    release: str
    page_mapcount: bool
    processes: Mapping[int, str]
    """Names of processes by pid, in place of the name of the program."""
    note: str
    """What was done there, one sentence."""
    command_line: str = ""


def take_snapshot(memory: GuestMemory, files: GuestFiles, facts: GuestFacts, *, keep_pfns: bool = False) -> Snapshot:
    """
    Return who maps what in an idle guest: all its processes, order-0 folios as rows too, with all words. Raises GuestError.

    `observed_counts` is what kpagecount has to say by these words; without counts per page, of order-0 folios alone.
    """
    started_at, started_s, started_cpu_s = time.time(), time.monotonic(), time.process_time()
    tasks = memory.all_mms()
    addresses = {pid: mm for pid, mm in tasks.items() if mm}
    found = [_Mm.read(files, mm, pids, facts) for mm, pids in _by_mm(addresses)]
    meta = _metadata(files, facts, started_at)
    nodes, swap_types = parse_zones(_text(files, "/proc/zoneinfo")), _text(files, "/proc/swaps").count("\n") - 1
    # Last, and these last of all: a long answer may be the first to write to a page that /init shares with its children.
    stats = _stats(files) | {stat: value for row, one in enumerate(found) for stat, value in _rollup(files, row, one)}
    files.drain_lru_batches()
    rows = {memory.mm_id_of(one.address): str(row) for row, one in enumerate(found)}
    frames = GuestFrames(
        memory, {mm_id: row for mm_id, row in rows.items() if mm_id}, page_mapcount=facts.page_mapcount
    )
    mms = [one.capture(memory, frames, swap_types) for one in found]
    mappings = count_mappings(frames, [RawRuns.join(mm.pages.runs) for mm in mms])
    differs = disagreement(frames, mappings, counts_exact=facts.page_mapcount)
    evidence = Evidence(frames, mappings, differs, facts.page_mapcount, lambda _: "", nodes)
    tables, cgroups = assemble(mms, evidence, keep_pfns=True, keep_small=True)
    folios: Any = tables["folios"]
    words = words_table({row: frames.states[head] for row, head in enumerate(folios.pfn.tolist())})
    verdicts = folios.consistency[folios.order > 0]
    meta |= {
        "verdicts": {word.name.lower(): int((verdicts == word).sum()) for word in Consistency},
        "races": {"pages_over": len(differs.over), "pages_under": differs.nr_under},
        "processes_seen": len(addresses),
        "kernel_threads": len(tasks) - len(addresses),
        "elapsed_s": time.monotonic() - started_s,
        "cpu_s": time.process_time() - started_cpu_s,
        "peak_rss_bytes": peak_rss_bytes(),
    }
    more = {"observed_stats": observed_stats(stats, stats), "observed_words": words}
    if not keep_pfns:
        more["folios"] = replace(folios, pfn=None)
    return Snapshot(meta=Metadata(**meta), cgroups=tuple(cgroups), **{**empty_tables(), **tables, **more})


@dataclass(frozen=True)
class _Mm:
    """An address space, and what /proc says of it."""

    address: int
    space: AddressSpace
    vmas: VmaList
    hugetlb: Bools
    """By VMA."""

    @classmethod
    def read(cls, files: GuestFiles, address: int, pids: Sequence[int], facts: GuestFacts) -> _Mm:
        processes = [parse_stat(_text(files, f"/proc/{pid}/stat"), f"/proc/{pid}") for pid in pids]
        named = [replace(one, comm=facts.processes.get(one.pid, one.comm)) for one in processes]
        vmas = parse_maps(files.read(f"/proc/{pids[0]}/maps"))
        starts = np.array(sorted(_hugetlb_starts(files.read(f"/proc/{pids[0]}/smaps"))), np.uint64)
        return cls(address, AddressSpace(tuple(named)), vmas, np.isin(vmas.start, starts))

    def capture(self, memory: GuestMemory, frames: GuestFrames, swap_types: int) -> MmCapture:
        entries = read_entries(memory, memory.page_table_of(self.address), everywhere=True)
        vma = self._vma_of(entries.page)
        inside = (entries.pfn < frames.max_pfn) & (vma >= 0)
        pages = MmPages(beyond=dict(Counter(vma[~inside & (vma >= 0)].tolist())))
        entries = replace(entries, page=entries.page[inside], pfn=entries.pfn[inside], level=entries.level[inside])
        vma = vma[inside]
        own = np.array([path.startswith(_KERNELS_OWN) for path in self.vmas.path], np.bool_)
        frames.add(entries.pfn, hugetlb=self.hugetlb[vma], kernels_own=own[vma])
        pages.runs += _runs(entries, frames, self.vmas)
        pages.pages_read = len(vma)
        type_of = entries.other_entry >> _SWAP_TYPE
        kinds = np.where(type_of < np.uint64(max(swap_types, 0)), SwapKind.SWAP, SwapKind.SPECIAL)
        of_swap = zip(self._vma_of(entries.other_page).tolist(), map(SwapKind, kinds.tolist()), strict=True)
        pages.swap |= Counter(key for key in of_swap if key[0] >= 0)
        return MmCapture(self.space, self.vmas, pages, "", complete=True)

    def _vma_of(self, pages: I64) -> I64:
        """Return the VMA of each page, -1 for none: [vsyscall] is in no list."""
        address = pages.astype(np.uint64) << np.uint64(12)
        vma = np.searchsorted(self.vmas.start, address, side="right") - 1
        return np.where((vma >= 0) & (address < self.vmas.end[vma]), vma, -1)


def _by_mm(addresses: Mapping[int, int]) -> list[tuple[int, list[int]]]:
    """Return each mm with the pids that share it, lowest first."""
    pids: dict[int, list[int]] = {}
    for pid, mm in sorted(addresses.items()):
        pids.setdefault(mm, []).append(pid)
    return list(pids.items())


def _hugetlb_starts(smaps: bytes) -> Iterator[int]:
    """Yield where the VMAs of hugetlb begin."""
    heads = list(_HEAD.finditer(smaps))
    ends = [*(head.start() for head in heads[1:]), len(smaps)]
    for head, end in zip(heads, ends, strict=True):
        if _HUGETLB.search(smaps, head.end(), end):
            yield int(head[1], 16)


def _runs(entries: GuestEntries, frames: GuestFrames, vmas: VmaList) -> list[RawRuns]:
    """Cut pages into runs: PTEs as a capture does, and one for each entry of a higher level."""
    by_pte = entries.level == Level.PTE
    page, pfn = entries.page[by_pte].astype(np.uint64), entries.pfn[by_pte].astype(np.uint64)
    ones, never = np.ones(len(page), np.uint64), np.zeros(len(page), np.bool_)
    classes = frames.classes[entries.pfn[by_pte]]
    runs, _ = cut_runs(Pieces(page, pfn, ones, never), classes, vmas.start >> np.uint64(12))
    return [runs, *(_whole_entries(entries, level, pages) for level, pages in _PAGES_OF_ENTRY.items())]


def _whole_entries(entries: GuestEntries, level: Level, nr_pages: int) -> RawRuns:
    """Return a run for each entry of a level above PTEs."""
    first = np.flatnonzero(entries.level == level)[::nr_pages]
    page, pfn = entries.page[first].astype(np.uint64), entries.pfn[first].astype(np.uint64)
    return RawRuns(page, pfn, np.full(len(first), nr_pages, np.uint32), entries.level[first])


def _metadata(files: GuestFiles, facts: GuestFacts, started_at: float) -> dict[str, Any]:
    total = re.search(r"^MemTotal:\s+(\d+) kB", _text(files, "/proc/meminfo"), re.MULTILINE)
    return {
        "mapcount_version": mapcount.__version__,
        "host": "guest",
        "kernel_release": facts.release,
        "kernel_version": _text(files, "/proc/sys/kernel/version").strip(),
        "machine": "x86_64",
        "boot_id": _text(files, "/proc/sys/kernel/random/boot_id").strip(),
        "mem_total_bytes": int(total[1]) * 1024 if total else 0,
        "cpus": 1,
        "counts_are": "exact" if facts.page_mapcount else "average",
        "counts_probe": "a guest: its image, or what its words did, says so",
        "settings": dict(_settings(files)),
        "started_at": started_at,
        "command_line": facts.command_line,
        "notes": [facts.note, "Read out of a guest's memory while it stood still: all of one moment."],
    }


def _settings(files: GuestFiles) -> Iterator[tuple[str, str]]:
    names = [f"hugepages-{size}/{name}" for size in _SIZES for name in ("enabled", "shmem_enabled")]
    for name in ("enabled", "shmem_enabled", "use_zero_page", "khugepaged/max_ptes_none", *names):
        if files.exists(f"{_THP}/{name}"):
            yield name, chosen_word(_text(files, f"{_THP}/{name}"))


def _stats(files: GuestFiles) -> dict[Stat, int]:
    stats = parse_meminfo(_text(files, "/proc/meminfo")) | parse_vmstat(_text(files, "/proc/vmstat"))
    for size in _SIZES:
        for name in ("nr_anon", "nr_anon_partially_mapped"):
            if files.exists(path := f"{_THP}/hugepages-{size}/stats/{name}"):
                stats[Stat("mthp", size, name, "folios")] = int(_text(files, path))
    return stats


def _rollup(files: GuestFiles, row: int, one: _Mm) -> Iterator[tuple[Stat, int]]:
    yield from parse_rollup(_text(files, f"/proc/{one.space.leader.pid}/smaps_rollup"), f"mm {row}").items()


def _text(files: GuestFiles, path: str) -> str:
    return files.read(path).decode("utf-8", "backslashreplace")
