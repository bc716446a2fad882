"""The kernel's numbers: made-up texts, and on this machine one file beside another that counts the same."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapcount.capture.stats import (
    Stat,
    observed_stats,
    parse_meminfo,
    parse_memory_stat,
    parse_rollup,
    parse_vmstat,
    read_rollup,
    read_stats,
)
from waiting import wait_until_asleep

MEMINFO = (
    "MemTotal:       24684084 kB\nActive(anon):       1540 kB\nHugePages_Total:      17\nHugepagesize:       2048 kB\n"
)
VMSTAT = (
    "nr_anon_pages 5371\nnr_anon_transparent_hugepages 13\nnr_kernel_stack 1523\nthp_split_page 7\npswpin 3\n"
    "pgfault 999\nnuma_hit 5\nnr_unstable 0\n"
)
ROLLUP = "55d0-7fff ---p 00000000 00:00 0                          [rollup]\nRss:    1048 kB\nPss_Anon:   19 kB\n"


def number(stats, source, name, subject=""):
    ((unit, value),) = [
        (stat.unit, value)
        for stat, value in stats.items()
        if (stat.source, stat.subject, stat.name) == (source, subject, name)
    ]
    return value, unit


def test_meminfo_in_bytes_and_hugetlb_in_folios():
    stats = parse_meminfo(MEMINFO)

    assert number(stats, "meminfo", "MemTotal") == (24684084 * 1024, "bytes")
    assert number(stats, "meminfo", "Active(anon)") == (1540 * 1024, "bytes")
    assert number(stats, "meminfo", "HugePages_Total") == (17, "folios")
    assert len(stats) == 4


def test_vmstat_units_are_what_the_kernel_prints():
    stats = parse_vmstat(VMSTAT)

    assert number(stats, "vmstat", "nr_anon_pages") == (5371, "pages")
    assert number(stats, "vmstat", "nr_anon_transparent_hugepages") == (13, "folios")
    assert number(stats, "vmstat", "nr_kernel_stack") == (1523 * 1024, "bytes")
    assert number(stats, "vmstat", "thp_split_page") == (7, "events")
    assert number(stats, "vmstat", "pswpin") == (3, "events")
    assert not any(stat.name in {"pgfault", "numa_hit"} for stat in stats)


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("anon", "bytes"),
        ("pagetables", "bytes"),
        ("zswap", "bytes"),
        ("zswapped", "bytes"),
        ("swapcached", "bytes"),
        ("anon_thp", "bytes"),
        ("total_rss_huge", "bytes"),
        ("hierarchical_memory_limit", "bytes"),
        ("thp_fault_alloc", "events"),
        ("pgscan_khugepaged", "events"),
        ("workingset_refault_anon", "events"),
        ("total_pgpgin", "events"),
        ("zswpout", "events"),
        ("numa_pte_updates", "events"),
        ("swpin_zero", "events"),
    ],
)
def test_memory_stat_tells_events_from_bytes(name, unit):
    assert parse_memory_stat(f"{name} 4099\n", "/a") == {Stat("memcg", "/a", name, unit): 4099}


def test_rollup_in_bytes():
    assert parse_rollup(ROLLUP, "mm 3") == {
        Stat("smaps_rollup", "mm 3", "Rss", "bytes"): 1048 * 1024,
        Stat("smaps_rollup", "mm 3", "Pss_Anon", "bytes"): 19 * 1024,
    }


@given(st.text(max_size=300))
def test_no_text_is_too_strange_to_parse(text):
    for stats in (parse_meminfo(text), parse_vmstat(text), parse_memory_stat(text, "/"), parse_rollup(text, "mm 0")):
        assert all(value >= 0 for value in stats.values())


@pytest.fixture
def machine(tmp_path):
    for name, text in {
        "proc/meminfo": MEMINFO,
        "proc/vmstat": VMSTAT,
        "proc/23/smaps_rollup": ROLLUP,
        "proc/self/mountinfo": f"36 31 0:32 / {tmp_path}/memory rw - cgroup cgroup rw,memory\n",
        "memory/memory.stat": "rss 4096\npgfault 5\n",
        "memory/a/memory.stat": "rss 8192\n",
        "sys/kernel/mm/transparent_hugepage/hugepages-64kB/stats/nr_anon": "11\n",
        "sys/kernel/mm/transparent_hugepage/hugepages-64kB/stats/split": "29\n",
        "sys/kernel/mm/transparent_hugepage/hugepages-2048kB/stats/nr_anon": "what\n",
        "sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled": "[inherit]\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return {"proc": str(tmp_path / "proc"), "sys": str(tmp_path / "sys")}


def test_all_sources_of_a_machine(machine):
    stats = read_stats(cgroups=["/a", "/gone"], processes={0: 23, 1: 99}, **machine)

    assert number(stats, "mthp", "nr_anon", "64kB") == (11, "folios")
    assert number(stats, "mthp", "split", "64kB") == (29, "events")
    assert number(stats, "mthp", "nr_anon", "2048kB") == (-1, "folios")
    assert number(stats, "memcg", "rss", "/") == (4096, "bytes")
    assert number(stats, "memcg", "rss", "/a") == (8192, "bytes")
    assert number(stats, "memcg", "rss", "/gone") == (-1, "bytes")
    assert number(stats, "smaps_rollup", "Rss", "mm 0") == (1048 * 1024, "bytes")
    assert number(stats, "smaps_rollup", "Rss", "mm 1") == (-1, "bytes")
    assert number(stats, "smaps_rollup", "Pss", "mm 1") == (-1, "bytes")
    assert number(stats, "vmstat", "nr_anon_pages")[0] == 5371
    assert number(stats, "meminfo", "MemTotal")[0] == 24684084 * 1024


def test_an_empty_machine_has_no_numbers(tmp_path):
    assert read_stats(proc=str(tmp_path), sys=str(tmp_path)) == {}


def test_two_moments_as_a_table():
    rss, gone, new = (Stat("smaps_rollup", f"mm {mm}", "Rss", "bytes") for mm in (0, 1, 2))

    table = observed_stats({rss: 4096, gone: 8192}, {rss: 12288, new: 4096})

    assert table.subject.tolist() == ["mm 0", "mm 1", "mm 2"]
    assert table.before.tolist() == [4096, 8192, -1]
    assert table.after.tolist() == [12288, -1, 4096]
    assert (table.before.dtype, table.source.dtype) == (np.dtype(np.int64), np.dtype(object))
    assert set(table.unit) == {"bytes"}


def test_no_moments_make_an_empty_table():
    table = observed_stats({}, {})

    assert len(table) == 0
    assert table.before.dtype == np.int64


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")


@linux
def test_vmstat_and_meminfo_say_the_same_in_other_units():
    stats = read_stats()
    scale = {
        "pages": os.sysconf("SC_PAGE_SIZE"),
        "bytes": 1,
        "folios": int(Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size").read_text()),
    }
    for in_vmstat, in_meminfo in {
        "nr_anon_pages": "AnonPages",
        "nr_anon_transparent_hugepages": "AnonHugePages",
        "nr_kernel_stack": "KernelStack",
        "nr_mapped": "Mapped",
        "nr_page_table_pages": "PageTables",
        "nr_shmem": "Shmem",
    }.items():
        value, unit = number(stats, "vmstat", in_vmstat)
        expected, _ = number(stats, "meminfo", in_meminfo)

        # Other tests allocate between the two reads; a wrong unit is off by 2 at the least, mostly by 512 or 4096.
        assert value * scale[unit] == pytest.approx(expected, rel=0.3, abs=64 << 20), in_vmstat


@linux
def test_rollup_is_the_sum_of_smaps():
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(b"13\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"13\n"
        wait_until_asleep(child.pid)  # back in read()
        stats = read_rollup(child.pid, "mm 0")
        smaps = Path(f"/proc/{child.pid}/smaps").read_text()
        child.stdin.close()

    for name in ("Rss", "Private_Dirty", "Anonymous", "AnonHugePages", "Swap"):
        total = sum(int(kib) for kib in re.findall(rf"^{name}:\s+(\d+) kB$", smaps, re.MULTILINE))
        assert number(stats, "smaps_rollup", name, "mm 0") == (total * 1024, "bytes"), name


@linux
def test_a_process_that_has_exited_reads_as_unknown():
    child = subprocess.Popen(["true"])
    child.wait()

    assert set(read_rollup(child.pid, "mm 7").values()) == {-1}
