"""Real kernels in QEMU: against what another program recorded, against their own page tables, and against their /proc."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kernels.live_kernels import NAMES, image_or_skip
from kernels.processes import is_there, owner_of_guest
from mapcount.agreement import golden_file
from mapcount.agreement.differences import Matcher
from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.guest import Guest
from mapcount.kernels.self_check import SelfCheck
from mapcount.mapping.schema import Kind, Level
from mapcount.scenarios.observation import Mapped
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import run
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.walks import PROFILES, walk_scenario
from mapcount.schemes.eras import parse_release
from waiting import wait_for

pytestmark = pytest.mark.kernels
GOLDEN = Path(__file__).parent.parent / "golden"
WALK_STEPS, SEED, RECORDED_STEPS = 61, 5, 151


def play(backend, text):
    """Yield what was seen after each step of a scenario."""
    with closing(run(parse(text), backend, proc=True)) as steps:
        for _, seen in steps:
            yield seen


def trace_of(backend):
    """Return what was recorded of this kernel, or of another release of its series."""
    series = ".".join(map(str, parse_release(backend.release)))
    path = GOLDEN / f"{series}{'' if backend.page_mapcount else '-no-page-mapcount'}.json"
    if not path.exists():
        pytest.skip(f"nothing was recorded of Linux {path.stem}")
    return golden_file.load(path)


def test_every_word_is_what_was_recorded(kernel):
    # A part, and the first steps of long walks: test_golden.py holds all of it against the model.
    trace, compared = trace_of(kernel), Counter()
    for recorded in trace.recorded[::7]:
        matcher, wanted = Matcher(), recorded.observations[:RECORDED_STEPS]
        scenario = replace(recorded.scenario, steps=recorded.scenario.steps[:RECORDED_STEPS])
        with closing(run(scenario, kernel)) as steps:
            for index, ((step, seen), expected) in enumerate(zip(steps, wanted, strict=True)):
                assert matcher.compare(index, expected, seen) == [], f"{recorded.scenario.name}: {step}"
                assert names_of_words(seen) == names_of_words(expected)
        compared += matcher.tally.compared
    assert {"_mapcount", "_refcount", "PG_anon_exclusive"} & set(trace.fields) <= set(compared)


def names_of_words(seen):
    return Counter(name for folio in seen.folios.values() for name in folio.words)


@pytest.mark.parametrize("profile", PROFILES)
def test_counters_agree_with_page_tables_wherever_a_walk_leads(kernel, profile):
    scenario = walk_scenario(profile, SEED, WALK_STEPS)
    check = SelfCheck(swap=scenario.settings.swap)
    try:
        with closing(run(scenario, kernel)) as steps:
            for step, seen in steps:
                assert check.check(seen) == [], step
    except KernelFeatureError as error:
        pytest.skip(str(error))
    assert check.folios > WALK_STEPS


TWO_PROCESSES = """
p: mmap a 2M huge
p: write a[0]
p: mmap b 64k
p: write b[3:8]
p: fork c
c: munmap a[0:16]
c: write b[4]
p: mprotect a[100] none
"""


def test_proc_says_what_the_page_tables_say(kernel):
    for seen in play(kernel, TWO_PROCESSES):
        for vma in seen.proc:
            rows = [
                row
                for row in seen.mappings
                if (row.process, row.area) == (vma.process, vma.area) and vma.first <= row.page < vma.end
            ]
            # A PMD is of one VMA here; what PTEs map may belong to several.
            mapped = sum(min(row.page + row.nr_pages, vma.end) - row.page for row in rows)
            mapped += sum(
                min(row.page + row.nr_pages, vma.end) - vma.first
                for row in seen.mappings
                if (row.process, row.area) == (vma.process, vma.area) and row.page < vma.first < row.page + row.nr_pages
            )
            assert vma.smaps_bytes["Rss"] == mapped * 4096
            pmds = sum(row.nr_pages for row in rows if row.level is Level.PMD)
            assert vma.smaps_bytes["AnonHugePages"] == pmds * 4096
        entries = {name: np.zeros(1 << folio.order, int) for name, folio in seen.folios.items()}
        for row in seen.mappings:
            entries[row.folio][row.first : row.first + row.nr_pages] += 1
        assert seen.kpagecount.keys() == seen.folios.keys()
        if kernel.page_mapcount:
            for name, counts in seen.kpagecount.items():
                assert [count for count, length in counts for _ in range(length)] == entries[name].tolist()
    assert len(seen.folios) == 7
    assert {vma.process for vma in seen.proc} == {"p", "c"}


def test_a_large_area_is_read_whole(kernel):
    # Its pagemap takes several reads.
    *_, seen = play(kernel, "p: mmap a 40M\np: write a[10007]")
    (vma,) = seen.proc
    assert vma.mapped_once == ((0, 10007), (1, 1), (0, 10240 - 10008))


def test_a_page_without_access_is_mapped_and_a_swapped_one_is_not(kernel):
    text = """
    set swap
    p: mmap a 64k nohuge
    p: write a[0:8]
    p: mprotect a[2] none
    p: pageout a[4:8]
    p: read a[5]
    """
    try:
        seen = list(play(kernel, text))
    except KernelFeatureError as error:
        pytest.skip(str(error))
    pages = [[row.page + i for row in one.mappings for i in range(row.nr_pages)] for one in seen]
    assert pages[1:] == [[*range(8)], [*range(8)], [0, 1, 2, 3], [0, 1, 2, 3, 5]]


def test_settings_reach_the_kernel_and_the_next_scenario_has_its_own(kernel):
    kernel.begin(Settings(hugetlb_pages=5, thp="never"))
    top = "/sys/kernel/mm/transparent_hugepage"

    def read(path):
        return kernel._booted().files.read(path).decode()

    assert "[never]" in read(f"{top}/enabled")
    assert int(read("/proc/sys/vm/nr_hugepages")) == 5
    kernel.begin(Settings(huge_zero_page=True))
    assert "[madvise]" in read(f"{top}/enabled")
    assert int(read(f"{top}/use_zero_page")) == 1
    assert int(read("/proc/sys/vm/nr_hugepages")) == 0
    kernel.end()


def test_a_file_stays_a_folio_when_nobody_maps_it(kernel):
    text = """
    p: memfd f 8k
    p: mmap a 8k shared f[0]
    p: write a[0:2]
    p: munmap a[0:2]
    p: mmap b 8k shared f[0]
    p: read b[1]
    p: punch f[0:2]
    """
    seen = list(play(kernel, text))
    assert [sorted(one.folios) for one in seen[2:]] == [["f0", "f1"]] * 4 + [[]]
    assert {folio.kind for folio in seen[3].folios.values()} == {Kind.SHMEM}
    assert seen[3].mappings == ()
    # Faults around map what is there already.
    assert Mapped("p", "b", 1, "f1", 0, 1, Level.PTE) in seen[5].mappings


def test_a_guest_goes_on_from_a_state_twice(kernel):
    guest = kernel.guest
    address = guest.channel.call(0, 9, 0, 4096, 3, 0x22, -1, 0)
    guest.channel.poke(0, address, b"before")
    with guest.take_state() as state:
        assert guest.channel.peek(0, address, 6) == b"before"
        guest.channel.poke(0, address, b"after!")
        for _ in range(2):
            with Guest(guest.image, state=state) as copy:
                assert copy.channel.peek(0, address, 6) == b"before"
                copy.channel.poke(0, address, b"copied")
                # It is a kernel of its own, that goes on.
                assert copy.channel.call(0, 39) == 1
    assert guest.channel.peek(0, address, 6) == b"after!"


def test_one_that_broke_is_replaced_from_its_state(kernel):
    text = "p: mmap a 2M huge\np: write a[0]\np: munmap a[0:16]"
    before = [(seen.mappings, seen.folios) for seen in play(kernel, text)]
    kernel.begin(Settings())
    broken = kernel.guest
    os.kill(broken.process.pid, signal.SIGKILL)
    with pytest.raises(GuestError, match="The agent"):
        kernel.do(parse(text).steps[0])
    kernel.end()
    assert [(seen.mappings, seen.folios) for seen in play(kernel, text)] == before
    assert kernel.guest is not broken


def test_whether_it_counts_per_page_is_seen_without_a_config(kernel, monkeypatch):
    known = kernel.page_mapcount
    monkeypatch.setattr(kernel, "_page_mapcount", None)
    assert kernel.page_mapcount is known


PROGRAM = """
    import sys, time
    from pathlib import Path
    from mapcount.kernels.guest import Guest
    from mapcount.kernels.images import image_at
    Guest._meet = lambda guest, *_: (print(guest.process.pid, flush=True), time.sleep(600))
    Guest(image_at(Path(sys.argv[1])))
"""


def test_nothing_is_left_of_qemu_when_its_owner_is_killed():
    # While it boots. Other signals: test_guest.py, with a program in its place.
    image = image_or_skip(NAMES[0])

    def files():
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
            return {line.split(maxsplit=5)[5].strip() for line in maps if "mapcount-guest" in line}

    with owner_of_guest(PROGRAM, str(image.path)) as (pid, end):
        # Its memory is a file without a name in any directory.
        wait_for(lambda: "/memfd:mapcount-guest-ram (deleted)" in files(), "for QEMU to have memory")
        assert all(name.startswith("/memfd:") for name in files())
        end(signal.SIGKILL)
    wait_for(lambda: not is_there(pid), "for QEMU to end")
