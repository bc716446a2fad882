"""Quiet processes under the running kernel's own way of counting: our view beside what it prints, entry by entry.

Libraries are shared with processes that this test does not own. A measurement is disturbed, and repeated, if a reading of
the kernel before it differs from the same one after it; whether the result is liked plays no part.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import mapcount
from live.captured import mm_of
from live.oracle import smaps_rollup
from live.procfs import MAPPED_ONCE, PRESENT, mapmax_by_vma, smaps_by_vma, words_at
from live.scenes import SCENES, file_on_disk
from live.settings import HUGETLB
from live.test_kernel_numbers import processes_started_and_alive
from mapcount.capture import physical
from mapcount.schemes.eras import era_of
from mapcount.views.view import kernel_view, true_view
from views.replays import replay

TRIES = 23
SUMS = {
    "rss": ("Rss",),
    "private": ("Private_Clean", "Private_Dirty"),
    "shared": ("Shared_Clean", "Shared_Dirty"),
    "anonymous": ("Anonymous",),
    "anon_huge": ("AnonHugePages",),
    "shmem_pmd": ("ShmemPmdMapped",),
    "file_pmd": ("FilePmdMapped",),
    "private_hugetlb": ("Private_Hugetlb",),
    "shared_hugetlb": ("Shared_Hugetlb",),
}
PSS = {"pss": "Pss", "pss_anon": "Pss_Anon", "pss_file": "Pss_File", "pss_shmem": "Pss_Shmem"}


@pytest.fixture
def observed(monkeypatch):
    """Return a function that captures a workload's processes with order-0 folios, between two equal readings of the kernel."""
    # The kernel's count of forks has threads in it: the capture must start none for its own not to look like somebody's.
    monkeypatch.setattr(physical, "THREAD_PFNS", 1 << 40)

    def observe(running):
        pids = list(running.pids.values())

        def readings():
            read = (smaps_rollup, smaps_by_vma, mapmax_by_vma)
            return processes_started_and_alive(), {pid: [one(pid) for one in read] for pid in pids}

        for _ in range(TRIES):
            before = readings()
            snapshot = mapcount.capture(pids=pids, keep_small=True, keep_pfns=True)
            entries = read_entries(snapshot)
            after = readings()
            if before == after:
                return snapshot, after[1], entries
        pytest.skip(f"a process started or ended, or smaps changed, during each of {TRIES} captures")

    return observe


def read_entries(snapshot):
    """Return kpagecount of each page of each folio and the pagemap word of each page of each run, in the rows' order."""
    frames = spread(snapshot.folios.pfn, 1 << snapshot.folios.order.astype(np.int64))
    counts = words_at("/proc/kpagecount", frames)
    runs, words = snapshot.runs, []
    for mm in range(len(snapshot.mms)):
        mine = runs.take(runs.mm_id == mm)
        words.append(words_at(f"/proc/{snapshot.mms.pid[mm]}/pagemap", spread(mine.address // 4096, mine.nr_pages)))
    return counts, words


def spread(starts, lengths):
    return np.concatenate([np.arange(s, s + n) for s, n in zip(starts.tolist(), lengths.tolist(), strict=True)])


def assert_as_the_kernel(snapshot, kernel, entries):
    """Hold smaps_rollup, smaps and numa_maps of each VMA, kpagecount of each page and bit 56 of each entry to the kernel."""
    if snapshot.meta.counts_are != "exact":
        pytest.skip("this kernel does not count per page: a replay knows what its folios went through, a snapshot does not")
    era = era_of(os.uname().release, page_mapcount=True)
    view = kernel_view(snapshot, replay(snapshot, era.scheme), era.quirks)
    for pid, (rollup, by_vma, mapmax) in kernel.items():
        mm = mm_of(snapshot, pid)
        assert in_kb(view.by_mm, mm, rollup) == told(rollup), pid
        for vma in np.flatnonzero(snapshot.vmas.mm_id == mm).tolist():
            start, path = int(snapshot.vmas.start[vma]), snapshot.vmas.path[vma]
            if start in by_vma:  # of [vsyscall] smaps has no row
                assert in_kb(view.by_vma, vma, by_vma[start]) == told(by_vma[start]), (pid, hex(start), path)
                ours = int(view.by_vma.mapmax[vma])
                assert (ours if ours > 1 else 0) == mapmax[start], (pid, hex(start), path)
    counts, words = entries
    assert np.array_equal(np.repeat(view.kpagecount.count, view.kpagecount.nr_pages), counts)
    bits = view.bits
    for mm, theirs in enumerate(words):
        mine = bits.take(bits.mm_id == mm)
        assert np.all(theirs & np.uint64(PRESENT) != 0)
        assert np.array_equal(np.repeat(mine.mapped_once, mine.nr_pages), theirs & np.uint64(MAPPED_ONCE) != 0)


def in_kb(smaps, row, kernel):
    ours = {name: int(getattr(smaps, name)[row]) >> 10 for name in SUMS}
    return ours | {name: int(getattr(smaps, name)[row]) >> 22 for name, theirs in PSS.items() if theirs in kernel}


def told(kernel):
    sums = {name: sum(kernel[field] for field in fields) for name, fields in SUMS.items()}
    return sums | {name: kernel[field] for name, field in PSS.items() if field in kernel}


@pytest.mark.parametrize("scene", [scene for scene in SCENES if not scene.sparse], ids=str)
def test_scenes(scene, workload, thp, observed):
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    assert_as_the_kernel(*observed(workload(scene.script, *scene.arguments)))


def test_zero_pages(workload, thp, observed):
    thp(anon=(2048,))
    assert_as_the_kernel(*observed(workload("zero.py")))


def test_file(workload, tmp_path, observed):
    assert_as_the_kernel(*observed(workload("file.py", file_on_disk(tmp_path))))
