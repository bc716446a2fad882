"""Each check: equal on a quiet machine, bounded where the direction is known, unexplained where our number is wrong."""

from __future__ import annotations

import pytest

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Consistency, Kind, Level
from mapcount.survey.check_waste import drift_pages
from mapcount.survey.run import survey


def checks_of(b, **meta):
    return {check.name: check for check in survey(b.build(**meta)).checks}


def torn(**folio):
    b = SnapshotBuilder()
    mm = b.add_mm(pid=123, comm="work")
    b.map_pages(mm, b.add_vma(mm), b.add_folio(4, **folio), 0, 5)
    return b


@pytest.mark.parametrize(
    ("name", "kernel", "verdict"),
    [
        ("nr_anon", (1, 1), "equal"),
        ("nr_anon", (1, 2), "bounded"),
        ("nr_anon", (3, 3), "bounded"),
        ("nr_anon", (0, 0), "unexplained"),
        ("nr_anon_partially_mapped", (1, 1), "equal"),
        ("nr_anon_partially_mapped", (7, 7), "bounded"),
        ("nr_anon_partially_mapped", (0, 0), "unexplained"),
    ],
)
def test_folios_of_a_size(name, kernel, verdict):
    b = torn()
    b.add_stat("mthp", "64kB", name, *kernel, unit="folios")
    (check,) = [check for name, check in checks_of(b).items() if name.endswith("anon folios of 64kB")]
    assert (check.ours, check.kernel, check.difference) == (1, kernel[1], 1 - kernel[1])
    assert check.verdict == verdict


def test_with_swap_a_partial_folio_may_never_have_been_flagged():
    b = torn()
    b.add_stat("mthp", "64kB", "nr_anon_partially_mapped", 0, unit="folios")
    b.add_stat("meminfo", "", "SwapTotal", 1 << 30)
    assert checks_of(b)["partially mapped anon folios of 64kB"].verdict == "bounded"


def test_a_folio_that_moved_widens_the_band():
    b = torn(consistency=Consistency.MOVED)
    b.add_stat("mthp", "64kB", "nr_anon", 0, unit="folios")
    assert checks_of(b)["anon folios of 64kB"].verdict == "bounded"


def test_pmd_mapped_folios_count_once():
    b = SnapshotBuilder()
    for kind in (Kind.ANON, Kind.ANON, Kind.SHMEM):
        folio = b.add_folio(9, kind)
        for _ in range(2):
            mm = b.add_mm()
            b.map_pages(mm, b.add_vma(mm), folio, level=Level.PMD)
    b.add_stat("meminfo", "", "AnonHugePages", 1024 * PAGE)
    b.add_stat("meminfo", "", "ShmemPmdMapped", 1024 * PAGE)
    checks = checks_of(b)
    assert checks["PMD-mapped anon (AnonHugePages)"].verdict == "equal"
    assert checks["PMD-mapped shmem (ShmemPmdMapped)"].verdict == "unexplained"
    unread = checks_of(b, unreadable=[{"pid": 1, "comm": "init", "error": "EACCES"}])
    assert unread["PMD-mapped shmem (ShmemPmdMapped)"].verdict == "bounded"


def lru(b, waste, **more):
    values = {"Active(anon)": 900, "Inactive(anon)": 100 + waste, "Shmem": 300, "AnonPages": 700} | more
    for name, pages in values.items():
        b.add_stat("meminfo", "", name, pages * PAGE)
    return b


@pytest.mark.parametrize(
    ("waste", "more", "verdict"),
    [
        (11, {}, "equal"),
        # One CPU with little memory holds back 2 pages of each of 4 counters, and 31 pages in each of 2 batches.
        (11 - 70, {}, "bounded"),
        (11 - 71, {}, "unexplained"),
        (11 - 71, {"Unevictable": 1}, "bounded"),
        (11 + 8, {}, "bounded"),
        (11 + 9, {}, "unexplained"),
        (11 + 10, {"SwapCached": 1}, "unexplained"),
        (11 + 10, {"SwapCached": 2}, "bounded"),
    ],
)
def test_waste_against_the_lru_lists(waste, more, verdict):
    check = checks_of(lru(torn(), waste, **more), cpus=1)["wasted (LRU lists of meminfo)"]
    assert (check.ours, check.verdict) == (11 * PAGE, verdict)


def test_where_cpus_were_not_recorded_memory_stands_for_them():
    name = "wasted (LRU lists of meminfo)"
    told = checks_of(lru(torn(), 11), cpus=7, mem_total_bytes=7 << 30)[name]
    guessed = checks_of(lru(torn(), 11), mem_total_bytes=7 << 30)[name]
    none = checks_of(lru(torn(), 11), mem_total_bytes=1 << 20)[name]
    assert (told.low, told.high) == (guessed.low, guessed.high)
    assert none.high == (11 + 70) * PAGE


@pytest.mark.parametrize(
    ("cpus", "mem_bytes", "pages"),
    # Of the table in the comment of calculate_normal_threshold, mm/vmstat.c.
    [
        (1, 15 << 26, 8),
        (2, 127 << 20, 4),
        (2, 15 << 26, 16),
        (2, 3 << 30, 24),
        (2, 11 << 30, 32),
        (1024, 31 << 30, 125),
    ],
)
def test_counters_that_cpus_hold_back(cpus, mem_bytes, pages):
    assert drift_pages(cpus, mem_bytes) == cpus * pages


@pytest.mark.parametrize(
    ("cpus", "difference", "verdict"),
    [
        (1, 62 + 128, "bounded"),
        (1, 62 + 129, "unexplained"),
        (1, -128, "bounded"),
        (1, -129, "unexplained"),
        (2, 123, "bounded"),  # 36 KiB beside -456 KiB: seen on two CPUs
        (2, 2 * (62 + 128), "bounded"),
        (2, 512, "unexplained"),  # one folio of 2 MiB taken for waste
    ],
)
def test_waste_of_a_cgroup_is_as_uncertain_as_its_cpus_make_it(cpus, difference, verdict):
    b = torn(cgroup="/job")
    for name, pages in (("active_anon", 911 - difference), ("inactive_anon", 100), ("shmem", 300), ("anon", 700)):
        b.add_stat("memcg", "/job", name, pages * PAGE)
    check = checks_of(b, cpus=cpus, mem_total_bytes=24 << 30)["wasted in /job (its LRU lists)"]
    assert (check.difference, check.verdict) == (difference * PAGE, verdict)


def test_waste_is_not_compared_where_anon_counts_whole_folios():
    assert "wasted (LRU lists of meminfo)" not in checks_of(lru(torn(), 11), counts_are="average")


@pytest.mark.parametrize("anon", ["anon", "rss"])
def test_waste_of_a_cgroup_in_the_names_of_v2_and_v1(anon):
    b = torn(cgroup="/job/a")
    for cgroup in ("/job", "/job/a"):
        for name, pages in (("active_anon", 900), ("inactive_anon", 111), ("shmem", 300), (anon, 700)):
            b.add_stat("memcg", cgroup, name, pages * PAGE)
    mm = b.add_mm()
    b.map_pages(mm, b.add_vma(mm), b.add_folio(3, cgroup="/job"))
    checks = checks_of(b)
    assert checks["wasted in /job/a (its LRU lists)"].verdict == "equal"
    # v2 counts what is below too; v1 does not, and /job has no waste of its own.
    assert ("wasted in /job (its LRU lists)" in checks) == (anon == "anon")


def test_system_wide_checks_need_a_system_wide_capture():
    b = lru(torn(), 11)
    b.add_stat("mthp", "64kB", "nr_anon", 1, unit="folios")
    assert list(checks_of(b, scope="pids")) == ["mappings of large folios (kpagecount)"]


def test_mappings_found_against_kpagecount():
    name = "mappings of large folios (kpagecount)"
    b = torn()
    assert (checks_of(b)[name].verdict, checks_of(b)[name].ours) == ("equal", 5)
    b.add_unseen(0, 3, 7)
    check = checks_of(b)[name]
    assert (check.verdict, check.difference, check.low) == ("bounded", -7, 5)
    b.set_counts(0, [1] * 16)
    assert checks_of(b)[name].verdict == "unexplained"
    assert name not in checks_of(b, counts_are="average")


@pytest.mark.parametrize(
    ("rss", "verdict"), [((5, 5), "equal"), ((4, 6), "bounded"), ((6, 7), "bounded"), ((6, 6), "unexplained")]
)
def test_rss_of_a_process(rss, verdict):
    b = torn()
    b.add_stat("smaps_rollup", "mm 0", "Rss", *(pages * PAGE for pages in rss))
    assert checks_of(b, scope="pids")["Rss of pid 123 (work)"].verdict == verdict


@pytest.mark.parametrize(
    ("pss", "verdict"),
    [(6144, "equal"), (5120, "bounded"), (4096, "unexplained"), (7168, "unexplained")],
)
def test_pss_of_a_process_is_compared_in_whole_kib(pss, verdict):
    b = SnapshotBuilder()
    folio = b.add_folio(4)
    for pid in (123, 124, 125):
        mm = b.add_mm(pid=pid)
        b.map_pages(mm, b.add_vma(mm), folio, 0, 5)
    b.add_stat("smaps_rollup", "mm 0", "Pss", pss)
    check = checks_of(b)["Pss of pid 123 (work)"]
    assert check.ours == 5 * PAGE // 3 // 1024 * 1024
    assert check.verdict == verdict


def test_pss_without_exact_counts_is_bounded_by_what_is_not_known():
    b = torn()
    b.add_stat("smaps_rollup", "mm 0", "Pss", 3 * PAGE)
    assert checks_of(b)["Pss of pid 123 (work)"].verdict == "unexplained"
    assert checks_of(b, scope="pids", counts_are="unknown")["Pss of pid 123 (work)"].verdict == "bounded"
    assert "approximate by design" in checks_of(b, counts_are="average")["Pss of pid 123 (work)"].note


def test_the_vdso_is_in_rss_and_other_device_memory_is_not():
    b = SnapshotBuilder()
    mm = b.add_mm(pid=123)
    b.add_small(b.add_vma(mm, path="[vdso]"), 1, Kind.DEVICE)
    b.add_small(b.add_vma(mm, path="/dev/dri"), 7, Kind.DEVICE)
    b.add_stat("smaps_rollup", "mm 0", "Rss", PAGE)
    assert checks_of(b)["Rss of pid 123 (work)"].verdict == "equal"


def test_every_check_says_in_which_direction_it_may_be_off():
    b = lru(torn(), 11)
    b.add_stat("mthp", "64kB", "nr_anon", 1, unit="folios")
    b.add_stat("meminfo", "", "AnonHugePages", 0)
    b.add_stat("smaps_rollup", "mm 0", "Rss", 5 * PAGE)
    checks = checks_of(b)
    assert len(checks) == 5
    assert all(check.note.endswith(".") for check in checks.values())


def test_readings_of_minus_one_are_no_readings():
    b = torn()
    b.add_stat("smaps_rollup", "mm 0", "Rss", -1)
    b.add_stat("mthp", "64kB", "nr_anon", -1, 1, unit="folios")
    checks = checks_of(b)
    assert "Rss of pid 123 (work)" not in checks
    assert checks["anon folios of 64kB"].verdict == "equal"
