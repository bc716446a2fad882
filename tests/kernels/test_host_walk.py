"""A random walk on the running kernel: after every step kpagecount equals the page tables, read here entry by entry.

Three of the kernel's own accounts judge what is observed: pagemap's entries, kpageflags and kpagecount of each frame, and
smaps. They are read here with nothing but struct.
"""

from __future__ import annotations

import os
import random
import re
import struct
from collections import Counter
from pathlib import Path

import pytest

from kernels.native import needs_compiler
from live.conftest import why_not_live
from live.settings import Settings as LiveSettings
from mapcount.errors import KernelFeatureError
from mapcount.kernels.host_backend import HostBackend
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
    area_address,
)

_LACK = why_not_live()
pytestmark = [pytest.mark.live, pytest.mark.skipif(bool(_LACK), reason=_LACK), needs_compiler]

STEPS = 131
ANON, HEAD, TAIL, HUGE, ZERO = 12, 15, 16, 17, 24
WEIGHTS = {
    "access": 36,
    "dontneed": 12,
    "collapse": 2,
    "mprotect": 8,
    "mremap": 10,
    "munmap": 10,
    "mmap": 6,
    "fallocate": 4,
    "reclaim": 1,
    "fork": 7,
    "exit": 4,
}
PAGES = {"a": 1024, "b": 128, "c": 512, "d": 512, "e": 128}


class Walk:
    """Steps of up to five processes; whether one makes sense is the kernel's to say."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.processes = ["p"]
        self.born = 0

    def start(self):
        yield Mmap("p", Span("a", 0, 1024), advice=Advice.HUGEPAGE)
        yield Mmap("p", Span("b", 0, 128), advice=Advice.HUGEPAGE)
        yield Memfd("p", "f", 512)
        yield Mmap("p", Span("c", 0, 512), kind=Kind.SHMEM, shared=True, file="f")
        yield Mmap("p", Span("d", 0, 512), kind=Kind.SHMEM, file="f")
        yield Mmap("p", Span("e", 0, 128), shared=True)

    def span(self, areas="aaabbcde"):
        area = self.random.choice(areas)
        first = self.random.randrange(PAGES[area])
        return Span(area, first, min(PAGES[area], first + self.random.choice((1, 2, 3, 7, 17, 61, 211, 512))))

    def step(self):
        pick, process = self.random.choice, self.random.choice(self.processes)
        span, to = self.span(), pick("ab")
        steps = {
            "access": Access(process, span, write=self.random.random() < 0.7),
            "dontneed": Madvise(process, span, Advice.DONTNEED),
            "collapse": Madvise(process, span, Advice.COLLAPSE),
            "mprotect": Mprotect(process, span, pick(list(Protection))),
            "mremap": Mremap(process, self.span("aab"), to, self.random.randrange(PAGES[to])),
            "munmap": Munmap(process, self.span("aabbcde")),
            "mmap": Mmap(process, self.span("aab"), advice=Advice.HUGEPAGE),
            "fallocate": Fallocate(
                process, "f", span.first % 512, span.first % 512 + 7, punch=self.random.random() < 0.7
            ),
            "reclaim": Reclaim(),
            "fork": Fork(process, f"c{self.born}"),
            "exit": Exit(process),
        }
        verb = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if (verb == "fork" and len(self.processes) == 5) or (verb == "exit" and len(self.processes) == 1):
            verb = "access"
        if verb == "fork":
            self.processes.append(f"c{self.born}")
            self.born += 1
        if verb == "exit":
            self.processes.remove(process)
        return steps[verb]


class Kernel:
    """What the kernel says of the areas, read word by word."""

    def __init__(self):
        self.flags, self.counts = (os.open(f"/proc/kpage{name}", os.O_RDONLY) for name in ("flags", "count"))

    def close(self):
        os.close(self.flags)
        os.close(self.counts)

    def words(self, file, first, count=1):
        return struct.unpack(f"<{count}Q", os.pread(file, count * 8, first * 8))

    def entries(self, pid):
        """{address: pfn} of what is present in the areas; zero pages left out."""
        found = {}
        with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                start, end = (int(word, 16) for word in line.split()[0].split("-"))
                if area_address("a") <= start < area_address("h"):
                    pagemap.seek(start // 4096 * 8)
                    words = struct.unpack(f"<{(end - start) // 4096}Q", pagemap.read((end - start) // 4096 * 8))
                    found |= {start + i * 4096: word & (1 << 55) - 1 for i, word in enumerate(words) if word >> 63}
        zero = {pfn for pfn in set(found.values()) if self.words(self.flags, pfn)[0] >> ZERO & 1}
        return {address: pfn for address, pfn in found.items() if pfn not in zero}

    def smaps_kib(self, pid):
        """By area: sums of Rss and of what PMDs map."""
        found, area = Counter(), None
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            if head := re.match(r"([0-9a-f]+)-", line):
                area = (int(head[1], 16) - area_address("a")) >> 32
            elif (amount := re.match(r"(Rss|AnonHugePages|ShmemPmdMapped): +(\d+) kB", line)) and area in range(8):
                found["abcdefgh"[area], "rss" if amount[1] == "Rss" else "pmd"] += int(amount[2])
        return +found


def check_mappings(kernel, pids, seen):
    """Return the frame of the head of each folio, and how many entries there are for each frame."""
    heads, mapped = {}, Counter()
    for process, pid in pids.items():
        entries = kernel.entries(pid)
        mapped.update(entries.values())
        shown = {}
        for row in seen.mappings:
            if row.process == process:
                first = entries[area_address(row.area, row.page)] - row.first
                assert heads.setdefault(row.folio, first) == first
                shown |= {area_address(row.area, row.page + i): first + row.first + i for i in range(row.nr_pages)}
        assert shown == entries
        kib = Counter()
        for row in seen.mappings:
            if row.process == process:
                kib[row.area, "rss"] += row.nr_pages * 4
                kib[row.area, "pmd"] += row.nr_pages * 4 * (row.level is Level.PMD)
        assert +kib == kernel.smaps_kib(pid)
    return heads, mapped


def check_folios(kernel, seen, heads, mapped):
    unmapped = set(seen.folios) - set(heads)
    assert set(heads) <= set(seen.folios)
    assert len(set(heads.values())) == len(heads)
    for name, folio in seen.folios.items():
        if name in unmapped:
            assert folio.kind is Kind.SHMEM
            assert seen.kpagecount[name] == ((0, 1 << folio.order),)
            continue
        frames = range(heads[name], heads[name] + (1 << folio.order))
        flags = kernel.words(kernel.flags, frames[0], len(frames) + 1)
        assert [word >> TAIL & 1 for word in flags] == [0] + [1] * (len(frames) - 1) + [0]
        assert flags[0] >> HEAD & 1 == (folio.order > 0)
        assert flags[0] >> ANON & 1 == (folio.kind is Kind.ANON)
        assert folio.kind in {Kind.ANON, Kind.SHMEM}
        shown = [value for value, pages in seen.kpagecount[name] for _ in range(pages)]
        assert shown == list(kernel.words(kernel.counts, frames[0], len(frames)))
        assert shown == [mapped[pfn] for pfn in frames]


@pytest.fixture
def host():
    settings = LiveSettings()
    backend = HostBackend()
    yield backend
    backend.end()
    settings.close()


@pytest.mark.parametrize("seed", [3, 7, 11])
def test_kpagecount_equals_the_page_tables_after_every_step(host, seed):
    try:
        host.begin(Settings(anon={4: "madvise"}, shmem={9: "always"}))
    except KernelFeatureError as error:
        pytest.skip(str(error))
    if not host.page_mapcount:
        pytest.skip("this kernel does not count per page (CONFIG_NO_PAGE_MAPCOUNT): kpagecount is an average")
    walk, kernel, frames, met = Walk(seed), Kernel(), {}, Counter()
    steps = [*walk.start()]
    for number in range(STEPS + len(steps)):
        step = steps[number] if number < len(steps) else walk.step()
        try:
            result = host.do(step)
        except KernelFeatureError:
            if not isinstance(step, Reclaim):
                raise
            continue
        seen = host.observe(result)
        heads, mapped = check_mappings(kernel, host._driver.pids, seen)
        check_folios(kernel, seen, heads, mapped)
        frames |= {name: head for name, head in heads.items() if frames.setdefault(name, head) == head}
        assert all(frames[name] == head for name, head in heads.items())
        met.update({type(step).__name__: result >= 0})
        met["by PMD"] += any(row.level is Level.PMD for row in seen.mappings)
        met["in part"] += any((0, n) in runs for runs in seen.kpagecount.values() for n in range(1, 513))
        met["by three"] += any(value >= 3 for runs in seen.kpagecount.values() for value, _ in runs)
        met["order 4"] += any(folio.order == 4 for folio in seen.folios.values())
        met["shmem"] += any(folio.kind is Kind.SHMEM for folio in seen.folios.values())
    kernel.close()
    assert not [what for what, times in met.items() if times < 2 and what not in {"Memfd", "Reclaim"}], met
