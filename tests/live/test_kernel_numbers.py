"""Our Rss, Pss, Uss and PMD-mapped bytes beside smaps_rollup, and our folios beside the kernel's per-size counters.

Libraries are shared with processes that this test does not own: Pss and Uss change when one of them comes or goes. A
measurement is disturbed, and is repeated, if any reading before it differs from the same reading after it; whether the
result is liked plays no part.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import mapcount
from live.conftest import undisturbed
from live.oracle import smaps_rollup
from live.scenes import SCENES
from live.settings import THP
from live.view import sizes

TRIES = 23


def processes_started_and_alive() -> tuple[str, str]:
    """Return the number of forks since boot and of tasks now: unchanged means that nobody came or went."""
    stat = Path("/proc/stat").read_text().partition("\nprocesses ")[2].split()[0]
    return stat, Path("/proc/loadavg").read_text().split()[3].partition("/")[2]


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.arguments in ((), (4,))], ids=str)
def test_smaps_rollup(scene, workload, thp):
    thp(anon=scene.anon_kb, shmem=scene.shmem_kb)
    running = workload(scene.script, *scene.arguments)
    pids = list(running.pids.values())
    for _ in range(TRIES):
        before = processes_started_and_alive(), {pid: smaps_rollup(pid) for pid in pids}
        snapshot = mapcount.capture(pids=pids)
        after = processes_started_and_alive(), {pid: smaps_rollup(pid) for pid in pids}
        rows = {row.pid: row for row in mapcount.survey(snapshot).processes}
        for pid in pids:  # what nobody else can change
            kernel = after[1][pid]
            assert rows[pid].rss_bytes == kernel["Rss"] * 1024
            huge = kernel["AnonHugePages"] + kernel["ShmemPmdMapped"] + kernel["FilePmdMapped"]
            assert rows[pid].pmd_mapped_bytes == huge * 1024
        if before == after:
            break
    else:
        pytest.skip(f"a process started or ended, or smaps_rollup changed, during each of {TRIES} captures")
    for pid in pids:
        kernel = after[1][pid]
        assert rows[pid].uss_bytes == (kernel["Private_Clean"] + kernel["Private_Dirty"]) * 1024
        # The kernel divides page by page in 1/4096 of a byte and rounds down: less than a byte off, here or there.
        assert kernel["Pss"] in {rows[pid].pss_bytes // 1024, (rows[pid].pss_bytes - 1) // 1024}


@pytest.mark.parametrize("scene", [scene for scene in SCENES if scene.anon_kb and len(scene.anon_kb) == 1], ids=str)
def test_nr_anon(scene, thp, held_settings):
    """The counters rise by what we find in a workload that has just started, and fall back when it ends."""
    (size,) = scene.anon_kb
    thp(anon=scene.anon_kb)
    stats = THP / f"hugepages-{size}kB" / "stats"
    if not (stats / "nr_anon").exists():
        pytest.skip("this kernel has no nr_anon (6.12)")

    def read() -> tuple[int, ...]:
        names = ("nr_anon", "nr_anon_partially_mapped", "split")
        return tuple(int((stats / name).read_text()) for name in names)

    for _ in range(TRIES):
        with contextlib.ExitStack() as stack:
            before = read()
            workload = stack.enter_context(undisturbed(held_settings, scene.script, *scene.arguments))
            during = read()
            snapshot = mapcount.capture(pids=list(workload.pids.values()))
            during_still = read()
        after = read()
        if before == after and during == during_still:
            break
    else:
        pytest.skip(f"somebody else's folios of {size} kB came, went or were split in each of {TRIES} runs")
    order = (size // 4).bit_length() - 1
    row = next(row for row in mapcount.survey(snapshot).sizes if (row.kind, row.order) == ("anon", order))
    assert (row.folios, row.partially_mapped) == (during[0] - before[0], during[1] - before[1])
    truth = sizes(workload.view())["anon", order]
    assert (row.folios, row.partially_mapped) == (truth["folios"], truth["partially_mapped"])
