"""The running kernel as a machine: scenarios whose truth was worked out by hand, and everything put back however it ends."""

from __future__ import annotations

import gzip
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.native import needs_compiler
from kernels.shown import counts, rows
from live.conftest import why_not_live
from live.settings import Settings as LiveSettings
from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.host_backend import HostBackend
from mapcount.mapping.schema import Kind
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Exit,
    Fallocate,
    Fork,
    Madvise,
    Memfd,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Reclaim,
    Span,
)
from waiting import HANG_S, wait_for

_LACK = why_not_live()
pytestmark = [pytest.mark.live, pytest.mark.skipif(bool(_LACK), reason=_LACK), needs_compiler]

HUGE = Advice.HUGEPAGE
WHOLE = Span("a", 0, 512)
KIB = 1024


@pytest.fixture(scope="module")
def _alone():
    """No other run of live tests changes settings meanwhile."""
    settings = LiveSettings()
    yield
    settings.close()


@pytest.fixture
def host(_alone):
    backend = HostBackend()
    yield backend
    backend.end()


@pytest.fixture
def play(host):
    """`play(steps, **settings)` yields an observation after each step, which must return what is its second item, or 0."""

    def run(steps, *, proc=False, **settings):
        try:
            host.begin(Settings(**settings))
        except KernelFeatureError as error:
            pytest.skip(str(error))
        for item in steps:
            step, wanted = item if isinstance(item, tuple) else (item, 0)
            result = host.do(step)
            assert result == wanted, step
            yield host.observe(result, proc=proc)

    return lambda *steps, **options: list(run(steps, **options))


def test_a_thp_by_pmd_then_parts_of_it_by_pte(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 300, 301), write=True), 1),
        Fork("p", "c"),
        Munmap("c", Span("a", 0, 17)),
        Mprotect("p", Span("a", 5, 6), Protection.READ),
        Madvise("c", Span("a", 101, 132), Advice.DONTNEED),
        Mprotect("p", Span("a", 400, 407), Protection.NONE),
        Munmap("p", Span("a", 3, 14)),
        Exit("c"),
        Munmap("p", Span("a", 0, 512)),
    )
    assert [rows(of) for of in seen] == [
        [],
        ["p a[0:512] f0+0 PMD"],
        ["c a[0:512] f0+0 PMD", "p a[0:512] f0+0 PMD"],
        ["c a[17:512] f0+17 PTE", "p a[0:512] f0+0 PMD"],
        ["c a[17:512] f0+17 PTE", "p a[0:512] f0+0 PTE"],
        ["c a[17:101] f0+17 PTE", "c a[132:512] f0+132 PTE", "p a[0:512] f0+0 PTE"],
        ["c a[17:101] f0+17 PTE", "c a[132:512] f0+132 PTE", "p a[0:512] f0+0 PTE"],
        ["c a[17:101] f0+17 PTE", "c a[132:512] f0+132 PTE", "p a[0:3] f0+0 PTE", "p a[14:512] f0+14 PTE"],
        ["p a[0:3] f0+0 PTE", "p a[14:512] f0+14 PTE"],
        [],
    ]
    assert [counts(of) for of in seen] == [
        {},
        {"f0": "1*512"},
        {"f0": "2*512"},
        {"f0": "1*17 2*495"},
        {"f0": "1*17 2*495"},
        {"f0": "1*17 2*84 1*31 2*380"},
        {"f0": "1*17 2*84 1*31 2*380"},
        {"f0": "1*3 0*11 1*3 2*84 1*31 2*380"},
        {"f0": "1*3 0*11 1*498"},
        {},
    ]
    assert {(of.folios["f0"].order, of.folios["f0"].kind) for of in seen[1:-1]} == {(9, Kind.ANON)}
    assert all(of.kpagecount == {name: folio.words["kpagecount"] for name, folio in of.folios.items()} for of in seen)


def test_mremap_of_a_part_keeps_the_folio(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 0, 1), write=True), 1),
        Mremap("p", Span("a", 3, 10), "b", 600),
        Mremap("p", Span("b", 601, 604), "h", 1),
        Mremap("p", Span("a", 500, 512), "b", 508),
    )
    assert rows(seen[-1]) == [
        "p a[0:3] f0+0 PTE",
        "p a[10:500] f0+10 PTE",
        "p b[508:512] f0+500 PTE",
        "p b[512:520] f0+504 PTE",  # another page table
        "p b[600:601] f0+3 PTE",
        "p b[604:607] f0+7 PTE",
        "p h[1:4] f0+4 PTE",
    ]
    assert counts(seen[-1]) == {"f0": "1*512"}


def test_mremap_of_a_whole_pmd_keeps_it(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 0, 1), write=True), 1),
        Mremap("p", WHOLE, "b", 512),
    )
    assert rows(seen[-1]) == ["p b[512:1024] f0+0 PMD"]


def test_a_write_to_a_shared_page_makes_a_folio(play):
    seen = play(
        Mmap("p", Span("a", 0, 7)),
        (Access("p", Span("a", 1, 6), write=True), 5),
        Fork("p", "c"),
        (Access("c", Span("a", 2, 4), write=True), 2),
        Exit("c"),
    )
    assert rows(seen[1]) == [f"p a[{page}:{page + 1}] f{page - 1}+0 PTE" for page in range(1, 6)]
    assert rows(seen[3])[:3] == ["c a[1:2] f0+0 PTE", "c a[2:3] f5+0 PTE", "c a[3:4] f6+0 PTE"]
    assert counts(seen[3]) == {
        "f0": "2*1",
        "f1": "1*1",
        "f2": "1*1",
        "f3": "2*1",
        "f4": "2*1",
        "f5": "1*1",
        "f6": "1*1",
    }
    assert rows(seen[4]) == rows(seen[1])
    assert set(counts(seen[4]).values()) == {"1*1"}


def test_a_write_to_a_shared_thp_copies_one_page_of_it(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 0, 1), write=True), 1),
        Fork("p", "c"),
        (Access("c", Span("a", 311, 312), write=True), 1),
    )
    assert rows(seen[-1]) == [
        "c a[0:311] f0+0 PTE",
        "c a[311:312] f1+0 PTE",
        "c a[312:512] f0+312 PTE",
        "p a[0:512] f0+0 PMD",
    ]
    assert counts(seen[-1]) == {"f0": "2*311 1*1 2*200", "f1": "1*1"}


def test_folios_smaller_than_a_pmd(play):
    seen = play(
        Mmap("p", Span("a", 0, 48), advice=HUGE),
        (Access("p", Span("a", 17, 18), write=True), 1),
        (Access("p", Span("a", 47, 48), write=True), 1),
        Fork("p", "c"),
        Munmap("c", Span("a", 29, 35)),
        anon={4: "madvise"},
    )
    assert rows(seen[-1]) == [
        "c a[16:29] f0+0 PTE",
        "c a[35:48] f1+3 PTE",
        "p a[16:32] f0+0 PTE",
        "p a[32:48] f1+0 PTE",
    ]
    assert counts(seen[-1]) == {"f0": "2*13 1*3", "f1": "1*3 2*13"}
    assert seen[-1].folios["f1"].order == 4


def test_shmem_and_a_private_copy_of_it(play):
    seen = play(
        Memfd("p", "f", 16),
        Mmap("p", Span("a", 0, 16), kind=Kind.SHMEM, shared=True, file="f"),
        (Access("p", Span("a", 2, 7), write=True), 5),
        Fork("p", "c"),
        Mmap("c", Span("b", 0, 5), kind=Kind.SHMEM, file="f", file_page=2),
        (Access("c", Span("b", 3, 4), write=True), 1),
        Fallocate("p", "f", 3, 5, punch=True),
    )
    assert rows(seen[2]) == [f"p a[{page}:{page + 1}] f{page - 2}+0 PTE" for page in range(2, 7)]
    assert {folio.kind for folio in seen[2].folios.values()} == {Kind.SHMEM}
    # fork leaves out what a fault finds again (a shared file mapping), so the child maps nothing of area a.
    assert rows(seen[3]) == rows(seen[2])
    assert rows(seen[5]) == ["c b[3:4] f5+0 PTE", *rows(seen[2])]
    assert seen[5].folios["f5"].kind == Kind.ANON
    assert rows(seen[6]) == ["c b[3:4] f5+0 PTE", "p a[2:3] f0+0 PTE", "p a[5:6] f3+0 PTE", "p a[6:7] f4+0 PTE"]


def test_a_folio_of_a_file_is_seen_until_the_file_lets_it_go(play):
    file = {"kind": Kind.SHMEM, "shared": True, "file": "f"}
    seen = play(
        Memfd("p", "f", 16),
        Mmap("p", Span("a", 0, 16), **file),
        (Access("p", Span("a", 2, 5), write=True), 3),
        Munmap("p", Span("a", 0, 16)),
        Fallocate("p", "f", 3, 4, punch=True),
        Mmap("p", Span("b", 0, 16), **file),
        (Access("p", Span("b", 2, 4), write=True), 2),
    )
    assert counts(seen[3]) == {"f0": "0*1", "f1": "0*1", "f2": "0*1"}
    assert counts(seen[4]) == {"f0": "0*1", "f2": "0*1"}
    # A write maps the page alone: what lies around it is mapped along by reads only.
    assert rows(seen[6]) == ["p b[2:3] f0+0 PTE", "p b[3:4] f3+0 PTE"]
    assert counts(seen[6]) == {"f0": "1*1", "f2": "0*1", "f3": "1*1"}


def test_a_huge_folio_of_a_file_is_seen_until_the_file_lets_it_go(play):
    seen = play(
        Memfd("p", "f", 1024),
        Mmap("p", Span("a", 0, 1024), kind=Kind.SHMEM, shared=True, file="f"),
        (Access("p", Span("a", 512, 513), write=True), 1),
        (Access("p", Span("a", 0, 1), write=True), 1),
        Munmap("p", Span("a", 0, 1024)),
        Fallocate("p", "f", 0, 512, punch=True),
        shmem={9: "always"},
    )
    assert counts(seen[4]) == {"f0": "0*512", "f1": "0*512"}
    assert counts(seen[5]) == {"f0": "0*512"}
    assert rows(seen[5]) == []


def test_a_huge_folio_of_shmem(play):
    seen = play(
        Memfd("p", "f", 512),
        Mmap("p", WHOLE, kind=Kind.SHMEM, shared=True, file="f"),
        Mmap("p", Span("b", 0, 512), kind=Kind.SHMEM, shared=True, file="f"),
        (Access("p", Span("a", 7, 8), write=True), 1),
        (Access("p", Span("b", 7, 8), write=True), 1),
        Munmap("p", Span("b", 0, 17)),
        shmem={9: "always"},
    )
    assert rows(seen[4]) == ["p a[0:512] f0+0 PMD", "p b[0:512] f0+0 PMD"]
    assert counts(seen[4]) == {"f0": "2*512"}
    assert (seen[4].folios["f0"].order, seen[4].folios["f0"].kind) == (9, Kind.SHMEM)
    # A PMD of a file is not split into PTEs: what it mapped can be faulted in again.
    assert rows(seen[5]) == ["p a[0:512] f0+0 PMD"]
    assert counts(seen[5]) == {"f0": "1*512"}


def test_hugetlb(host, play):
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    before = pool.read_text()
    seen = play(
        Mmap("p", Span("a", 0, 1536), kind=Kind.HUGETLB),
        (Access("p", Span("a", 513, 514), write=True), 1),
        (Access("p", Span("a", 0, 1), write=True), 1),
        Fork("p", "c"),
        Munmap("c", Span("a", 0, 512)),
        hugetlb_pages=3,
    )
    assert int(pool.read_text()) >= 3
    assert rows(seen[-1]) == ["c a[512:1024] f0+0 PMD", "p a[0:512] f1+0 PMD", "p a[512:1024] f0+0 PMD"]
    assert counts(seen[-1]) == {"f0": "2*512", "f1": "1*512"}
    assert {folio.kind for folio in seen[-1].folios.values()} == {Kind.HUGETLB}
    host.end()
    assert pool.read_text() == before


def test_zero_pages_are_left_out(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 0, 1), write=False), 1),
        Mmap("p", Span("b", 0, 7)),
        (Access("p", Span("b", 0, 7), write=False), 7),
        (Access("p", Span("b", 3, 4), write=True), 1),
        huge_zero_page=True,
    )
    assert [rows(of) for of in seen[:-1]] == [[], [], [], []]
    assert rows(seen[-1]) == ["p b[3:4] f0+0 PTE"]


def test_a_huge_page_is_read_whole_without_the_huge_zero_page(play):
    seen = play(Mmap("p", WHOLE, advice=HUGE), (Access("p", Span("a", 0, 1), write=False), 1))
    assert rows(seen[-1]) == ["p a[0:512] f0+0 PMD"]


def test_reclaim_splits_what_is_partially_mapped_and_nothing_else(host, play):
    seen = play(
        Mmap("p", Span("a", 0, 1024), advice=HUGE),
        (Access("p", Span("a", 0, 1024), write=True), 1024),
        Munmap("p", Span("a", 0, 17)),
    )
    assert counts(seen[-1]) == {"f0": "0*17 1*495", "f1": "1*512"}
    try:
        assert host.do(Reclaim()) == 0
    except KernelFeatureError as error:
        pytest.skip(str(error))
    after = host.observe(0)
    assert rows(after)[-1] == "p a[512:1024] f1+0 PMD"
    assert sorted(folio.order for folio in after.folios.values()) == [0] * 495 + [9]


def test_reclaim_is_refused_where_it_would_do_more(host):
    host.begin(Settings())
    host.do(Mmap("p", Span("a", 0, 7)))
    host.do(Access("p", Span("a", 0, 7), write=True))
    host.do(Madvise("p", Span("a", 0, 7), Advice.FREE))
    with pytest.raises(KernelFeatureError, match="after MADV_FREE"):
        host.do(Reclaim())
    assert len(rows(host.observe(0))) == 7


def test_smaps_and_bit_56_by_hand(play):
    seen = play(
        Mmap("p", WHOLE, advice=HUGE),
        (Access("p", Span("a", 0, 512), write=True), 512),
        Fork("p", "c"),
        Munmap("c", Span("a", 0, 17)),
        Mprotect("p", Span("a", 5, 6), Protection.READ),
        proc=True,
    )
    before, after = seen[-2:]
    (whole,) = [row for row in before.proc if row.process == "p"]
    assert (whole.area, whole.first, whole.end) == ("a", 0, 512)
    assert whole.smaps_bytes["AnonHugePages"] == 2048 * KIB
    assert [(row.process, row.first, row.end) for row in after.proc] == [
        ("c", 17, 512),
        ("p", 0, 5),
        ("p", 5, 6),
        ("p", 6, 512),
    ]
    child, head, one, rest = after.proc
    assert [row.mapped_once for row in after.proc] == [((0, 495),), ((1, 5),), ((1, 1),), ((1, 11), (0, 495))]
    told = {
        name: rest.smaps_bytes[name] // KIB for name in ("Rss", "Pss", "Private_Dirty", "Shared_Dirty", "AnonHugePages")
    }
    assert told == {
        "Rss": 506 * 4,
        "Pss": 11 * 4 + 495 * 2,
        "Private_Dirty": 44,
        "Shared_Dirty": 495 * 4,
        "AnonHugePages": 0,
    }
    assert (rest.smaps_bytes["Private"], rest.smaps_bytes["Shared"]) == (44 * KIB, 495 * 4 * KIB)
    assert [row.smaps_bytes["Rss"] for row in (head, one, child)] == [20 * KIB, 4 * KIB, 1980 * KIB]
    assert not set(rest.smaps_bytes) & {"Size", "KernelPageSize", "MMUPageSize"}
    assert seen[0].proc[0].mapped_once == ((0, 512),)


def settings_now():
    patterns = (
        "transparent_hugepage/*",
        "transparent_hugepage/khugepaged/*",
        "transparent_hugepage/hugepages-*/*enabled",
    )
    files = itertools.chain.from_iterable(Path("/sys/kernel/mm").glob(pattern) for pattern in patterns)
    counters = {"full_scans", "pages_collapsed"}
    found = {str(path): path.read_text() for path in files if path.is_file() and path.name not in counters}
    for name in ("vm/min_free_kbytes", "vm/nr_hugepages", "vm/compaction_proactiveness"):
        path = Path("/proc/sys") / name
        if path.exists():
            found[str(path)] = path.read_text()
    return found


def cgroups():
    return list(Path("/sys/fs/cgroup").glob("**/mapcount-host-*"))


def test_settings_are_as_they_were_after_the_end(host):
    before = settings_now()
    host.begin(Settings(thp="always"))
    during = settings_now()
    assert {path for path in before if before[path] != during[path]} >= {"/sys/kernel/mm/transparent_hugepage/enabled"}
    host.end()
    host.end()
    assert settings_now() == before
    assert not cgroups()


def test_what_this_kernel_lacks_changes_nothing(host):
    before = settings_now()
    with pytest.raises(KernelFeatureError, match="hugepages-32768kB"):
        host.begin(Settings(anon={13: "always"}))
    assert settings_now() == before
    assert not cgroups()


@pytest.mark.parametrize("victim", ["process", "agent"])
def test_a_process_that_dies_is_an_error_and_all_is_put_back(host, victim):
    before = settings_now()
    host.begin(Settings())
    driver = host._driver
    pid = driver.pids["p"]
    server = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid if victim == "process" else server, signal.SIGKILL)
    if victim == "process":
        wait_for(lambda: not Path(f"/proc/{pid}/maps").read_bytes())
        with pytest.raises(GuestError, match="was killed"):
            host.observe(0)
    with pytest.raises(GuestError, match=r"is gone|ended"):
        host.do(Fork("p", "c"))
    host.end()
    assert settings_now() == before
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


def test_a_host_begins_again_and_names_anew(host):
    for _ in range(2):
        host.begin(Settings())
        host.do(Mmap("p", Span("a", 0, 3)))
        host.do(Access("p", Span("a", 0, 3), write=True))
        assert sorted(host.observe(3).folios) == ["f0", "f1", "f2"]


PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
from mapcount.kernels.host_backend import HostBackend
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import Access, Fork, Mmap, Span
host = HostBackend()
host.begin(Settings(thp="always"))
host.do(Mmap("p", Span("a", 0, 512)))
host.do(Access("p", Span("a", 0, 1), write=True))
host.do(Fork("p", "c"))
print(*host._driver.pids.values(), flush=True)
if sys.argv[1] == "exits":
    sys.exit()
if sys.argv[1] == "raises":
    raise ZeroDivisionError
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["exits", "raises", signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("_alone")
def test_however_the_tool_ends_all_is_put_back_and_nobody_left(how):
    before = settings_now()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(how)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tool:
        pids = tool.stdout.readline().split()
        assert len(pids) == 2
        if isinstance(how, signal.Signals):
            assert settings_now() != before
            tool.send_signal(how)
        assert tool.wait(HANG_S) != 0 or how == "exits"
    wait_for(lambda: settings_now() == before and not cgroups(), "for the watchdog")
    wait_for(
        lambda: not any(Path(f"/proc/{pid}/maps").exists() and Path(f"/proc/{pid}/maps").read_bytes() for pid in pids)
    )


def test_a_swap_that_is_asked_for_must_be_there(host):
    if len(Path("/proc/swaps").read_text().splitlines()) > 1:
        pytest.skip("this host has a swap device")
    with pytest.raises(KernelFeatureError, match="needs a swap device"):
        host.begin(Settings(swap=True))


def test_the_release_and_whether_pages_are_counted(host):
    release = Path("/proc/sys/kernel/osrelease").read_text().strip()
    assert host.release == release
    assert release in host.name
    for config, opened in (("/proc/config.gz", gzip.open), (f"/boot/config-{release}", open)):
        if Path(config).exists():
            with opened(config, "rt") as file:
                assert host.page_mapcount == ("CONFIG_NO_PAGE_MAPCOUNT=y" not in file.read())
            return
    pytest.skip("the configuration of this kernel is nowhere to be read")
