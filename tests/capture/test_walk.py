"""Page tables read in windows, with and without PAGEMAP_SCAN: every entry once, whatever the windows; bounded reads."""

import contextlib
import itertools
import os
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.fake_machine import FIRST_PID, PRESENT, FakeMachine, FakeMm
from capture.machines import BASE, build, layouts
from mapcount.capture import walk as module
from mapcount.capture.budget import BudgetSpentError
from mapcount.capture.maps import parse_maps
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.runs import RawBits, RawRuns
from mapcount.capture.walk import MmPages, WalkPlan, walk, walk_again
from mapcount.mapping.schema import Level, SwapKind


def cut_into(rows, max_pages):
    """Windows as the kernel gives them: of at most `max_pages` pages, cut anywhere but within a PMD."""
    window, left = [], max_pages
    for start, end, categories in rows.tolist():
        at = start
        while at < end:
            last = min(end, at + left * 4096)
            if categories & 1 << 6:
                last = min(end, -(-last // (512 * 4096)) * 512 * 4096)
            window.append((at, last, categories))
            left -= (last - at) // 4096
            at = last
            if left <= 0:
                yield np.array(window, np.uint64)
                window, left = [], max_pages
    if window:
        yield np.array(window, np.uint64)


@contextlib.contextmanager
def played(machine, *, scan_pages=1 << 13, window_pages=1 << 16):
    """Let the fake machine answer PAGEMAP_SCAN, and windows hold so many pages."""

    def scan_windows(pagemap_fd, start, end, max_pages):
        return cut_into(machine.regions(os.readlink(f"/proc/self/fd/{pagemap_fd}"), start, end), scan_pages)

    with (
        mock.patch.object(module, "scan_windows", scan_windows),
        mock.patch.object(module, "WINDOW_PAGES", window_pages),
    ):
        yield


@contextlib.contextmanager
def reader(machine, number=0, *, scan=True, check_budget=lambda: None, exact=True, swap_types=1):
    """Give (plan, pagemap descriptor, VMAs) of one mm."""
    home, files = machine.directory / str(FIRST_PID + number), machine.files()
    pagemap_fd = os.open(home / "pagemap", os.O_RDONLY)
    try:
        plan = WalkPlan(PhysicalPages(files), scan, False, exact, swap_types, check_budget)
        yield plan, pagemap_fd, parse_maps((home / "maps").read_bytes())
    finally:
        os.close(pagemap_fd)
        files.close()


def pages_of(pages):
    """Every (page, pfn, by a PMD) of what was read; fails on a page that was read twice."""
    runs = RawRuns.join(pages.runs)
    rows = zip(runs.page.tolist(), runs.pfn.tolist(), runs.nr_pages.tolist(), runs.level.tolist(), strict=True)
    listed = [(page + i, pfn + i, level == Level.PMD) for page, pfn, nr, level in rows for i in range(nr)]
    assert len({page for page, _, _ in listed}) == len(listed)
    return set(listed)


def truth_of(mm):
    return {(page, pfn, any(first <= page < first + 512 for first in mm.pmds)) for page, pfn in mm.pages.items()}


@given(layouts(), st.booleans(), st.sampled_from([1, 3, 61, 1 << 13]), st.sampled_from([1, 67, 1 << 16]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_entry_is_read_once_in_windows_of_any_size(layout, scan, scan_pages, window_pages):
    with tempfile.TemporaryDirectory() as directory:
        machine = build(Path(directory), layout)
        counts = machine.mappings()
        for number, mm in enumerate(machine.mms):
            pages = MmPages()
            with (
                played(machine, scan_pages=scan_pages, window_pages=window_pages),
                reader(machine, number, scan=scan) as where,
            ):
                walk(*where, pages)
            truth = truth_of(mm)
            found = pages_of(pages)
            assert found == truth if scan else {entry[:2] for entry in found} == {entry[:2] for entry in truth}
            assert pages.pages_read == len(truth)
            check_bits(machine, mm, pages, counts, scan=scan)
            assert sum(pages.swap.values()) == len(mm.absent)
            assert pages.suspects == [] and pages.beyond == {}


def check_bits(machine, mm, pages, counts, *, scan):
    bits = RawBits.join(pages.bits)
    rows = zip(bits.page.tolist(), bits.nr_pages.tolist(), bits.mapped_once.tolist(), strict=True)
    told = {page + i: once for page, nr_pages, once in rows for i in range(nr_pages)}
    expected = {}
    for page, pfn, by_pmd in truth_of(mm):
        folio = machine.folios[pfn]
        if folio.order and not (by_pmd and scan):
            expected[page] = machine.count(pfn, counts) == 1
    assert told == expected


@given(layouts(), st.booleans(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_ranges_that_are_read_again_and_nothing_else(layout, scan, data):
    with tempfile.TemporaryDirectory() as directory:
        machine = build(Path(directory), layout)
        mm = machine.mms[0]
        wanted = set()
        for _ in range(data.draw(st.integers(0, 4))):
            first = data.draw(st.integers(BASE, mm.vmas[-1][1] - 1))
            wanted |= set(range(first, first + data.draw(st.sampled_from([1, 2, 17, 700]))))
        for first in mm.pmds:  # ranges are made of runs, and a PMD is one
            if wanted & set(range(first, first + 512)):
                wanted |= set(range(first, first + 512))
        edges = (
            sorted(page for page in wanted if page - 1 not in wanted),
            sorted(p + 1 for p in wanted if p + 1 not in wanted),
        )
        pages = MmPages()
        with played(machine, scan_pages=61, window_pages=67), reader(machine, scan=scan) as where:
            walk_again(*where, pages, tuple(np.array(edge, np.uint64) for edge in edges))
    truth = {(page, pfn) for page, pfn, _ in truth_of(mm) if page in wanted}
    assert {(page, pfn) for page, pfn, _ in pages_of(pages)} == truth


@pytest.fixture
def machine(tmp_path):
    machine = FakeMachine(tmp_path, 4096)
    machine.add_folio(2048, 6, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 2048 + i for i in range(64)})]
    machine.write()
    return machine


@pytest.fixture
def long_area(tmp_path):
    """Twenty folios of 64 pages side by side, the first less its last three; nothing begins at a multiple of 512."""
    machine = FakeMachine(tmp_path, 4096)
    for number in range(20):
        machine.add_folio(2048 + 64 * number, 6, "anon")
    mapped = {BASE + 100 + i: 2048 + i for i in range(1280) if not 61 <= i < 64}
    machine.mms = [FakeMm([(BASE + 97, BASE + 1400)], mapped)]
    machine.write()
    return machine


@pytest.mark.parametrize("scan", [True, False])
def test_a_folio_across_two_windows_is_one_run(long_area, scan):
    pages = MmPages()
    with played(long_area, scan_pages=128, window_pages=512), reader(long_area, scan=scan) as where:
        walk(*where, pages)
    expected, mapped = [], long_area.mms[0].pages
    for page, pfn in mapped.items():
        if pfn % 64 == 0 or page % 512 == 0:  # folios begin there, and page tables
            expected.append([page, pfn, 0])
        expected[-1][2] += 1
    runs = RawRuns.join(pages.runs)
    assert [list(row) for row in zip(runs.page, runs.pfn, runs.nr_pages, strict=True)] == expected


@pytest.mark.parametrize("looks", [0, 1])
@pytest.mark.parametrize("scan", [True, False])
def test_reads_are_bounded_and_the_budget_is_looked_at_between_them(long_area, scan, looks):
    """A window may be full within a page table, and then have all of it: at most twice 512 pages here."""
    calls, sizes, real, pages = itertools.count(), [], os.preadv, MmPages()

    def check_budget():
        if next(calls) == looks:
            raise BudgetSpentError("enough")

    def preadv(fd, buffers, offset, *flags):
        if os.readlink(f"/proc/self/fd/{fd}").endswith("pagemap"):
            sizes.append(sum(len(buffer) for buffer in buffers) // 8)
        return real(fd, buffers, offset, *flags)

    with (
        played(long_area, scan_pages=512, window_pages=512),
        reader(long_area, scan=scan, check_budget=check_budget) as where,
        mock.patch.object(os, "preadv", preadv),
        pytest.raises(BudgetSpentError),
    ):
        walk(*where, pages)
    assert all(size <= 1024 for size in sizes)
    assert len(pages_of(pages)) <= 1024 * looks


def test_no_vmas_no_reads(machine):
    with reader(machine) as (plan, pagemap_fd, _):
        walk(plan, pagemap_fd, parse_maps(b""), MmPages())
        assert plan.physical.reads == 0


def test_entries_that_are_not_present_by_vma_and_kind(machine):
    swap, guard, uffd = 1 << 62, 1 << 62 | 31 | 1 << 58, 1 << 62 | 31 | 1 << 57
    mm = FakeMm([(BASE, BASE + 10), (BASE + 10, BASE + 64)])
    mm.absent = {BASE: swap, BASE + 1: swap | 2, BASE + 2: swap | 3, BASE + 9: guard, BASE + 10: guard, BASE + 11: uffd}
    mm.absent |= {BASE + 30 + i: swap | 1 for i in range(7)} | {BASE + 50: swap | 31}
    machine.mms = [mm]
    machine.write()
    for scan in (True, False):
        pages = MmPages()
        with played(machine, scan_pages=5), reader(machine, scan=scan, swap_types=3) as where:
            walk(*where, pages)
        assert pages.swap == {(0, SwapKind.SWAP): 2, (0, SwapKind.SPECIAL): 1, (0, SwapKind.GUARD): 1,
                              (1, SwapKind.GUARD): 1, (1, SwapKind.UFFD_WP): 1, (1, SwapKind.SWAP): 7,
                              (1, SwapKind.SPECIAL): 1}  # fmt: skip
        assert pages_of(pages) == set()


def test_frames_that_are_none_of_ours_are_counted_by_vma(machine):
    """PFNs beyond kpageflags, and PFN 0, which is what the kernel shows where it shows none."""
    pages = {BASE + 3: 1 << 30, BASE + 4: 4096, BASE + 5: 0, BASE + 40: 4095}
    machine.add_folio(4095, 0, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 4), (BASE + 4, BASE + 64)], pages)]
    machine.write()
    found = MmPages()
    with played(machine), reader(machine) as where:
        walk(*where, found)
    assert found.beyond == {0: 1, 1: 2}
    assert pages_of(found) == {(BASE + 40, 4095, False)}


def test_a_pmd_that_went_between_the_scan_and_the_read(machine):
    page = 512 * (BASE // 512 + 1)
    machine.add_folio(512, 9, "anon")
    mm = FakeMm([(BASE, page + 1536)], {page + i: 512 + i for i in range(512)}, pmds={page, page + 512, page + 1024})
    mm.pages |= {page + 512 + i: 5000 + i for i in range(512)}  # of frames that kpageflags does not know
    machine.mms = [mm]
    machine.write()
    mm.pages |= {page + 1024 + i: 1024 + i for i in range(512)}
    found = MmPages()
    with played(machine), reader(machine) as where:
        walk(*where, found)
    assert pages_of(found) == {(page + i, 512 + i, True) for i in range(512)}


@pytest.mark.parametrize(
    ("kind", "order", "exact", "mappings", "bit", "expected"),
    [
        ("anon", 0, True, 1, False, True),
        ("anon", 0, True, 1, True, False),
        ("anon", 0, True, 2, True, True),  # somebody else mapped it after we had looked
        ("anon", 0, True, 2, False, False),
        ("anon", 0, False, 1, False, True),
        ("anon", 3, True, 1, False, True),
        ("anon", 3, True, 2, True, True),
        ("anon", 3, False, 1, False, False),
        ("zero", 0, True, 1, True, False),
    ],
)
def test_bit_56_unlike_kpagecount_is_suspect(tmp_path, kind, order, exact, mappings, bit, expected):
    machine = FakeMachine(tmp_path, 1024)
    machine.add_folio(256, order, kind)
    machine.mms = [FakeMm([(BASE, BASE + 8)], {BASE: 256})]
    machine.unseen[256] = mappings - 1
    machine.write()
    entries = np.fromfile(tmp_path / str(FIRST_PID) / "pagemap", np.uint64)
    entries[BASE] = PRESENT | 256 | (1 << 56 if bit else 0)
    entries.tofile(tmp_path / str(FIRST_PID) / "pagemap")
    found = MmPages()
    with played(machine), reader(machine, exact=exact) as where:
        walk(*where, found)
    assert Counter(pfn for part in found.suspects for pfn in part.tolist()) == ({256: 1} if expected else {})


def test_pmds_side_by_side_are_each_read(machine):
    """GIVEN three PMDs that the scan reports as one region."""
    page, heads = 512 * (BASE // 512 + 1), [1024, 3072, 512]
    for head in heads:
        machine.add_folio(head, 9, "anon")
    mapped = {page + 512 * i + j: head + j for i, head in enumerate(heads) for j in range(512)}
    machine.mms = [FakeMm([(BASE, page + 1536)], mapped, pmds={page, page + 512, page + 1024})]
    machine.write()
    found = MmPages()
    with played(machine), reader(machine) as where:
        walk(*where, found)
    assert pages_of(found) == {(at, pfn, True) for at, pfn in mapped.items()}
    assert found.reads == 3
