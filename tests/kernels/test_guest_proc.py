"""What /proc of a guest says, from files made by hand."""

from __future__ import annotations

import numpy as np

from mapcount.kernels.guest_proc import read_counts, read_vmas
from mapcount.mapping.schema import Kind
from mapcount.scenarios.observation import FolioState
from mapcount.scenarios.steps import area_address

PRESENT, ONCE, SWAPPED = 1 << 63, 1 << 56, 1 << 62


class Files:
    """/proc of a guest: texts, and arrays of which the rest is 0."""

    def __init__(self, texts, arrays):
        self.texts, self.arrays = texts, arrays

    def read(self, path, offset=0, nr_bytes=None):
        if path in self.texts:
            return self.texts[path].encode()
        assert offset % 8 == nr_bytes % 8 == 0
        first = offset // 8
        values = [self.arrays[path].get(first + i, 0) for i in range(nr_bytes // 8)]
        return np.array(values, np.uint64).tobytes()


def vma(area, first, end, perms="rw-p"):
    return f"{area_address(area, first):x}-{area_address(area, end):x} {perms} 00000000 00:00 0 \n"


def test_vmas_of_the_areas_are_read_and_no_others():
    stack = "7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]\n"
    head = vma("b", 5, 8), vma("a", 0, 3)
    rest = "Rss:                  8 kB\nPss:                  5 kB\nAnonHugePages:         0 kB\nVmFlags: rd wr\n"
    pages = area_address("b", 5) >> 12
    entries = {pages: PRESENT | ONCE | 77, pages + 1: PRESENT | 78, pages + 2: SWAPPED | ONCE}
    files = Files(
        {
            "/proc/31/maps": head[1] + head[0] + stack,
            "/proc/31/smaps": head[1] + rest.replace("8 kB", "12 kB") + head[0] + rest + stack + rest,
            "/proc/7/maps": stack,
            "/proc/7/smaps": stack + rest,
        },
        {"/proc/31/pagemap": entries},
    )
    a, b = read_vmas(files, {"p": 31, "c": 7})
    assert (a.process, a.area, a.first, a.end, a.mapped_once) == ("p", "a", 0, 3, ((0, 3),))
    assert (b.process, b.area, b.first, b.end) == ("p", "b", 5, 8)
    # Bit 56 of what is not present means nothing.
    assert b.mapped_once == ((1, 1), (0, 2))
    assert (a.smaps_bytes["Rss"], b.smaps_bytes["Rss"], b.smaps_bytes["Pss"]) == (12 << 10, 8 << 10, 5 << 10)


def test_counts_are_runs_over_all_pages_of_a_folio():
    files = Files({}, {"/proc/kpagecount": {1024: 1, 1025: 1, 1026: 3, 1027: 0, 1028: 99}})
    found = read_counts(files, {1024: ("f3", FolioState(2, Kind.ANON, {})), 1028: ("f5", FolioState(0, Kind.ANON, {}))})
    assert found == {"f3": ((1, 2), (3, 1), (0, 1)), "f5": ((99, 1),)}
