"""A machine made of files: pagemap, kpageflags, kpagecount and kpagecgroup with bytes as the kernel would write them.

The truth is kept page by page in plain dictionaries; nothing of the code under test is used to make it.
"""

import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mapcount.capture.kpage import KpageFiles, open_kpage_files
from mapcount.capture.processes import AddressSpace, Process

PRESENT, SWAPPED, FILE, ONCE = 1 << 63, 1 << 62, 1 << 61, 1 << 56
BITS = {"mmap": 11, "anon": 12, "swapcache": 13, "swapbacked": 14, "head": 15, "tail": 16, "huge": 17, "nopage": 20}
BITS |= {"ksm": 21, "thp": 22, "zero": 24, "reserved": 32, "lru": 5}
KIND_BITS = {
    "anon": ("anon", "swapbacked", "lru"),
    "shmem": ("swapbacked", "lru"),
    "file": ("lru",),
    "ksm": ("anon", "ksm", "swapbacked"),
    "hugetlb": ("huge",),
    "zero": ("zero", "reserved"),
    "device": ("reserved",),
}
FIRST_PID = 5_000_000  # above any real pid: what is read of /proc itself finds nothing


@dataclass
class FakeFolio:
    head: int
    order: int
    kind: str
    cgroup: int = 7
    swapcache: bool = False

    @property
    def pages(self):
        return range(self.head, self.head + (1 << self.order))


@dataclass
class FakeMm:
    vmas: list  # (first page, end page)
    pages: dict = field(default_factory=dict)  # page number -> pfn
    pmds: set = field(default_factory=set)  # first page number of what a PMD maps
    absent: dict = field(default_factory=dict)  # page number -> raw entry


class FakeMachine:
    def __init__(self, directory: Path, nr_pfns: int) -> None:
        self.directory = directory
        self.nr_pfns = nr_pfns
        self.folios: dict[int, FakeFolio] = {}
        self.mms: list[FakeMm] = []
        self.unseen: Counter = Counter()  # pfn -> mappings of mms that are not captured

    def add_folio(self, head, order, kind, **more):
        assert head % (1 << order) == 0
        folio = FakeFolio(head, order, kind, **more)
        for pfn in folio.pages:
            assert pfn not in self.folios
            self.folios[pfn] = folio
        return folio

    def mappings(self):
        return Counter(pfn for mm in self.mms for pfn in mm.pages.values()) + self.unseen

    def flags(self, pfn, heads_in_use):
        folio = self.folios.get(pfn)
        if folio is None:
            return 0
        # A driver's compound page is not reserved, and neither THP nor hugetlb: that alone tells it.
        names = list(KIND_BITS[folio.kind]) if folio.order == 0 or folio.kind != "device" else []
        if folio.order:
            names.append("head" if pfn == folio.head else "tail")
            if folio.kind not in ("hugetlb", "device"):
                names.append("thp")
        if folio.swapcache:
            names.append("swapcache")
        if folio.head in heads_in_use:
            names.append("mmap")
        return sum(1 << BITS[name] for name in names)

    def count(self, pfn, mapped):
        folio = self.folios.get(pfn)
        return 0 if folio is None or folio.kind in ("zero", "device") else mapped[pfn]

    def write(self):
        mapped = self.mappings()
        counts = [self.count(pfn, mapped) for pfn in range(self.nr_pfns)]
        self._write("kpagecount", counts)
        heads_in_use = {self.folios[pfn].head for pfn, times in mapped.items() if times and pfn in self.folios}
        self._write("kpageflags", [self.flags(pfn, heads_in_use) for pfn in range(self.nr_pfns)])
        inodes = [self.folios[pfn].cgroup if pfn in self.folios else 0 for pfn in range(self.nr_pfns)]
        self._write("kpagecgroup", inodes)
        for number, mm in enumerate(self.mms):
            self.write_mm(number, mm, counts)

    def write_mm(self, number, mm, counts):
        home = self.directory / str(FIRST_PID + number)
        home.mkdir(exist_ok=True)
        lines = [f"{first * 4096:x}-{end * 4096:x} rw-p 00000000 00:00 0 \n" for first, end in mm.vmas]
        (home / "maps").write_text("".join(lines))
        (home / "smaps").write_text("".join(self._smaps(mm)))
        (home / "stat").write_text(stat_line(FIRST_PID + number))
        last = max(end for _, end in mm.vmas)
        with (home / "pagemap").open("wb") as file:
            file.truncate(last * 8)
            for page, pfn in mm.pages.items():
                once = pfn < self.nr_pfns and counts[pfn] == 1
                file.seek(page * 8)
                file.write(struct.pack("<Q", PRESENT | pfn | (ONCE if once else 0)))
            for page, entry in mm.absent.items():
                file.seek(page * 8)
                file.write(struct.pack("<Q", entry))

    def _smaps(self, mm):
        for first, end in mm.vmas:
            yield f"{first * 4096:x}-{end * 4096:x} rw-p 00000000 00:00 0 \n"
            yield f"AnonHugePages: {2048 * sum(first <= page < end for page in mm.pmds)} kB\n"

    def _write(self, name, words):
        (self.directory / name).write_bytes(np.array(words, np.uint64).tobytes())

    def spaces(self):
        return [AddressSpace((self.process(number),)) for number in range(len(self.mms))]

    def process(self, number):
        pid = FIRST_PID + number
        return Process(pid, f"fake-{number}", "S", False, 1, 42, (), str(self.directory / str(pid)))

    def files(self) -> KpageFiles:
        return open_kpage_files(str(self.directory))

    def regions(self, pagemap_name, start, end):
        """What PAGEMAP_SCAN would return for the mm whose pagemap this is: rows of (start, end, categories)."""
        mm = self.mms[int(Path(pagemap_name).parent.name) - FIRST_PID]
        rows = []
        for page in sorted({*mm.pages, *mm.absent}):
            if not start <= page * 4096 < end:
                continue
            huge = any(first <= page < first + 512 for first in mm.pmds)
            zero = page in mm.pages and mm.pages[page] in self.folios and self.folios[mm.pages[page]].kind == "zero"
            category = (1 << 3 if page in mm.pages else 1 << 4) | (1 << 6 if huge else 0) | (1 << 5 if zero else 0)
            if rows and rows[-1][1] == page * 4096 and rows[-1][2] == category:
                rows[-1][1] += 4096
            else:
                rows.append([page * 4096, (page + 1) * 4096, category])
        return np.array(rows, np.uint64).reshape(-1, 3)


def stat_line(pid, comm="fake", state="S", start_time=42, threads=1, layout=0):
    """A line of /proc/PID/stat."""
    numbers = [0] * 49
    numbers[16], numbers[18] = threads, start_time
    numbers[22] = layout
    return f"{pid} ({comm}) {state} " + " ".join(map(str, numbers)) + "\n"
