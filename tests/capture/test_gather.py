"""Capture of fake machines against a page-by-page truth, and of machines that change while they are read."""

import itertools
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.fake_machine import FIRST_PID, FakeMachine, FakeMm
from capture.machines import BASE, build, layouts, small_truth
from mapcount.capture import gather as gather_module
from mapcount.capture import walk
from mapcount.capture.assemble import assemble
from mapcount.capture.budget import BudgetSpentError
from mapcount.capture.gather import gather
from mapcount.capture.gathered import Evidence
from mapcount.capture.nodes import parse_zones
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.stats import Stat
from mapcount.capture.walk import WalkPlan
from mapcount.mapping.schema import Consistency, Kind, Level


def capture(machine, *, scan=True, everybody=True, whole_folios=False, progress=None, check_budget=lambda: None):
    """Run the pipeline from files to tables; PAGEMAP_SCAN is played by the fake machine."""
    files = machine.files()
    try:
        physical = PhysicalPages(files)
        plan = WalkPlan(physical, scan, whole_folios, True, 1, check_budget)
        gathered, mappings, differs = gather(machine.spaces(), plan, everybody=everybody, progress=progress)
        nodes = parse_zones("Node 0, zone Normal\n spanned 4096\n start_pfn: 0\n")
        evidence = Evidence(physical, mappings, differs, True, lambda inode: f"/c{inode}" if inode else "", nodes)
        tables, names = assemble(gathered.mms, evidence, keep_pfns=True)
    finally:
        files.close()
    return gathered, tables, names, physical


@pytest.fixture(autouse=True)
def played_scan(monkeypatch):
    """Let PAGEMAP_SCAN answer from the fake machine, in windows of any size, never cutting a PMD."""

    def scan_windows(pagemap_fd, start, end, max_pages):
        name = Path(f"/proc/self/fd/{pagemap_fd}").readlink()
        rows = MACHINES[str(name.parent.parent)].regions(str(name), start, end)
        for at in range(0, len(rows), 3):
            yield rows[at : at + 3]

    monkeypatch.setattr(walk, "scan_windows", scan_windows)


MACHINES: dict[str, FakeMachine] = {}


@pytest.fixture
def machine(tmp_path):
    made = FakeMachine(tmp_path, 2048)
    MACHINES[str(tmp_path)] = made
    return made


def mapped_pages(tables):
    """Every (mm, page, pfn) of the runs, one by one, and the pages that a PMD maps."""
    runs, folios = tables["runs"], tables["folios"]
    pages, by_pmd = set(), set()
    for row in range(len(runs)):
        head = int(folios.pfn[runs.folio_id[row]])
        for i in range(int(runs.nr_pages[row])):
            entry = (int(runs.mm_id[row]), int(runs.address[row]) // 4096 + i, head + int(runs.first_page[row]) + i)
            assert entry not in pages
            pages.add(entry)
            if runs.level[row] != Level.PTE:
                by_pmd.add(entry)
    return pages, by_pmd


def expand(table, value):
    return {
        (int(table.folio_id[row]), int(table.first_page[row]) + i): int(getattr(table, value)[row])
        for row in range(len(table))
        for i in range(int(table.nr_pages[row]))
    }


@given(layout=layouts(), scan=st.booleans(), everybody=st.booleans())
@settings(max_examples=127, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tables_equal_the_page_by_page_truth(layout, scan, everybody):
    with tempfile.TemporaryDirectory() as directory:
        machine = build(Path(directory), layout)
        MACHINES[directory] = machine
        gathered, tables, names, _ = capture(machine, scan=scan, everybody=everybody, whole_folios=not everybody)
    assert [mm.complete for mm in gathered.mms] == [True] * len(machine.mms)
    check_runs(machine, tables, scan)
    check_folios(machine, tables, names)
    check_small(machine, tables, names)
    check_counts(machine, tables, all_counts=not everybody)


def check_runs(machine, tables, scan):
    pages, by_pmd = mapped_pages(tables)
    large = {
        (number, page, pfn)
        for number, mm in enumerate(machine.mms)
        for page, pfn in mm.pages.items()
        if machine.folios[pfn].order
    }
    assert large == pages
    expected = {(n, first + i) for n, mm in enumerate(machine.mms) for first in mm.pmds for i in range(512)}
    found = {(n, page) for n, page, _ in by_pmd}
    if scan:
        assert expected == found
    else:  # smaps tells how many PMDs there are, not where: never more, and none made up
        assert found <= expected or not expected
    runs = tables["runs"]
    for row in range(len(runs)):
        vma = tables["vmas"]
        address, end = int(runs.address[row]), int(runs.address[row]) + int(runs.nr_pages[row]) * 4096
        assert int(vma.start[runs.vma_id[row]]) <= address < end <= int(vma.end[runs.vma_id[row]])
        assert address >> 21 == (end - 1) >> 21
    by_place = sorted(
        zip(runs.mm_id, runs.address, runs.nr_pages, runs.folio_id, runs.first_page, runs.vma_id, strict=True)
    )
    for (m, a, n, f, p, v), (m2, a2, _, f2, p2, v2) in itertools.pairwise([tuple(map(int, row)) for row in by_place]):
        joined = (m, v, f, a + n * 4096, p + n) == (m2, v2, f2, a2, p2)
        assert not joined or a2 % (1 << 21) == 0, "two runs that are one"


def check_folios(machine, tables, names):
    folios = tables["folios"]
    assert list(folios.folio_id) == list(range(len(folios)))
    mapped = {machine.folios[pfn].head for mm in machine.mms for pfn in mm.pages.values() if machine.folios[pfn].order}
    assert mapped == set(folios.pfn.tolist())
    found = Counter(pfn for mm in machine.mms for pfn in mm.pages.values())
    by_pte = {pfn for mm in machine.mms for p, pfn in mm.pages.items() if not any(f <= p < f + 512 for f in mm.pmds)}
    for row in range(len(folios)):
        truth = machine.folios[int(folios.pfn[row])]
        assert (truth.order, truth.kind) == (folios.order[row], Kind(int(folios.kind[row])).name.lower())
        assert names[folios.charge_cgroup[row]] == (f"/c{truth.cgroup}" if truth.cgroup else "")
        assert bool(folios.swapcache[row]) == truth.swapcache
        assert folios.node[row] == 0
        seen = truth.pages if by_pte & set(truth.pages) else [truth.head]
        unseen = any(machine.unseen[pfn] for pfn in seen)
        if truth.kind == "zero":
            assert folios.consistency[row] == Consistency.UNCHECKED
        elif found[truth.head] or unseen:
            expected = Consistency.UNSEEN_MAPPER if any(machine.unseen[p] for p in truth.pages) else Consistency.CHECKED
            head_only = len(list(seen)) == 1
            assert folios.consistency[row] == expected or head_only


def check_small(machine, tables, names):
    small, vmas = tables["small"], tables["vmas"]
    first_vma = {int(mm): int(vmas.vma_id[vmas.mm_id == mm][0]) for mm in np.unique(vmas.mm_id)}
    found = Counter()
    for row in range(len(small)):
        vma_id = int(small.vma_id[row])
        mm_id = int(vmas.mm_id[vma_id])
        cgroup = names[small.charge_cgroup[row]]
        key = (
            mm_id,
            vma_id - first_vma[mm_id],
            Kind(int(small.kind[row])).name.lower(),
            int(cgroup[2:] or 0) if cgroup else 0,
        )
        key += (int(small.mappings[row]), int(small.found[row]), int(small.mms[row]))
        assert key not in found, "rows that should be one"
        found[key] = int(small.pages[row])
    assert small_truth(machine) == found


def check_counts(machine, tables, *, all_counts):
    folios = tables["folios"]
    told = {(int(folios.pfn[f]) + i): count for (f, i), count in expand(tables["observed_counts"], "count").items()}
    mapped = machine.mappings()
    for pfn, count in told.items():
        assert machine.count(pfn, mapped) == count
    by_pte = {p for mm in machine.mms for v, p in mm.pages.items() if not any(f <= v < f + 512 for f in mm.pmds)}
    for head in folios.pfn.tolist():
        pages = machine.folios[head].pages
        if machine.folios[head].kind != "zero" and (all_counts or by_pte & set(pages)):
            assert set(pages) <= set(told), "a folio's unmapped ends must be read too"
    unseen = {(int(folios.pfn[f]) + i): n for (f, i), n in expand(tables["unseen"], "mappings").items()}
    large = {p: n for p, n in machine.unseen.items() if p in told and machine.folios[p].order}
    assert unseen == large


def test_a_reused_frame_does_not_look_shared(machine):
    """GIVEN a frame that the first process frees and the second gets, between the reading of the two."""
    machine.add_folio(64, 4, "anon")
    machine.add_folio(300, 0, "anon")
    first = FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)} | {BASE + 40: 300})
    second = FakeMm([(BASE, BASE + 64)], {BASE + 50: 300})
    machine.mms = [first, FakeMm([(BASE, BASE + 64)])]
    machine.write()

    def move(progress):
        if progress.done == 1:
            machine.mms = [FakeMm(first.vmas), second]
            second.pages |= {BASE + i: 64 + i for i in range(16)}
            machine.write()

    gathered, tables, _, _ = capture(machine, progress=move)
    pages, _ = mapped_pages(tables)
    assert pages == {(1, BASE + i, 64 + i) for i in range(16)}
    assert list(tables["folios"].consistency) == [Consistency.CHECKED]
    assert (tables["small"].mms.tolist(), tables["small"].mappings.tolist()) == ([1], [1])
    assert gathered.races["pages_disagreed"] >= 16


def test_a_frame_reused_as_part_of_another_folio_is_read_anew(machine):
    machine.add_folio(64, 2, "anon")
    first = FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(4)})
    machine.mms = [first, FakeMm([(BASE, BASE + 64)])]
    machine.write()

    def regroup(progress):
        if progress.done == 1:
            machine.folios.clear()
            machine.add_folio(64, 4, "shmem")
            machine.mms = [FakeMm(first.vmas), FakeMm(first.vmas, {BASE + i: 64 + i for i in range(11)})]
            machine.write()

    _, tables, _, _ = capture(machine, progress=regroup)
    assert (tables["folios"].order.tolist(), tables["folios"].kind.tolist()) == ([4], [Kind.SHMEM])
    assert mapped_pages(tables)[0] == {(1, BASE + i, 64 + i) for i in range(11)}


def test_a_mapping_that_nobody_we_read_has_is_an_unseen_mapper(machine):
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)})]
    machine.unseen.update({70: 2, 71: 2})
    machine.write()
    _, tables, _, _ = capture(machine)
    assert tables["folios"].consistency.tolist() == [Consistency.UNSEEN_MAPPER]
    rows = tables["unseen"]
    assert [c.tolist() for c in (rows.first_page, rows.nr_pages, rows.mappings)] == [[6], [2], [2]]


def test_counts_that_never_agree_are_called_moved(machine):
    """GIVEN kpagecount below the mappings found, at every reading."""
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)})]
    machine.unseen[70] = -1
    machine.write()
    gathered, tables, _, _ = capture(machine)
    assert tables["folios"].consistency.tolist() == [Consistency.MOVED]
    assert gathered.races["pages_read_again"] == 2 * 16
    assert gathered.races["pages_given_to_the_later_process"] == 1


def test_a_process_that_exits_after_it_was_read_leaves_nothing(machine):
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)}), FakeMm([(BASE, BASE + 64)])]
    machine.write()

    def leave(progress):
        if progress.done == 1:
            machine.mms[1].pages, machine.mms[0].pages = machine.mms[0].pages, {}
            machine.write()
            home = machine.directory / "5000000"
            for file in home.iterdir():
                file.unlink()

    gathered, tables, _, _ = capture(machine, progress=leave)
    assert gathered.exited == 1
    assert (tables["mms"].comm.tolist(), len(tables["runs"]), len(tables["folios"])) == (["fake-1"], 1, 1)


def test_a_spent_budget_keeps_what_was_read(machine):
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)}) for _ in range(3)]
    machine.write()
    calls = itertools.count()

    def check_budget():
        if next(calls) == 3:
            raise BudgetSpentError("enough")

    gathered, tables, _, _ = capture(machine, check_budget=check_budget)
    assert gathered.partial == "enough"
    assert 1 <= len(tables["mms"]) < 3
    assert tables["unseen"].mappings.tolist() == [3 - len(set(tables["runs"].mm_id.tolist()))]


def test_frames_beyond_kpageflags_are_device_memory(machine):
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: (1 << 30) + i for i in range(7)})]
    machine.write()
    _, tables, _, _ = capture(machine)
    small = tables["small"]
    assert (small.kind.tolist(), small.pages.tolist()) == ([Kind.DEVICE], [7])


@pytest.mark.parametrize(("word", "kind"), [((1 << 62) | 31 | (1 << 58), "GUARD"), ((1 << 62) | 31 | (1 << 57), "UFFD_WP"),
                                            ((1 << 62) | 30, "SPECIAL"), (1 << 62, "SWAP")])  # fmt: skip
def test_entries_that_are_not_present_are_counted_by_what_they_are(machine, word, kind):
    machine.mms = [FakeMm([(BASE, BASE + 64)], absent={BASE + 3 * i: word for i in range(5)})]
    machine.write()
    gathered, tables, _, _ = capture(machine)
    assert {k.name: n for (_, k), n in gathered.mms[0].pages.swap.items()} == {kind: 5}
    assert tables["swap"].pages.tolist() == [5]


def test_a_process_that_exits_while_it_is_read_leaves_nothing(machine):
    """GIVEN a pagemap that is empty from the middle of the walk on: so the kernel shows an mm without users."""
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)}) for _ in range(2)]
    machine.write()
    calls = itertools.count()

    def check_budget():
        if next(calls) == 1:  # the first mm is open, and nothing of it has been read
            machine.mms[0].pages.clear()
            machine.write()
            (machine.directory / str(FIRST_PID) / "pagemap").write_bytes(b"")

    gathered, tables, _, _ = capture(machine, check_budget=check_budget)
    assert gathered.exited == 1
    assert (tables["mms"].comm.tolist(), tables["folios"].consistency.tolist()) == (["fake-1"], [Consistency.CHECKED])


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_rollups_keep_their_mm_when_another_has_gone(machine, monkeypatch, gone):
    """GIVEN three mms of which one ends after all were read: those behind it move up."""
    monkeypatch.setattr(
        gather_module, "read_rollup", lambda pid, subject: {Stat("smaps_rollup", subject, "Rss", "bytes"): pid}
    )
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(n)}) for n in (16, 13, 11)]
    machine.unseen[64] = 1  # read again, since somebody unseen maps it
    machine.write()

    def leave(progress):
        if progress.done == 3:
            machine.mms[gone].pages.clear()
            machine.write()
            for file in (machine.directory / str(FIRST_PID + gone)).iterdir():
                file.unlink()

    gathered, tables, _, _ = capture(machine, progress=leave)
    left = [FIRST_PID + number for number in range(3) if number != gone]
    assert tables["mms"].pid.tolist() == left
    for stats in (gathered.before, gathered.after):
        assert {stat.subject: value for stat, value in stats.items()} == {"mm 0": left[0], "mm 1": left[1]}


def test_hugetlb_pages_in_shared_tables_have_not_moved(machine):
    """GIVEN two mms that map a folio by one page table, which counts once."""
    machine.add_folio(64, 4, "hugetlb")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)}) for _ in range(2)]
    machine.unseen.update(dict.fromkeys(range(64, 80), -1))
    machine.write()
    gathered, tables, _, _ = capture(machine)
    assert tables["folios"].consistency.tolist() == [Consistency.CHECKED]
    assert gathered.races["hugetlb_pages_in_shared_tables"] == 16
    assert len(mapped_pages(tables)[0]) == 32
    assert tables["observed_bits"].nr_pages.sum() == 32, "what was read before has been dropped"


def test_a_mapper_that_came_while_we_looked_again_is_motion(machine):
    """GIVEN a page counted too low, which is read again, and another whose count rises meanwhile."""
    machine.add_folio(64, 4, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(16)})]
    machine.unseen[70] = -1
    machine.write()
    calls = itertools.count()

    def check_budget():
        if next(calls) == 2:  # the mm has been read, and is about to be read again
            machine.unseen.clear()
            machine.unseen[66] = 1
            machine.write()

    _, tables, _, _ = capture(machine, check_budget=check_budget)
    assert tables["folios"].consistency.tolist() == [Consistency.MOVED]
    assert len(tables["unseen"]) == 0


def test_of_two_named_processes_one_may_have_lost_a_folio_that_the_other_got(machine):
    """GIVEN a folio that both map, no page twice, and pages of it that somebody else maps: enough to look again."""
    machine.add_folio(64, 5, "anon")
    first, second = {BASE + i: 64 + i for i in range(8)}, {BASE + i: 64 + i for i in range(8, 16)}
    others = [*range(64, 72), *range(80, 96)]
    machine.mms = [FakeMm([(BASE, BASE + 64)], first), FakeMm([(BASE, BASE + 64)])]
    machine.unseen.update(range(72, 96))
    machine.write()

    def move(progress):
        if progress.done == 1:
            machine.mms = [FakeMm([(BASE, BASE + 64)]), FakeMm([(BASE, BASE + 64)], second)]
            machine.unseen.clear()
            machine.unseen.update(others)
            machine.write()

    _, tables, _, _ = capture(machine, everybody=False, whole_folios=True, progress=move)
    assert mapped_pages(tables)[0] == {(1, page, pfn) for page, pfn in second.items()}
    assert sorted(page for _, page in expand(tables["unseen"], "mappings")) == [pfn - 64 for pfn in others]
