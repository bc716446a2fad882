"""The oracle: what the kernel shows of some addresses, asked page by page and written to be believed, not to be fast.

It shares no code with mapcount. One read of 8 bytes of pagemap, kpageflags and kpagecount for each page, one PAGEMAP_SCAN
of one page for the level. Bits: Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections import Counter

from live.view import PAGE, Entry, View

PRESENT, PFN_MASK = 1 << 63, (1 << 55) - 1
ANON, SWAPBACKED, HEAD, TAIL, HUGE, KSM, ZERO = 1 << 12, 1 << 14, 1 << 15, 1 << 16, 1 << 17, 1 << 21, 1 << 24
THP = 1 << 22
PAGEMAP_SCAN = 0xC0606610
PAGE_IS_HUGE = 1 << 6


class Oracle:
    """Open files of /proc, and what was read through them."""

    def __init__(self) -> None:
        self._flags = os.open("/proc/kpageflags", os.O_RDONLY)
        self._counts = os.open("/proc/kpagecount", os.O_RDONLY)

    def close(self) -> None:
        os.close(self._flags)
        os.close(self._counts)

    def flags(self, pfn: int) -> int:
        return _word(self._flags, pfn)

    def count(self, pfn: int) -> int:
        """Return kpagecount of one page."""
        return _word(self._counts, pfn)

    def folio(self, pfn: int) -> tuple[int, str, int]:
        """Return (PFN of the head, kind, order) of the folio that a page belongs to."""
        head = pfn
        while self.flags(head) & TAIL:
            head -= 1
        flags = self.flags(head)
        kind = _kind(flags)
        pages = 1
        # Heads and tails that are neither THP nor HUGE belong to a driver or to slab, not to a folio of user memory.
        if flags & HEAD and flags & (THP | HUGE):
            while self.flags(head + pages) & TAIL:
                pages += 1
        else:
            head = pfn
        assert pages & (pages - 1) == 0 and head % pages == 0, (head, pages)
        return head, kind, pages.bit_length() - 1

    def look(self, processes: dict[str, int], areas: dict[str, list[list[int]]]) -> View:
        """Return what is mapped in `areas` (process -> half-open ranges of addresses)."""
        folios: dict[int, tuple[str, int]] = {}
        heads: dict[int, int] = {}
        pages: dict[str, dict[int, Entry]] = {name: {} for name in processes}
        for name, pid in processes.items():
            fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
            try:
                for number in _numbers(areas[name]):
                    word = _word(fd, number)
                    if not word & PRESENT:
                        continue
                    pfn = word & PFN_MASK
                    if pfn not in heads:
                        head, kind, order = self.folio(pfn)
                        folios[head] = (kind, order)
                        heads.update(dict.fromkeys(range(head, head + (1 << order)), head))
                    head = heads[pfn]
                    level = "pmd" if _is_huge(fd, number) else "pte"
                    pages[name][number] = Entry(head, pfn - head, level)
            finally:
                os.close(fd)
        return View(folios, pages)

    def count_differences(self, view: View) -> list[str]:
        """Say for which pages of a view (its folios named by PFN) kpagecount is not the number of mappings in it."""
        return [
            f"pfn {head:#x}+{page}: {len(names)} mappings, kpagecount {self.count(head + page)}"
            for head, pages in view.mapped().items()
            for page, names in pages.items()
            if self.count(head + page) != len(names)
        ]


def _numbers(areas: list[list[int]]) -> list[int]:
    return sorted({number for start, end in areas for number in range(start // PAGE, end // PAGE)})


def _word(fd: int, index: int) -> int:
    data = os.pread(fd, 8, index * 8)
    return struct.unpack("<Q", data)[0] if len(data) == 8 else 0


def _kind(flags: int) -> str:
    if flags & ZERO:
        return "zero"
    if flags & HUGE:
        return "hugetlb"
    if flags & KSM:
        return "ksm"
    if flags & ANON:
        return "anon"
    return "shmem" if flags & SWAPBACKED else "file"


def _is_huge(pagemap: int, number: int) -> bool:
    region = bytearray(24)
    vec = (_address_of(region), 1)
    # struct pm_scan_arg: size, flags, start, end, walk_end, vec, vec_len, max_pages, and four masks.
    arg = struct.pack("<12Q", 96, 0, number * PAGE, (number + 1) * PAGE, 0, *vec, 0, 0, PAGE_IS_HUGE, 0, PAGE_IS_HUGE)
    return fcntl.ioctl(pagemap, PAGEMAP_SCAN, bytearray(arg)) > 0


def _address_of(buffer: bytearray) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def smaps_rollup(pid: int) -> dict[str, int]:
    """Return the fields of /proc/PID/smaps_rollup in kB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        lines = file.read().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def smaps(pid: int, areas: list[list[int]]) -> Counter[str]:
    """Return the sums in kB of the fields of /proc/PID/smaps over the VMAs that lie inside `areas`."""
    sums: Counter[str] = Counter()
    inside = False
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            words = line.split()
            if not words[0].endswith(":"):
                start, end = (int(word, 16) for word in words[0].split("-"))
                inside = any(low <= start and end <= high for low, high in areas)
            elif inside and words[-1] == "kB":
                sums[words[0][:-1]] += int(words[1])
    return sums
