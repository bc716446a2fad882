"""A machine as simple as can be: a dictionary from address to (folio, page) for each process; words are counted, not kept.

It is right by construction and slow. Every page is a folio of its own, but for areas mapped with HUGEPAGE: there 16 aligned
pages are one, where nothing is mapped yet. A write copies what somebody else maps, too. Wrong variants are at the end.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from mapcount.errors import KernelFeatureError
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios import steps as s
from mapcount.scenarios.observation import FolioState, Mapped, Observation, VmaReading
from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.values import runs_of

LARGE = 4


@dataclass
class Folio:
    order: int
    kind: Kind


@dataclass
class Process:
    """`vmas` by page: (writable, large, file, page of the file); `entries` by page: (folio, page)."""

    vmas: dict = field(default_factory=dict)
    entries: dict = field(default_factory=dict)


class PageMachine:
    """A backend. `swap` is what it has not."""

    page_mapcount = True

    def __init__(self, name="pages", release="6.12.1", first_number=0):
        self.name, self.release, self.first_number = name, release, first_number

    def begin(self, settings):
        if settings.swap:
            raise KernelFeatureError(f"{self.name} has no swap")
        self.processes = {FIRST_PROCESS: Process()}
        self.folios, self.files = [Folio(0, Kind.ANON)] * self.first_number, {}

    def end(self):
        self.processes = {}

    def do(self, step):
        process = self.processes.get(step.process)
        return getattr(self, type(step).__name__.lower())(process, step)

    def mmap(self, process, step):
        pages = places(step.span)
        if any(page in process.vmas for page in pages):
            return -17
        large = step.advice is s.Advice.HUGEPAGE and not step.file
        for i, page in enumerate(pages):
            process.vmas[page] = (True, large, step.file, step.file_page + i)
        return 0

    def memfd(self, _process, step):
        self.files[step.file] = {}
        return 0

    def access(self, process, step):
        for done, page in enumerate(places(step.span)):
            writable, _, file, _ = process.vmas.get(page, (None, None, None, None))
            if writable is None or (step.write and not writable):
                return -14 if done == 0 else done
            if page not in process.entries:
                self.fault(process, page)
            elif step.write and not file:
                self.copy(process, page)
        return step.span.nr_pages

    def fault(self, process, page):
        _, large, file, at = process.vmas[page]
        if file:
            known = self.files[file]
            process.entries[page] = known[at] = known.get(at) or (self.new(0, Kind.SHMEM), 0)
            return
        area, number = page
        first = number & -16
        window = [(area, first + i) for i in range(16)]
        if large and all(p in process.vmas and p not in process.entries for p in window):
            folio = self.new(LARGE, Kind.ANON)
            process.entries.update({p: (folio, i) for i, p in enumerate(window)})
        else:
            process.entries[page] = (self.new(0, Kind.ANON), 0)

    def copy(self, process, page):
        if self.mapcounts()[process.entries[page]] > 1:
            process.entries[page] = (self.new(0, Kind.ANON), 0)

    def munmap(self, process, step):
        for page in places(step.span):
            process.vmas.pop(page, None)
            process.entries.pop(page, None)
        return 0

    def madvise(self, process, step):
        if step.advice is s.Advice.DONTNEED:
            for page in places(step.span):
                process.entries.pop(page, None)
        return 0

    def mprotect(self, process, step):
        for page in places(step.span):
            if page not in process.vmas:
                return -12
            process.vmas[page] = (step.protection is s.Protection.WRITE, *process.vmas[page][1:])
        return 0

    def mremap(self, process, step):
        by = step.to_page - step.span.first
        for what in (process.vmas, process.entries):
            moved = {page: what.pop(page) for page in places(step.span) if page in what}
            for _, number in places(step.span):
                what.pop((step.to_area, number + by), None)
            what.update({(step.to_area, number + by): value for (_, number), value in moved.items()})
        return 0

    def fork(self, process, step):
        self.processes[step.child] = Process(dict(process.vmas), dict(process.entries))
        return 0

    def exit(self, _process, step):
        del self.processes[step.process]
        return 0

    def reclaim(self, _process, _step):
        return 0

    def new(self, order, kind):
        self.folios.append(Folio(order, kind))
        return len(self.folios) - 1

    def mapcounts(self):
        return Counter(entry for process in self.processes.values() for entry in process.entries.values())

    def observe(self, result, *, proc=False):
        counts = self.mapcounts()
        rows = [
            Mapped(name, *page, f"f{folio}", first, 1, Level.PTE)
            for name, process in self.processes.items()
            for page, (folio, first) in process.entries.items()
        ]
        alive = {folio for folio, _ in counts} | {f for file in self.files.values() for f, _ in file.values()}
        folios = {f"f{number}": self.state(number, counts) for number in sorted(alive)}
        seen = Observation(result, joined(sorted(rows)), folios)
        return (
            replace(seen, proc=tuple(self.readings(counts)), kpagecount=self.kpagecount(alive, counts))
            if proc
            else seen
        )

    def state(self, number, counts):
        folio = self.folios[number]
        pages = [counts[number, page] for page in range(1 << folio.order)]
        words = {"_mapcount": runs_of(self.mapcount(number, page, n) - 1 for page, n in enumerate(pages))}
        if folio.order:
            words["_large_mapcount"] = self.large_mapcount(number, pages)
        return FolioState(folio.order, folio.kind, words)

    def mapcount(self, _number, _page, counted):
        return counted

    def large_mapcount(self, _number, pages):
        return sum(pages) - 1

    def readings(self, counts):
        for name, process in sorted(self.processes.items()):
            pages = sorted(process.vmas)
            starts = [p for p in pages if (p[0], p[1] - 1) not in process.vmas]
            for area, first in starts:
                end = next(n for n in range(first, first + 9999) if (area, n) not in process.vmas)
                entries = [process.entries.get((area, n)) for n in range(first, end)]
                rss = 4096 * sum(entry is not None for entry in entries)
                once = runs_of(int(counts[entry] == 1) if entry else 0 for entry in entries)
                yield VmaReading(name, area, first, end, {"Rss": self.rss(rss)}, once)

    def rss(self, counted):
        return counted

    def kpagecount(self, alive, counts):
        return {f"f{f}": runs_of(counts[f, page] for page in range(1 << self.folios[f].order)) for f in sorted(alive)}


def places(span):
    return [(span.area, page) for page in range(span.first, span.end)]


def joined(rows):
    """Join consecutive pages, as every backend does, within 512."""
    found = []
    for row in rows:
        last = found[-1] if found else None
        follows = last and (row.process, row.area, row.page, row.folio, row.first) == (
            last.process,
            last.area,
            last.page + last.nr_pages,
            last.folio,
            last.first + last.nr_pages,
        )
        if follows and row.page % 512:
            found[-1] = replace(last, nr_pages=last.nr_pages + 1)
        else:
            found.append(row)
    return tuple(found)


class NeverCopies(PageMachine):
    """A write by one process is seen by the other: one folio where two should be."""

    def copy(self, process, page):
        pass


class CopiesAlways(PageMachine):
    """A write copies though nobody else maps the page."""

    def copy(self, process, page):
        process.entries[page] = (self.new(0, Kind.ANON), 0)


class ForgetsOnePage(PageMachine):
    """MADV_DONTNEED leaves the last of several pages mapped."""

    def madvise(self, process, step):
        if step.span.nr_pages > 1:
            step = replace(step, span=replace(step.span, end=step.span.end - 1))
        return super().madvise(process, step)


class CountsThreeAsTwo(PageMachine):
    """The third process that maps a page of a large folio is not counted."""

    def mapcount(self, number, page, counted):
        return min(counted, 2) if self.folios[number].order else counted


class ForgetsFiles(PageMachine):
    """A file loses a page when nobody maps it any more: a new folio comes in its place."""

    def munmap(self, process, step):
        result = super().munmap(process, step)
        mapped = {folio for folio, _ in self.mapcounts()}
        for name, pages in self.files.items():
            self.files[name] = {at: entry for at, entry in pages.items() if entry[0] in mapped}
        return result


class WrongResult(PageMachine):
    """mprotect of a hole succeeds."""

    def mprotect(self, process, step):
        super().mprotect(process, step)
        return 0


class RssOfAnother(PageMachine):
    """smaps has a page too many once there are more than 8."""

    def rss(self, counted):
        return counted + 4096 if counted > 8 * 4096 else counted
