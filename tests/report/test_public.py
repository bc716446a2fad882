"""The tier without privilege: smaps_rollup and meminfo as they are, and a band of waste that names its ends."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from builders import SnapshotBuilder
from mapcount.mapping.schema import ObservedVmas
from mapcount.report import public, terminal
from mapcount.report.table import View

KIB = 1024
MEMINFO = {
    "Active(anon)": 1_009,
    "Inactive(anon)": 503,
    "Shmem": 101,
    "AnonPages": 1_301,
    "SwapCached": 13,
    "Unevictable": 7,
}


def no_pfn(*, without=(), after=None):
    builder = SnapshotBuilder()
    for comm in ("small", "gone", "large"):
        builder.add_vma(builder.add_mm(comm=comm), pages=1_024)
    rollups = {0: (11, 5, 2, 1, 0), 2: (4_099, 2_053, 1_021, 3, 17)}
    for mm, values in rollups.items():
        for name, kib in zip(("Rss", "Pss", "Private_Clean", "Private_Dirty", "Swap"), values, strict=True):
            builder.add_stat("smaps_rollup", f"mm {mm}", name, kib * KIB)
    for name in ("Rss", "Pss"):
        builder.add_stat("smaps_rollup", "mm 1", name, -1)
    for name, kib in MEMINFO.items():
        if name not in without:
            builder.add_stat("meminfo", "", name, kib * KIB, ((after or {}).get(name, kib)) * KIB)
    builder.add_stat("mthp", "64kB", "nr_anon", 97, unit="folios")
    builder.add_stat("mthp", "64kB", "nr_anon_partially_mapped", 23, unit="folios")
    builder.add_stat("mthp", "32kB", "nr_anon", 0, unit="folios")
    snapshot = builder.build(tier="no-pfn")
    zeros = np.zeros(3, np.uint64)
    pmd = np.array([0, 0, 1_024], np.uint64)
    seen = ObservedVmas(np.arange(3, dtype=np.uint32), pmd, pmd, zeros, zeros, zeros, zeros)
    return dataclasses.replace(snapshot, observed_vmas=seen)


def test_processes_are_as_the_kernel_says():
    rows = public.public_processes(no_pfn())

    assert [row.comm for row in rows] == ["large", "small", "gone"]
    large, small, gone = rows
    assert (large.rss_bytes, large.pss_bytes, large.uss_bytes) == (4_099 * KIB, 2_053 * KIB, 1_024 * KIB)
    assert (large.pmd_mapped_bytes, large.swap_bytes) == (4 * 1_024 * KIB, 17 * KIB)
    assert small.uss_bytes == 3 * KIB
    assert gone.rss_bytes == gone.uss_bytes == -1


def test_the_band_of_waste():
    # 1009 + 503 - 101 - 1301 = 110 KiB on the lists and not mapped; 13 of it may be swap cache, 7 may be elsewhere.
    assert public.waste_band(no_pfn()) == (97 * KIB, 117 * KIB)
    # Read again after the capture: 31 KiB more were mapped, so the lower end is lower.
    assert public.waste_band(no_pfn(after={"AnonPages": 1_332})) == (66 * KIB, 117 * KIB)


def test_the_band_does_not_fall_below_nothing():
    assert public.waste_band(no_pfn(after={"AnonPages": 9_001})) == (0, 117 * KIB)


@pytest.mark.parametrize("name", MEMINFO)
def test_no_band_without_its_numbers(name):
    assert public.waste_band(no_pfn(without=[name])) is None


@pytest.mark.parametrize(
    ("anon", "without_swap", "words"),
    [
        (9_001, 0, "None: as far as these counters tell, somebody maps every page of anon memory."),
        (1_409, 0, "At most 9 KiB of anon memory is mapped by nobody, and perhaps none."),
        (1_301, 1, "110 KiB of anon memory is mapped by nobody."),
    ],
)
def test_a_band_that_reaches_zero_is_said_as_such(anon, without_swap, words, monkeypatch):
    monkeypatch.setitem(MEMINFO, "AnonPages", anon)
    if without_swap:
        monkeypatch.setitem(MEMINFO, "SwapCached", 0)
        monkeypatch.setitem(MEMINFO, "Unevictable", 0)

    assert words in terminal.render(public.section(no_pfn(), View()), width=80, colour=False).splitlines()


def test_what_is_printed():
    text = terminal.render(public.section(no_pfn(), View()), width=80, colour=False)

    assert "without privilege" in text
    assert "Between 97 KiB and 117 KiB of anon memory is mapped by nobody." in text
    assert "64K       97                23" in text
    assert "32K" not in text
    assert [line.split() for line in text.splitlines() if "gone" in line] == [["101", "gone", "-", "-", "-", "0", "-"]]
    assert max(map(len, text.splitlines())) <= 80
