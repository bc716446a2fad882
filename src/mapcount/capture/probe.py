"""A probe of what kpagecount means on this kernel: a page's own count, or the average of its folio.

Linux commit ae4192b7691c ("fs/proc/page: remove per-page mapcount dependency for /proc/kpagecount
(CONFIG_NO_PAGE_MAPCOUNT)") (6.15): without per-page counts a page of a large folio shows the average, at least 1 while
any page of the folio is mapped. So a page that nobody maps, of a folio that is still mapped, tells the kernels apart.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.kpage import KPF_COMPOUND_HEAD, KPF_COMPOUND_TAIL
from mapcount.capture.pagemap import PFN_MASK, PRESENT
from mapcount.capture.settings import read_kernel_facts
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.mapping.schema import U64

_MADV_COLLAPSE = 25
"""Linux commit 7d8faaf15545 ("mm/madvise: introduce MADV_COLLAPSE sync hugepage collapse") (6.1)."""
_SMALLEST_PAGES = 4
"""One page is unmapped first, one stays mapped to the end, and one more must be left to unmap."""
_HEAD, _TAIL = np.uint64(1 << KPF_COMPOUND_HEAD), np.uint64(1 << KPF_COMPOUND_TAIL)


class _NoVerdictError(Exception):
    """The probe cannot tell; the message says why."""


@record(frozen=True)
class _Folio:
    """A large folio that the probe's own region maps from its first to its last page."""

    head_pfn: int
    first_page: int
    """Page of the region that maps its head."""
    nr_pages: int


def probe_counts(*, proc: str = "/proc") -> tuple[str, str]:
    """
    Return what kpagecount shows for a page of a large folio, and how that was learned.

    The first is `exact`, `average` or `unknown`. Makes a large folio of its own (2 MiB, or whatever size this machine
    grants), unmaps one page of it, then most of them, and reads their counts while the folio stays whole. Needs
    CAP_SYS_ADMIN (PFNs, kpageflags, kpagecount); changes no setting, frees its memory, raises nothing.
    """
    try:
        return _probe(proc)
    except (_NoVerdictError, OSError, ValueError) as reason:
        return "unknown", str(reason)


def judge(dropped_counts: Sequence[int], mapped_counts: Sequence[int]) -> str:
    """
    Return the verdict from counts of pages that nobody maps and of pages mapped once, all of one folio.

    An exact count is 0 for each of the former and at least 1 for the latter; an average is at least 1 for all. Anything
    else is `unknown`: the folio was not what the probe took it for.
    """
    if not dropped_counts or not mapped_counts or min(mapped_counts) < 1:
        return "unknown"
    if max(dropped_counts) == 0:
        return "exact"
    return "average" if min(dropped_counts) >= 1 else "unknown"


def _probe(proc: str) -> tuple[str, str]:
    facts = read_kernel_facts(proc=proc)
    pmd_bytes = facts.page_size << facts.pmd_order
    with ExitStack() as stack:
        files = _Files(stack, proc, facts.page_size)
        reasons = []
        for name, prepare in (("a fault with MADV_HUGEPAGE", _touch), ("MADV_COLLAPSE", _collapse)):
            for where, shared in (("anon", False), ("shmem", True)):
                with ExitStack() as region_stack:
                    region = _Region(region_stack, pmd_bytes, shared=shared)
                    problem = prepare(region)
                    folio = files.find_folio(region)
                    if folio is None:
                        reasons.append(f"{name} on {where} memory gave no large folio{problem}")
                        continue
                    try:
                        return _judge_folio(files, region, folio, f"{where} folio, by {name}")
                    except _NoVerdictError as reason:
                        reasons.append(f"{name} on {where} memory: {reason}")
        raise _NoVerdictError("; ".join(reasons))


def _judge_folio(files: _Files, region: _Region, folio: _Folio, made: str) -> tuple[str, str]:
    verdicts = []
    counts: list[int] = []
    kept = folio.nr_pages - 1
    # First one page, so that an average rounds to 1; then all but the last, so that it would round to 0 if it could.
    for dropped in (range(1), range(1, kept)):
        region.drop(folio.first_page + dropped.start, len(dropped))
        region.read_page(folio.first_page + kept)  # dropping a part of a shmem folio unmaps all of a PMD mapping
        files.check(region, folio, kept, dropped)
        dropped_counts = files.counts(folio, dropped)
        mapped_counts = files.counts(folio, range(kept, kept + 1))
        files.check(region, folio, kept, dropped)
        counts.append(dropped_counts[0])
        verdicts.append(judge(dropped_counts, mapped_counts))
    how = (
        f"{folio.nr_pages}-page {made}: with 1 page unmapped its kpagecount was {counts[0]}, "
        f"with {kept} unmapped {counts[1]}"
    )
    return (verdicts[0] if verdicts[0] == verdicts[1] else "unknown"), how


class _Region:
    """A PMD-aligned, writable region of PMD size, private anon or shmem, of which no child gets a copy."""

    def __init__(self, stack: ExitStack, pmd_bytes: int, *, shared: bool) -> None:
        self.page_size = mmap.PAGESIZE
        self.nr_pages = pmd_bytes // self.page_size
        flags = (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE) | mmap.MAP_ANONYMOUS
        self._map = stack.enter_context(mmap.mmap(-1, 2 * pmd_bytes, flags=flags))
        anchor = ctypes.c_char.from_buffer(self._map)
        base = ctypes.addressof(anchor)
        del anchor  # the mapping can only be closed when nothing points into it
        self.start = -(-base // pmd_bytes) * pmd_bytes
        self._offset = self.start - base
        self._map.madvise(mmap.MADV_DONTFORK)
        self._bytes = pmd_bytes

    def advise(self, advice: int) -> None:
        self._map.madvise(advice, self._offset, self._bytes)

    def touch(self) -> None:
        for page in range(self.nr_pages):
            self._map[self._offset + page * self.page_size] = 1

    def read_page(self, page: int) -> int:
        return self._map[self._offset + page * self.page_size]

    def drop(self, page: int, nr_pages: int) -> None:
        self._map.madvise(mmap.MADV_DONTNEED, self._offset + page * self.page_size, nr_pages * self.page_size)


def _touch(region: _Region) -> str:
    try:
        region.advise(mmap.MADV_HUGEPAGE)
    except OSError as error:
        return f" ({error.strerror})"
    finally:
        region.touch()
    return ""


def _collapse(region: _Region) -> str:
    region.touch()
    try:
        region.advise(_MADV_COLLAPSE)
    except OSError as error:
        return f" ({error.strerror})"
    return ""


class _Files:
    """The three files that the probe reads."""

    def __init__(self, stack: ExitStack, proc: str, page_size: int) -> None:
        paths = (os.path.join(proc, name) for name in ("self/pagemap", "kpageflags", "kpagecount"))
        self._pagemap, self._kpageflags, self._kpagecount = (self._open(stack, path) for path in paths)
        self._page_size = page_size

    @staticmethod
    def _open(stack: ExitStack, path: str) -> int:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        return fd

    def find_folio(self, region: _Region) -> _Folio | None:
        """Return a large folio that the region maps whole and in order, the largest; None if there is none."""
        entries = _read(self._pagemap, region.start // self._page_size, region.nr_pages)
        present = (entries & PRESENT) != 0
        pfns = np.where(present, entries & PFN_MASK, 0)
        if present.any() and not pfns.any():
            raise _NoVerdictError("pagemap hides PFNs (CAP_SYS_ADMIN in the initial user namespace is needed)")
        largest, page = None, 0
        while page < region.nr_pages:
            folio = self._folio_at(pfns, page) if pfns[page] else None
            if folio and (largest is None or folio.nr_pages > largest.nr_pages):
                largest = folio
            page += folio.nr_pages if folio else 1
        return largest

    def _folio_at(self, pfns: U64, page: int) -> _Folio | None:
        run = _leading(np.arange(len(pfns) - page, dtype=np.uint64) + pfns[page] == pfns[page:])
        if run < _SMALLEST_PAGES:
            return None
        folio = _Folio(int(pfns[page]), page, run)
        size = self._size(folio)
        # All its pages must be in the region. It cannot be the huge zero folio: every page was written to.
        return _Folio(folio.head_pfn, page, size) if _SMALLEST_PAGES <= size <= run else None

    def _size(self, folio: _Folio) -> int:
        flags = _read(self._kpageflags, folio.head_pfn, folio.nr_pages + 1)
        if not flags[0] & _HEAD:
            return 0
        return 1 + _leading((flags[1:] & _TAIL) != 0)

    def check(self, region: _Region, folio: _Folio, kept: int, dropped: range) -> None:
        """Raise unless the folio is whole, its pages `dropped` are unmapped and `kept` is mapped as before."""
        if self._size(folio) != folio.nr_pages:
            raise _NoVerdictError("the kernel split the folio when pages of it were unmapped")
        entries = _read(self._pagemap, region.start // self._page_size + folio.first_page, folio.nr_pages)
        if entries[dropped.start : dropped.stop].any():
            raise _NoVerdictError("the unmapped pages were mapped again at once")
        if int(entries[kept] & PFN_MASK) != folio.head_pfn + kept:
            raise _NoVerdictError("the kernel moved the folio")

    def counts(self, folio: _Folio, pages: range) -> list[int]:
        """Return kpagecount of the folio's pages."""
        return _read(self._kpagecount, folio.head_pfn + pages.start, len(pages)).tolist()  # type: ignore[no-any-return]


def _leading(true: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    # How many elements are true before the first that is not.
    return len(true) if true.all() else int(np.argmin(true))


def _read(fd: int, first: int, count: int) -> U64:
    raw = os.pread(fd, count * 8, first * 8)
    if len(raw) != count * 8:
        raise _NoVerdictError(f"entry {first + len(raw) // 8} of a /proc file is missing")
    return np.frombuffer(raw, np.uint64)
