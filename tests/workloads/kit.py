"""What all workloads share: memory calls through libc, a ledger of what is mapped where, and the talk with the test.

A workload does something to its memory and writes down, page by page, what must be mapped afterwards. It prints that as
one line of JSON, waits for a line (or the end) of its standard input, and goes. It needs the standard library alone, so it
runs as `python -I -S`. What it writes down follows from what it asked the kernel to do, never from reading /proc.
"""

import ctypes
import json
import os
import signal
import sys

PAGE = 4096
PMD_ORDER = 9
PROT_NONE, PROT_READ, PROT_WRITE = 0, 1, 2
MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 0x01, 0x02, 0x10, 0x20
MAP_NORESERVE, MAP_HUGETLB = 0x4000, 0x40000
MADV_DONTNEED, MADV_MERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE = 4, 12, 14, 15
MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_GUARD_INSTALL = 22, 23, 102
MREMAP_MAYMOVE, MREMAP_FIXED = 1, 2
MFD_HUGETLB = 4
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.mprotect.argtypes = libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
FAILED = ctypes.c_void_p(-1).value


def check(result):
    """Return what libc returned; OSError if it said that it failed."""
    if result in (-1, FAILED):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def mmap(address, nr_pages, prot, flags, fd=-1, offset=0):
    return check(libc.mmap(address, nr_pages * PAGE, prot, flags, fd, offset))


def madvise(address, nr_pages, advice):
    check(libc.madvise(address, nr_pages * PAGE, advice))


def tell(truth):
    """Write the truth, or what is missing, as one line."""
    sys.stdout.write(json.dumps(truth) + "\n")
    sys.stdout.flush()


def tell_moving():
    """Say that we are running, and nothing about memory: it changes all the time."""
    tell({"processes": {"parent": os.getpid()}, "areas": {"parent": []}, "folios": {}, "runs": {}, "facts": {}})


def give_up(missing):
    """End with the name of what this machine lacks; the test skips."""
    tell({"missing": missing})
    sys.exit(0)


class Workload:
    """The memory of this process, and the ledger of it: page number -> (folio, page within the folio, level)."""

    def __init__(self):
        self.name = "parent"
        self.areas = []
        self.pages = {}
        self.folios = {}
        self.children = {}
        self.reports = {}
        self.facts = {}

    # ---- what is done to memory -------------------------------------------------------------------------------------

    def area(self, nr_pages, *, order=0, huge=True, flags=MAP_PRIVATE | MAP_ANONYMOUS, fd=-1, offset=0, skip=0):
        """Map an area `skip` pages past an alignment of `order`, with unmapped pages around it; return its address."""
        align = PAGE << order
        reserved = mmap(
            None, nr_pages + skip + 2 + 2 * (1 << order), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        )
        start = (reserved + align) // align * align + skip * PAGE
        mmap(start, nr_pages, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, offset)
        if huge:
            madvise(start, nr_pages, MADV_HUGEPAGE)
        self.areas.append((start, start + nr_pages * PAGE))
        return start

    def note(self, address, order, kind, level, folio=None, page=0, nr_pages=None):
        """Write down that pages of a folio (a new one if none is named) are mapped here from now on; return the folio."""
        folio = folio or f"{self.name}.{len(self.folios)}"
        self.folios[folio] = (kind, order)
        for i in range((1 << order) if nr_pages is None else nr_pages):
            self.pages[address // PAGE + i] = (folio, page + i, level)
        return folio

    def fill(self, address, nr_folios, order, kind="anon"):
        """Write to every page: the first write of each folio faults all of it in. Return the folios."""
        ctypes.memset(address, 0x5A, nr_folios * PAGE << order)
        level = "pmd" if order == PMD_ORDER else "pte"
        return [self.note(address + i * (PAGE << order), order, kind, level) for i in range(nr_folios)]

    def settle(self, address, nr_pages):
        """Keep khugepaged away; what is mapped stays as it is."""
        madvise(address, nr_pages, MADV_NOHUGEPAGE)

    def drop(self, address, nr_pages):
        """MADV_DONTNEED: the pages are mapped no more, the VMA stays."""
        madvise(address, nr_pages, MADV_DONTNEED)
        self._forget(address, nr_pages)

    def unmap(self, address, nr_pages):
        """Munmap, and keep the hole: the interpreter's own memory would move into it."""
        check(libc.munmap(address, nr_pages * PAGE))
        mmap(address, nr_pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)
        self._forget(address, nr_pages)

    def protect(self, address, nr_pages):
        """Make pages read-only: a PMD that they do not fill becomes PTEs."""
        check(libc.mprotect(address, nr_pages * PAGE, PROT_READ))
        self._split(address, nr_pages)

    def move(self, address, nr_pages, target):
        """Mremap to `target`, which lies in another place of its PMD: what PMDs mapped is mapped by PTEs then."""
        check(libc.mremap(address, nr_pages * PAGE, nr_pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target))
        mmap(address, nr_pages, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)
        moved = [self.pages.pop(address // PAGE + i, None) for i in range(nr_pages)]
        for i, entry in enumerate(moved):
            if entry:
                self.pages[target // PAGE + i] = (entry[0], entry[1], "pte")
        self.areas.append((target, target + nr_pages * PAGE))

    def rewrite(self, address, nr_pages):
        """Write to pages that a fork shares: each becomes a small page of our own (wp_page_copy in mm/memory.c)."""
        self._split(address, nr_pages)
        ctypes.memset(address, 0xA5, nr_pages * PAGE)
        for i in range(nr_pages):
            self.note(address + i * PAGE, 0, "anon", "pte")

    def _forget(self, address, nr_pages):
        self._split(address, nr_pages)
        for i in range(nr_pages):
            self.pages.pop(address // PAGE + i, None)

    def _split(self, address, nr_pages):
        touched = set(range(address // PAGE, address // PAGE + nr_pages))
        for block in {page >> PMD_ORDER for page in touched}:
            pages = range(block << PMD_ORDER, (block + 1) << PMD_ORDER)
            if not touched.issuperset(pages):
                for page in pages:
                    if page in self.pages:
                        self.pages[page] = (*self.pages[page][:2], "pte")

    # ---- processes --------------------------------------------------------------------------------------------------

    def fork(self, name, body=lambda child: None, *, inherits=lambda folio: True):
        """
        Fork a child that runs `body(child)` and then waits to be killed; it dies with us.

        `inherits` says of a folio whether fork copies its entries: those of shared mappings are faulted in anew.
        """
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            self.name, self.children, self.reports = name, {}, {}
            self.pages = {page: entry for page, entry in self.pages.items() if inherits(entry[0])}
            body(self)
            with os.fdopen(writer, "w") as out:
                json.dump(self._own(), out)
            while True:
                signal.pause()
        os.close(writer)
        with os.fdopen(reader) as report:
            own = json.load(report)
        self.children[name] = pid
        self.reports[name] = own
        return pid

    def _own(self):
        return {"areas": self.areas, "folios": self.folios, "runs": self._runs()}

    def _runs(self):
        runs = []
        for number, (folio, page, level) in sorted(self.pages.items()):
            if runs:
                start, last_folio, first, count, last_level = runs[-1]
                if (start // PAGE + count, last_folio, first + count, last_level) == (number, folio, page, level):
                    runs[-1][3] += 1
                    continue
            runs.append([number * PAGE, folio, page, 1, level])
        return runs

    def hold(self):
        """Print the truth, wait until the test is done with us, end the children."""
        own = {self.name: self._own(), **self.reports}
        truth = {
            "processes": {self.name: os.getpid(), **self.children},
            "areas": {name: report["areas"] for name, report in own.items()},
            "folios": {key: value for report in own.values() for key, value in report["folios"].items()},
            "runs": {name: report["runs"] for name, report in own.items()},
            "facts": self.facts,
        }
        tell(truth)
        sys.stdin.readline()
        for pid in self.children.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
