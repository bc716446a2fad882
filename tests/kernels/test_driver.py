"""Steps become system calls: run natively, without root, and judged by /proc/PID/maps, smaps and the errors of man pages."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from kernels.native import needs_compiler
from mapcount.errors import ScenarioError
from mapcount.kernels.agent import NativeAgent
from mapcount.kernels.driver import Driver
from mapcount.mapping.schema import Kind
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Expect,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
    area_address,
)

pytestmark = needs_compiler
RECLAIMED = 91
FIRST, AREAS_END = area_address("a"), area_address("h", 1 << 20)


@pytest.fixture
def driver():
    with NativeAgent() as native:
        driver = Driver(native.channel, lambda: RECLAIMED)
        driver.begin()
        yield driver
        driver.end()
        assert not driver.pids


def vmas(driver, process):
    """(area, first page, end, permissions) of what lies in the areas."""
    found = []
    for line in Path(f"/proc/{driver.pids[process]}/maps").read_text().splitlines():
        start, end = (int(word, 16) for word in line.split()[0].split("-"))
        if FIRST <= start < AREAS_END:
            area = "abcdefgh"[(start - FIRST) >> 32]
            base = area_address(area)
            found.append((area, (start - base) // 4096, (end - base) // 4096, line.split()[1]))
    return found


def rss_kib(driver, process, area):
    """By first page of each VMA of an area."""
    found = {}
    at = None
    for line in Path(f"/proc/{driver.pids[process]}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-[0-9a-f]+ ", line):
            at = int(head[1], 16) - area_address(area)
        elif line.startswith("Rss:") and at is not None and 0 <= at < 1 << 32:
            found[at // 4096] = int(line.split()[1])
    return found


def mmap(driver, span, process="p", **how):
    assert driver.do(Mmap(process, span, **how)) == 0


def test_a_mapping_is_where_the_span_says_and_never_over_another(driver):
    mmap(driver, Span("a", 3, 16))
    mmap(driver, Span("c", 0, 7), shared=True)
    assert vmas(driver, "p") == [("a", 3, 16, "rw-p"), ("c", 0, 7, "rw-s")]
    assert driver.do(Mmap("p", Span("a", 10, 20))) == -errno.EEXIST
    assert driver.do(Munmap("p", Span("a", 5, 7))) == 0
    assert vmas(driver, "p") == [("a", 3, 5, "rw-p"), ("a", 7, 16, "rw-p"), ("c", 0, 7, "rw-s")]


def test_access_counts_pages_and_tells_the_first_fatal_fault(driver):
    mmap(driver, Span("b", 0, 11))
    assert driver.do(Access("p", Span("b", 2, 9), write=True)) == 7
    assert rss_kib(driver, "p", "b") == {0: 28}
    assert driver.do(Access("p", Span("b", 9, 13), write=True)) == -errno.EFAULT
    assert rss_kib(driver, "p", "b") == {0: 36}  # pages 9 and 10 came before it
    assert driver.do(Mprotect("p", Span("b", 0, 5), Protection.READ)) == 0
    assert driver.do(Access("p", Span("b", 2, 3), write=True)) == -errno.EFAULT
    assert driver.do(Access("p", Span("b", 2, 5), write=False)) == 3
    assert driver.do(Mprotect("p", Span("b", 0, 5), Protection.NONE)) == 0
    assert driver.do(Access("p", Span("b", 2, 5), write=False)) == -errno.EFAULT
    assert vmas(driver, "p") == [("b", 0, 5, "---p"), ("b", 5, 11, "rw-p")]


def test_a_page_behind_the_files_end_is_a_fatal_fault_like_any(driver):
    assert driver.do(Memfd("p", "f", 5)) == 0
    mmap(driver, Span("a", 0, 7), kind=Kind.SHMEM, shared=True, file="f", file_page=2)
    assert driver.do(Access("p", Span("a", 0, 7), write=True)) == -errno.EFAULT
    assert driver.do(Access("p", Span("a", 0, 3), write=True)) == 3


def test_files_are_inherited_by_later_children_alone(driver):
    driver.do(Fork("p", "early"))
    assert driver.do(Memfd("p", "f", 16)) == 0
    assert driver.do(Fallocate("p", "f", 3, 10)) == 0
    driver.do(Fork("p", "late"))
    mmap(driver, Span("b", 0, 16), process="late", kind=Kind.SHMEM, shared=True, file="f")
    assert driver.do(Access("late", Span("b", 0, 1), write=True)) == 1
    link = Path(f"/proc/{driver.pids['late']}/fd")
    assert any("memfd:f" in str(file.readlink()) for file in link.iterdir())
    (file,) = [file for file in link.iterdir() if "memfd:f" in str(file.readlink())]
    assert file.stat().st_size == 16 * 4096
    assert file.stat().st_blocks * 512 == 8 * 4096
    assert driver.do(Fallocate("late", "f", 3, 8, punch=True)) == 0
    assert file.stat().st_blocks * 512 == 3 * 4096
    with pytest.raises(ScenarioError, match="early has no file f"):
        driver.do(Mmap("early", Span("b", 0, 16), kind=Kind.SHMEM, shared=True, file="f"))


def test_madvise_is_heard(driver):
    mmap(driver, Span("a", 0, 13))
    driver.do(Access("p", Span("a", 0, 13), write=True))
    assert driver.do(Madvise("p", Span("a", 4, 11), Advice.DONTNEED)) == 0
    assert rss_kib(driver, "p", "a") == {0: 24}
    assert driver.do(Madvise("p", Span("a", 11, 20), Advice.DONTNEED)) == -errno.ENOMEM
    flags = {Advice.HUGEPAGE: "hg", Advice.NOHUGEPAGE: "nh", Advice.MERGEABLE: "mg"}
    for page, (advice, flag) in enumerate(flags.items()):
        told = driver.do(Madvise("p", Span("a", page, page + 1), advice))
        if told != -errno.EINVAL:  # this kernel has no KSM, or no THP
            assert told == 0
            shown = Path(f"/proc/{driver.pids['p']}/smaps").read_text().partition(f"{area_address('a', page):x}-")[2]
            assert flag in shown.partition("VmFlags:")[2].partition("\n")[0].split()


def test_advice_of_a_mapping_comes_with_it(driver):
    mmap(driver, Span("a", 0, 512), advice=Advice.NOHUGEPAGE)
    shown = Path(f"/proc/{driver.pids['p']}/smaps").read_text().partition(f"{area_address('a'):x}-")[2]
    assert "nh" in shown.partition("VmFlags:")[2].partition("\n")[0].split()


def test_mremap_moves_over_what_is_there(driver):
    mmap(driver, Span("a", 0, 16))
    mmap(driver, Span("b", 0, 16))
    driver.do(Access("p", Span("a", 3, 8), write=True))
    driver.do(Access("p", Span("b", 0, 16), write=True))
    assert driver.do(Mremap("p", Span("a", 3, 8), "b", 2)) == 0
    assert vmas(driver, "p") == [
        ("a", 0, 3, "rw-p"),
        ("a", 8, 16, "rw-p"),
        ("b", 0, 2, "rw-p"),
        ("b", 2, 7, "rw-p"),
        ("b", 7, 16, "rw-p"),
    ]
    assert sum(rss_kib(driver, "p", "b").values()) == 64
    assert driver.do(Mremap("p", Span("a", 3, 8), "c", 0)) == -errno.EFAULT


def test_pages_of_a_node_are_counted_also_if_they_were_there_before(driver):
    mmap(driver, Span("a", 0, 1031))
    driver.do(Access("p", Span("a", 5, 16), write=True))
    driver.do(Access("p", Span("a", 1025, 1027), write=True))
    driver.do(Access("p", Span("a", 30, 33), write=False))
    there = driver.do(Migrate("p", Span("a", 0, 1031), 0))
    if there == -errno.ENOSYS:
        pytest.skip("this kernel has no move_pages: built without CONFIG_NUMA or CONFIG_MIGRATION")
    assert there == 13, "the zero page lies nowhere"
    assert driver.do(Migrate("p", Span("a", 0, 1031), 63)) == -errno.ENODEV


def test_processes_come_and_go_by_name(driver):
    mmap(driver, Span("a", 0, 5))
    driver.do(Access("p", Span("a", 0, 5), write=True))
    assert driver.do(Fork("p", "c")) == 0
    assert driver.do(Fork("c", "d")) == 0
    assert list(driver.pids) == ["p", "c", "d"]
    assert vmas(driver, "d") == [("a", 0, 5, "rw-p")]
    gone = driver.pids["c"]
    assert driver.do(Exit("c")) == 0
    assert not Path(f"/proc/{gone}").exists()
    assert driver.do(Munmap("d", Span("a", 0, 3))) == 0
    assert vmas(driver, "p") == [("a", 0, 5, "rw-p")]
    with pytest.raises(ScenarioError, match="no process c"):
        driver.do(Exit("c"))
    with pytest.raises(ScenarioError, match="process d already"):
        driver.do(Fork("p", "d"))


def test_as_many_processes_as_the_agent_has_slots_and_no_more(driver):
    for number in range(1, 63):
        assert driver.do(Fork("p", f"c{number}")) == 0
    with pytest.raises(ScenarioError, match="more than 63"):
        driver.do(Fork("p", "c63"))
    driver.do(Exit("c7"))
    assert driver.do(Fork("c8", "c63")) == 0
    assert len(set(driver.pids.values())) == 63


def test_reclaim_is_the_machines_and_expectations_are_nobodys(driver):
    assert driver.do(Reclaim()) == RECLAIMED
    with pytest.raises(AssertionError, match="nothing that a machine does"):
        driver.do(Expect("p", "a", 0, "mapcount", "1*512"))


def test_a_driver_begins_again(driver):
    mmap(driver, Span("a", 0, 5))
    driver.do(Fork("p", "c"))
    driver.end()
    driver.begin()
    assert list(driver.pids) == ["p"]
    assert vmas(driver, "p") == []
