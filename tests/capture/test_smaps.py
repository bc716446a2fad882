"""smaps instead of PAGEMAP_SCAN: which runs must be PMDs, which cannot be, and which cannot be told."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.maps import VmaList
from mapcount.capture.runs import RawRuns
from mapcount.capture.smaps import mark_pmds, pmd_kib_by_vma
from mapcount.mapping.schema import Level

SMAPS = b"""\
7f0000000000-7f0000600000 rw-p 00000000 00:00 0                          [heap] AnonHugePages: 1-2 odd name
Size:               6144 kB
KernelPageSize:        4 kB
AnonHugePages:      2048 kB
ShmemPmdMapped:        0 kB
7f0040000000-7f0040400000 rw-s 00000000 00:0e 77                         /dev/hugepages/x
KernelPageSize:     2048 kB
AnonHugePages:         0 kB
7f0050000000-7f0050800000 rw-s 00000000 00:01 77                         /memfd:a (deleted)
KernelPageSize:        4 kB
AnonHugePages:         0 kB
ShmemPmdMapped:     4096 kB
FilePmdMapped:      2048 kB
7f0060000000-7f0060800000 rw-p 00000000 00:00 0\x20
"""


def test_kib_that_pmds_map_by_vma():
    assert pmd_kib_by_vma(SMAPS) == {0x7F0000000000: 2048, 0x7F0040000000: -1, 0x7F0050000000: 6144, 0x7F0060000000: 0}
    assert pmd_kib_by_vma(b"") == {}


@given(st.binary(max_size=300))
def test_no_text_is_too_strange(text):
    pmd_kib_by_vma(text)


def test_own_smaps_add_up_to_the_rollup():
    for _ in range(5):  # khugepaged may work between the two reads
        with open("/proc/self/smaps", "rb") as smaps, open("/proc/self/smaps_rollup") as rollup:
            by_vma, text = pmd_kib_by_vma(smaps.read()), rollup.read()
        total = sum(
            map(int, re.findall(r"^(?:AnonHugePages|ShmemPmdMapped|FilePmdMapped): +(\d+) kB", text, re.MULTILINE))
        )
        if sum(kib for kib in by_vma.values() if kib > 0) == total:
            return
    pytest.fail(f"{by_vma} does not add up to {total} KiB")


def vmas_of(ranges):
    starts, ends = (np.array(column, np.uint64) * np.uint64(4096) for column in zip(*ranges, strict=True))
    n = len(ranges)
    return VmaList(starts, ends, ["rw-p"] * n, [0] * n, ["00:00"] * n, [0] * n, [""] * n)


def runs_of(rows):
    page, pfn, size = (list(column) for column in zip(*rows, strict=True))
    return RawRuns(
        np.array(page, np.uint64), np.array(pfn, np.uint64), np.array(size, np.uint32), np.zeros(len(rows), np.uint8)
    )


WHOLE = [(1024, 512, 512), (1536, 5120, 512), (2048, 1024, 512)]
NOT_WHOLE = [(2560, 2048, 511), (3072 + 7, 3072, 512 - 7), (3584, 4096 + 1, 512), (4096, 7, 1)]
VMAS = [(1000, 2560), (2560, 5000)]


@pytest.mark.parametrize(
    ("kib", "levels", "untold"),
    [
        (3 * 2048, [Level.PMD] * 3, 0),
        (0, [Level.PTE] * 3, 0),
        (2048, [Level.PTE] * 3, 3 * 512),  # one of three: which, nobody tells
        (-1, [Level.PMD] * 3, 0),
        (None, [Level.PTE] * 3, 0),
    ],
)
def test_a_vma_whose_runs_are_all_none_or_some_pmds(kib, levels, untold):
    pmd_kib = {1000 * 4096: kib} if kib is not None else {}
    marked, pages = mark_pmds(runs_of(WHOLE + NOT_WHOLE), vmas_of(VMAS), pmd_kib | {2560 * 4096: 4096})
    assert marked.level.tolist() == levels + [Level.PTE] * len(NOT_WHOLE)
    assert pages == untold
    assert marked.page.tolist() == [page for page, _, _ in WHOLE + NOT_WHOLE]


def test_each_vma_is_judged_by_itself():
    vmas = vmas_of([(1024, 1536), (1536, 2560)])
    marked, pages = mark_pmds(runs_of(WHOLE), vmas, {1024 * 4096: 2048, 1536 * 4096: 2048})
    assert marked.level.tolist() == [Level.PMD, Level.PTE, Level.PTE]
    assert pages == 2 * 512
