"""Quiet processes under the running kernel's own way of counting: our view beside what it prints, entry by entry.

Libraries are shared with processes that this test does not own. A measurement is disturbed, and repeated, if what the
kernel says before it differs from the same said after it; whether the result is liked plays no part.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

import mapcount
from live.captured import mm_of
from live.oracle import smaps_rollup
from live.procfs import MAPPED_ONCE, PRESENT, mapmax_by_vma, smaps_by_vma, words_at
from live.scenes import SCENES, Scene, file_on_disk
from live.settings import HUGETLB, KSM
from mapcount.capture.cgroups import memory_mount
from mapcount.mapping.schema import Level
from mapcount.replay.engine import replay
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.eras import era_of
from mapcount.views.view import kernel_view
from waiting import wait_for

TRIES = 23
VSYSCALL = 0xFFFFFFFFFF600000
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


def observe(running):
    """
    Capture a workload's processes with order-0 folios; return the snapshot and what the kernel says of the same.

    Quiet is what is read twice and is the same: smaps before and after, and kpagecount of every page of every folio while
    capturing, before and after the last smaps.
    """
    pids = list(running.pids.values())
    for _ in range(TRIES):
        before = {pid: readings(pid) for pid in pids}
        snapshot = mapcount.capture(pids=pids, keep_small=True, keep_pfns=True)
        counts, words = read_entries(snapshot)
        after = {pid: readings(pid) for pid in pids}
        at, observed = observed_pages(snapshot)
        if (
            before == after
            and np.array_equal(counts[at], observed)
            and np.array_equal(counts, read_entries(snapshot)[0])
        ):
            return snapshot, after, counts, words
    pytest.skip(f"smaps or kpagecount changed during each of {TRIES} captures")


def readings(pid):
    return smaps_rollup(pid), smaps_by_vma(pid), mapmax_by_vma(pid)


def observed_pages(snapshot):
    """Return the numbers, on the axis of all pages of all folios, of those that the capture read, and what it read."""
    sizes, told = 1 << snapshot.folios.order.astype(np.int64), snapshot.observed_counts
    first = (np.cumsum(sizes) - sizes)[told.folio_id] + told.first_page
    return spread(first, told.nr_pages), np.repeat(told.count, told.nr_pages)


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


def view_of(snapshot):
    """Return the view of the running kernel's own scheme."""
    if snapshot.meta.counts_are != "exact":
        pytest.skip("this kernel does not count per page: what its folios went through, a snapshot does not know")
    era = era_of(os.uname().release, page_mapcount=True)
    [replayed] = replay(snapshot, [find_scheme(era.scheme)])
    return kernel_view(snapshot, replayed, era.quirks)


def assert_as_the_kernel(snapshot, kernel, counts, words):
    view = view_of(snapshot)
    assert_smaps(view, kernel)
    assert_mapmax(view, kernel)
    assert np.array_equal(np.repeat(view.kpagecount.count, view.kpagecount.nr_pages), counts)
    assert_bits(view, words)


def vmas_of(view, kernel):
    """Give pid, row of `vmas`, and start of each VMA. Besides, smaps has a row of [vsyscall], which is no VMA of the mm."""
    for pid, (_, by_vma, _) in kernel.items():
        rows = np.flatnonzero(view.snapshot.vmas.mm_id == mm_of(view.snapshot, pid))
        starts = view.snapshot.vmas.start[rows].tolist()
        assert by_vma.keys() - {VSYSCALL} == set(starts)
        yield from ((pid, vma, start) for vma, start in zip(rows.tolist(), starts, strict=True))


def assert_smaps(view, kernel):
    for pid, (rollup, _, _) in kernel.items():
        assert in_kb(view.by_mm, mm_of(view.snapshot, pid), rollup) == told(rollup), pid
    for pid, vma, start in vmas_of(view, kernel):
        assert in_kb(view.by_vma, vma, kernel[pid][1][start]) == told(kernel[pid][1][start]), (pid, hex(start))


def assert_mapmax(view, kernel):
    """What is mapped once at most is not printed."""
    ours = {(pid, start): int(view.by_vma.mapmax[vma]) for pid, vma, start in vmas_of(view, kernel)}
    theirs = {(pid, start): value for pid, (_, _, mapmax) in kernel.items() for start, value in mapmax.items()}
    assert {key: value for key, value in ours.items() if value > 1} == theirs


def assert_bits(view, words):
    for mm, theirs in enumerate(words):
        mine = view.bits.take(view.bits.mm_id == mm)
        assert np.all(theirs & np.uint64(PRESENT) != 0)
        assert np.array_equal(np.repeat(mine.mapped_once, mine.nr_pages), theirs & np.uint64(MAPPED_ONCE) != 0)


def in_kb(smaps, row, kernel):
    ours = {name: int(getattr(smaps, name)[row]) >> 10 for name in SUMS}
    return ours | {name: int(getattr(smaps, name)[row]) >> 22 for name, theirs in PSS.items() if theirs in kernel}


def told(kernel):
    sums = {name: sum(kernel[field] for field in fields) for name, fields in SUMS.items()}
    return sums | {name: kernel[field] for name, field in PSS.items() if field in kernel}


@pytest.mark.parametrize("scene", [scene for scene in SCENES if not scene.sparse], ids=str)
def test_scenes(scene, workload, thp):
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    assert_as_the_kernel(*observe(workload(scene.script, *scene.arguments)))


def test_zero_pages(workload, thp):
    thp(anon=(2048,))
    assert_as_the_kernel(*observe(workload("zero.py")))


def test_file(workload, tmp_path):
    assert_as_the_kernel(*observe(workload("file.py", file_on_disk(tmp_path))))


def test_merged_pages(workload, settings):
    settings.set(KSM / "run", "1")
    settings.set(KSM / "sleep_millisecs", "1")
    settings.set(KSM / "pages_to_scan", "3000")
    assert_as_the_kernel(*observe(workload("ksm.py")))


def test_hugetlb(workload, settings):
    """But for kpagecount and mapmax of folios in a shared page table, one entry of two mms: a snapshot has two runs of it."""
    settings.set(HUGETLB, str(int(HUGETLB.read_text()) + 13))
    snapshot, kernel, _, words = observe(workload("hugetlb.py"))
    view = view_of(snapshot)
    assert_smaps(view, kernel)
    assert_bits(view, words)


def test_a_pmd_has_the_bit_of_its_first_page(workload, thp):
    """On this kernel, if its era says so: a folio of which the child dropped the first pages, and one that lost others."""
    thp(anon=(2048,))
    snapshot, _, counts, words = observe(workload("pmd.py"))
    view = view_of(snapshot)
    at = np.concatenate(([0], np.cumsum(1 << snapshot.folios.order.astype(np.int64))))
    pmd = snapshot.runs.take(snapshot.runs.level == Level.PMD)
    uneven = [
        f for f in pmd.folio_id.tolist() if len({count == 1 for count in counts[at[f] : at[f + 1]].tolist()}) == 2
    ]
    if not uneven:
        pytest.skip("no PMD of the workload maps pages of which some are mapped once and some more often")
    assert_bits(view, words)


@pytest.fixture
def fresh_cgroup():
    """Make a memory cgroup that nothing was charged to yet; return its directory and its path in a snapshot."""
    mount = memory_mount()
    if mount is None:
        pytest.skip("no memory cgroup is mounted")
    path = f"/mapcount-views-{os.getpid()}"
    directory = Path(mount.directory(path))
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error.strerror}")
    if not (directory / "memory.stat").exists():
        directory.rmdir()
        pytest.skip("the memory controller is not on for new cgroups")
    yield directory, path  # to be asked for before `workload`, which then ends first
    wait_for(lambda: not (directory / "cgroup.procs").read_text(), "for the processes of the cgroup to be gone")
    directory.rmdir()


def settled_memory_stat(directory):
    """Return memory.stat, which lags behind by up to two seconds, once it has stayed the same for three."""
    readings = []
    while len(readings) < 4 or len({str(reading) for reading in readings[-4:]}) > 1:
        assert len(readings) < 30, "memory.stat does not come to rest"
        lines = (directory / "memory.stat").read_text().splitlines()
        wanted = ("anon", "file_mapped", "anon_thp", "rss", "mapped_file", "rss_huge", "shmem")
        readings.append({name: int(value) for name, value in map(str.split, lines) if name in wanted})
        time.sleep(1)
    v1 = {"rss": "anon", "mapped_file": "mapped", "rss_huge": "anon_huge", "shmem": "shmem"}
    v2 = {"anon": "anon", "file_mapped": "mapped", "anon_thp": "anon_huge", "shmem": "shmem"}
    names = v2 if "anon" in readings[-1] else v1
    return {names[name]: value for name, value in readings[-1].items()}


@pytest.mark.parametrize(
    ("scene", "unmapped_bytes"),
    [
        (Scene("fork.py", anon_kb=(64,)), 0),
        (Scene("pmd.py", anon_kb=(2048,)), 0),
        (Scene("shmem.py", (4,), shmem_kb=(64,)), 0),
        (Scene("shmem.py", (9,), shmem_kb=(2048,)), 2 << 20),
    ],
    ids=str,
)
def test_memory_stat_of_a_fresh_cgroup(scene, unmapped_bytes, fresh_cgroup, workload, thp):
    """
    Anon, file_mapped, anon_thp and shmem of what is charged to it, partially mapped folios among them.

    `unmapped_bytes` are in shmem folios that nothing maps any more: they are in no page table.
    """
    directory, path = fresh_cgroup
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    running = workload(scene.script, *scene.arguments, cgroup=directory)
    snapshot = observe(running)[0]
    stat = settled_memory_stat(directory)
    stat["shmem"] -= unmapped_bytes
    view = view_of(snapshot)
    row = snapshot.cgroups.index(path)
    assert {name: int(getattr(view.by_cgroup, name)[row]) for name in stat} == stat
