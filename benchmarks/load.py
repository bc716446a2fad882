"""Starts loadgen and holds its truth against the kernel's counters and against a page-by-page count of our own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from thp_settings import load_settings, mthp_stats

if TYPE_CHECKING:
    from collections.abc import Iterator

U64: TypeAlias = npt.NDArray[np.uint64]
I64: TypeAlias = npt.NDArray[np.int64]

PAGE = 4096
SIZES = {"64kB": "order4", "2048kB": "order9"}
STATS = {"nr_anon": "folios", "nr_anon_partially_mapped": "partially_mapped"}
_PFN_MASK = np.uint64((1 << 55) - 1)
_PRESENT = np.uint64(1 << 63)
_HEAD, _TAIL = np.uint64(1 << 15), np.uint64(1 << 16)
WINDOW_PAGES = 1 << 20
ATTEMPTS = 5


class LoadError(Exception):
    """The load is not what it should be; timing it would mean nothing."""


@dataclass(frozen=True, slots=True)
class Load:
    """A running load."""

    truth: dict[str, Any]
    """What loadgen printed."""
    notes: list[str]
    """Where the kernel's machine-wide counters differ: somebody else's folios came or went meanwhile."""

    @property
    def pids(self) -> list[int]:
        """Return its processes, the parent first."""
        return [process["pid"] for process in self.truth["processes"]]

    @property
    def parent_pages(self) -> int:
        """Return the pages that the parent maps."""
        return int(self.truth["processes"][0]["mapped_pages"])

    @property
    def all_pages(self) -> int:
        """Return the mappings of all its processes together."""
        return sum(process["mapped_pages"] for process in self.truth["processes"])


@contextlib.contextmanager
def running_load(loadgen: Path, mib: int, children: int = 3) -> Iterator[Load]:
    """
    Run loadgen until the block ends. Needs root.

    Tries again, since another program may have changed the THP settings meanwhile; then raises LoadError.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with contextlib.ExitStack() as ends:
            try:
                load = _start(ends, [str(loadgen), str(mib), str(children)])
            except LoadError:
                if attempt == ATTEMPTS:
                    raise
                continue
            yield load
            return


def _start(ends: contextlib.ExitStack, command: list[str]) -> Load:
    before = _machine_counts()
    with load_settings():
        process = ends.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        # Its children follow: their pipes end, and PR_SET_PDEATHSIG.
        ends.callback(process.kill)
        assert process.stdout is not None
        line = process.stdout.readline()
    if not line:
        raise LoadError(f"{' '.join(command)} failed with status {process.wait()}")
    ends.callback(_end, process)
    truth = json.loads(line)
    notes = _compare_machine(truth, before, _machine_counts())
    verify(truth)
    return Load(truth, notes)


def _end(process: subprocess.Popen[str]) -> None:
    """Let it end by itself, its children first: killed, they would still be giving memory back during the next load."""
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)


def _machine_counts() -> dict[tuple[str, str], int]:
    return {(size, name): mthp_stats(size, name) for size in SIZES for name in STATS}


def _compare_machine(
    truth: dict[str, Any], before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]
) -> list[str]:
    notes = []
    for (size, name), count in after.items():
        grown, expected = count - before[size, name], truth[SIZES[size]][STATS[name]]
        if grown != expected:
            notes.append(f"hugepages-{size}/stats/{name} grew by {grown}, the load accounts for {expected}")
    return notes


def verify(truth: dict[str, Any]) -> None:
    """
    Count the load page by page from pagemap and kpageflags, and by the kernel's AnonHugePages. Raises LoadError.

    Independent of mapcount's capture: whole ranges, no PAGEMAP_SCAN, no kpagecount.
    """
    problems: list[str] = []
    mapped: U64 = np.empty(0, np.uint64)
    for process in truth["processes"]:
        pfns = np.concatenate([_present_pfns(process["pid"], region) for region in truth["regions"]])
        _expect(problems, f"pages mapped by {process['pid']}", len(pfns), process["mapped_pages"])
        pmd_pages = anon_huge_bytes(process["pid"]) // PAGE
        _expect(problems, f"AnonHugePages of {process['pid']}, in pages", pmd_pages, process["pmd_mapped_pages"])
        mapped = np.unique(np.concatenate([mapped, pfns]))
    heads, orders = _folios_of(mapped)
    present = np.bincount(np.searchsorted(heads, mapped, side="right") - 1, minlength=len(heads))
    for order in (0, 4, 9):
        of_order = orders == order
        unmapped = (1 << order) - present[of_order]
        expected = truth[f"order{order}"]
        _expect(problems, f"folios of order {order}", int(of_order.sum()), expected["folios"])
        _expect(problems, f"partly mapped, order {order}", int((unmapped > 0).sum()), expected["partially_mapped"])
        _expect(problems, f"unmapped pages, order {order}", int(unmapped.sum()), expected["wasted_pages"])
    _expect(problems, "folios of other orders", int(np.isin(orders, (0, 4, 9), invert=True).sum()), 0)
    if problems:
        raise LoadError("the load is not what it should be:\n  " + "\n  ".join(problems))


def _expect(problems: list[str], what: str, found: int, expected: int) -> None:
    if found != expected:
        problems.append(f"{what}: {found}, expected {expected}")


def _present_pfns(pid: int, region: dict[str, int]) -> U64:
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        size = (region["end"] - region["start"]) // PAGE * 8
        entries = np.frombuffer(_read(file.fileno(), region["start"] // PAGE * 8, size), np.uint64)
    return np.asarray(entries[entries & _PRESENT != 0] & _PFN_MASK)


def _folios_of(
    mapped: U64,
) -> tuple[U64, I64]:
    """Return head PFN and order of each folio that has a mapped page, by PFN: a page that is no tail, and its tails."""
    heads, ends = [], []
    with open("/proc/kpageflags", "rb", buffering=0) as file:
        first, last = int(mapped[0]) // 512 * 512, (int(mapped[-1]) // 512 + 1) * 512
        for window in range(first, last, WINDOW_PAGES):  # of a multiple of 512 pages: no folio of ours is cut
            count = min(WINDOW_PAGES, last - window)
            flags = np.frombuffer(_read(file.fileno(), window * 8, count * 8), np.uint64)
            begin = np.flatnonzero(flags & _TAIL == 0)
            heads.append(begin + window)
            ends.append(np.append(begin[1:], len(flags)) + window)
    all_heads, all_ends = np.concatenate(heads).astype(np.uint64), np.concatenate(ends).astype(np.uint64)
    used = np.unique(np.searchsorted(all_heads, mapped, side="right") - 1)
    lengths = (all_ends - all_heads)[used]
    return all_heads[used], np.log2(lengths).astype(np.int64)


def _read(fd: int, offset: int, size: int) -> bytearray:
    """Read all of it: one call returns less than 2 GiB, and less where the file ends."""
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size and (got := os.preadv(fd, [view[at : at + (1 << 26)]], offset + at)):
        at += got
    return data


def anon_huge_bytes(pid: int) -> int:
    """Return AnonHugePages of a process: what PMDs map of anonymous memory."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("AnonHugePages:"):
            return int(line.split()[1]) * 1024
    raise LoadError(f"smaps_rollup of {pid} has no AnonHugePages")
