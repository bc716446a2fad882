"""Memory that is not plain: zero pages, KSM, huge pages of the pool, files, guard regions and userfaultfd markers."""

from __future__ import annotations

from collections import Counter

import pytest

import mapcount
from live.captured import broken_rules, large_view, not_present, only, small_counts
from live.oracle import smaps_rollup
from live.scenes import file_on_disk
from live.settings import HUGETLB, KSM, THP
from live.view import View, differences, sizes
from live.view import small_counts as true_small_counts
from mapcount.mapping.schema import Kind, SwapKind

PAGE = 4096


def take(running):
    snapshot = mapcount.capture(pids=list(running.pids.values()))
    assert broken_rules(snapshot) == []
    return snapshot


def test_zero_pages(workload, thp):
    """The huge zero folio is `zero`, never a file THP, and neither it nor the zero page is in Rss."""
    if (THP / "use_zero_page").read_text().strip() != "1":
        pytest.skip("use_zero_page is off: reads of huge areas get no huge zero folio")
    thp(anon=(2048,))
    running = workload("zero.py")
    snapshot = take(running)
    assert differences(running.view().select(large=True), large_view(snapshot, running.pids, running.areas)) == []
    counts = small_counts(snapshot, running.pids, running.areas, with_mappings=False)
    assert counts == {("parent", "zero"): 13 + 11 - 5, ("parent", "anon"): 5}
    row = mapcount.survey(snapshot).processes[0]
    assert row.rss_bytes == smaps_rollup(running.pids["parent"])["Rss"] * 1024
    assert row.anon_large_bytes == row.wasted_bytes == row.pmd_mapped_bytes == 0


def test_merged_pages(workload, settings):
    """What KSM merged is `ksm`, small, and shared with itself."""
    settings.set(KSM / "run", "1")
    settings.set(KSM / "sleep_millisecs", "1")
    settings.set(KSM / "pages_to_scan", "3000")
    running = workload("ksm.py")
    snapshot = take(running)
    assert small_counts(snapshot, running.pids, running.areas) == {
        ("parent", "ksm", 127, 1): 127,
        ("parent", "ksm", 61, 1): 61,
        ("parent", "anon", 1, 1): 11,
    }
    assert mapcount.survey(snapshot).processes[0].rss_bytes == smaps_rollup(running.pids["parent"])["Rss"] * 1024


def test_hugetlb(workload, settings, oracle):
    """Huge pages: private, shared, and mapped by two processes through one page table (one count, two mms)."""
    settings.set(HUGETLB, str(int(HUGETLB.read_text()) + 13))
    running = workload("hugetlb.py")
    snapshot = take(running)
    view = large_view(snapshot, running.pids, running.areas)
    assert differences(running.view(), view) == []
    table = running.facts["table"]
    first = oracle.look({"parent": running.pids["parent"]}, {"parent": [[table, table + PAGE]]})
    if {oracle.count(head) for head in first.folios} != {1}:
        pytest.skip("this kernel did not share the page table")
    rows = {(row.kind, row.order): row for row in mapcount.survey(only(snapshot, running.pids, running.areas)).sizes}
    truth = sizes(running.view())["hugetlb", 9]
    row = rows["hugetlb", 9]
    assert (row.folios, row.shared, row.exclusive) == (13, truth["shared"], truth["exclusive"])
    assert (row.wasted_bytes, row.partially_mapped) == (0, 0)
    processes = {row.pid: row for row in mapcount.survey(snapshot).processes}
    for name, pid in running.pids.items():
        rollup = smaps_rollup(pid)
        assert processes[pid].hugetlb_bytes == (rollup["Shared_Hugetlb"] + rollup["Private_Hugetlb"]) * 1024, name
        assert processes[pid].rss_bytes == rollup["Rss"] * 1024, name
        assert processes[pid].pmd_mapped_bytes == rollup["AnonHugePages"] * 1024, name


def test_file(workload, oracle, tmp_path):
    """A file on disk, folios of whatever size the file system chose: the oracle says which; what is not mapped is no waste."""
    running = workload("file.py", file_on_disk(tmp_path))
    snapshot = take(running)
    seen = oracle.look(running.pids, running.areas)
    if not seen.select(large=True).folios:
        pytest.skip("this file system gave the file no large folios")
    assert differences(seen.select(large=True), large_view(snapshot, running.pids, running.areas)) == []
    counts = small_counts(snapshot, running.pids, running.areas)
    assert counts == true_small_counts(seen.select(large=False))
    survey = mapcount.survey(only(snapshot, running.pids, running.areas))
    truth = sizes(seen.select(large=True))
    for row in survey.sizes:
        if row.order and row.folios:
            assert {name: getattr(row, name) for name in truth[row.kind, row.order]} == truth[row.kind, row.order]
            assert row.kind == "file" and row.wasted_bytes == 0


def test_entries_that_map_nothing(workload, thp):
    """Guard regions and userfaultfd markers are counted as what they are, and are not mappings."""
    thp(anon=(64,))
    running = workload("holes.py")
    missing = [running.facts[name] for name in ("guard", "uffd") if name in running.facts]
    if missing:
        pytest.skip("; ".join(missing))
    snapshot = take(running)
    assert not_present(snapshot, running.pids, running.areas) == {
        SwapKind.GUARD: running.facts["guard_pages"],
        SwapKind.UFFD_WP: running.facts["uffd_pages"],
    }
    assert mapcount.survey(snapshot).processes[0].rss_bytes == smaps_rollup(running.pids["parent"])["Rss"] * 1024


def test_special_mappings(workload, thp):
    """[vdso], [vvar] and the like: no large folio is made of them, and none of their pages is anonymous."""
    thp(anon=(64,))
    running = workload("twins.py", "threads")
    snapshot = take(running)
    special = [
        int(v) for v, path in zip(snapshot.vmas.vma_id, snapshot.vmas.path, strict=True) if path.startswith("[v")
    ]
    paths = {snapshot.vmas.path[vma] for vma in special}
    assert "[vdso]" in paths
    kinds = Counter(
        Kind(kind) for kind, vma in zip(snapshot.small.kind, snapshot.small.vma_id, strict=True) if vma in special
    )
    assert Kind.ANON not in kinds and Kind.SHMEM not in kinds
    assert not set(snapshot.runs.vma_id.tolist()) & set(special)


def test_double_mapping_of_shmem(workload, thp):
    """One process maps each page of a memfd twice: two mappings, one mm, no waste."""
    thp(shmem=(64,))
    running = workload("shmem.py", 4)
    snapshot = take(running)
    view: View = large_view(snapshot, running.pids, running.areas)
    doubled = [pages for pages in view.mapped().values() if all(names == ["parent"] * 2 for names in pages.values())]
    assert len(doubled) == 7
    mine = only(snapshot, running.pids, running.areas)
    counts = {int(c) for c in mine.observed_counts.count}
    assert counts == {0, 1, 2}
    row = next(row for row in mapcount.survey(mine).sizes if (row.kind, row.order) == ("shmem", 4))
    assert (row.exclusive, row.shared, row.wasted_bytes, row.unmapped_bytes) == (21, 7, 0, 7 * 8 * PAGE)
