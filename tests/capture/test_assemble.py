"""Tables made of runs and frames: ids without order, levels, torn folios, and counts that are averages.

Random machines against a page-by-page truth are in test_gather.py.
"""

import numpy as np
import pytest

from capture.fake_machine import FakeMachine, FakeMm, stat_line
from capture.machines import BASE
from mapcount.capture.agree import count_mappings, disagreement
from mapcount.capture.assemble import assemble
from mapcount.capture.gather import gather
from mapcount.capture.gathered import Evidence, MmCapture
from mapcount.capture.kpage import HEAD, READ, SMALL, TAIL, KpageFiles
from mapcount.capture.maps import parse_maps
from mapcount.capture.nodes import parse_zones
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.processes import AddressSpace, parse_stat
from mapcount.capture.runs import RawRuns
from mapcount.capture.walk import MmPages, WalkPlan
from mapcount.mapping.schema import Consistency, Kind, Level


def taken(machine, *, exact=True):
    """Return the tables of a fake machine, and its races."""
    files = machine.files()
    try:
        physical = PhysicalPages(files)
        plan = WalkPlan(physical, False, False, exact, 1, lambda: None)
        gathered, mappings, differs = gather(machine.spaces(), plan, everybody=True, progress=None)
        evidence = Evidence(physical, mappings, differs, exact, str, parse_zones(""))
        return assemble(gathered.mms, evidence, keep_pfns=True)[0], gathered.races
    finally:
        files.close()


def test_ids_do_not_tell_the_order_of_pfns(tmp_path):
    """Rank correlation with PFNs is 1 / sqrt(n) by chance; five times that is never seen. Nor do tables betray them."""
    nr_folios = 997
    machine = FakeMachine(tmp_path, 4096)
    for number in range(nr_folios):
        machine.add_folio(64 + 4 * number, 1, "anon")
    mapped = {BASE + 2 * number + i: 64 + 4 * number + i for number in range(nr_folios) for i in range(2)}
    machine.mms = [FakeMm([(BASE, BASE + 2048)], mapped)]
    machine.unseen.update(mapped.values())
    machine.write()
    orders = []
    for _ in range(2):
        tables = taken(machine)[0]
        ranks = np.argsort(np.argsort(tables["folios"].pfn))
        assert tables["folios"].folio_id.tolist() == list(range(nr_folios))
        assert abs(np.corrcoef(np.arange(nr_folios), ranks)[0, 1]) < 5 / np.sqrt(nr_folios)
        for name in ("observed_counts", "unseen"):
            ids = tables[name].folio_id.astype(np.int64)
            assert len(ids) == nr_folios and (np.diff(ids) >= 0).all(), name
        orders.append(ranks)
    assert (orders[0] == orders[1]).mean() < 0.1, "each capture has an order of its own"


@pytest.mark.parametrize("exact", [True, False])
def test_counts_that_are_averages_prove_nothing_of_large_folios(tmp_path, exact):
    """With CONFIG_NO_PAGE_MAPCOUNT a fully mapped folio and a half mapped one say the same of each page."""
    machine = FakeMachine(tmp_path, 1024)
    machine.add_folio(64, 4, "anon")
    machine.add_folio(100, 0, "anon")
    machine.mms = [FakeMm([(BASE, BASE + 64)], {BASE + i: 64 + i for i in range(7)} | {BASE + 30: 100})]
    machine.unseen.update(range(64, 80))
    machine.unseen[100] = 1
    machine.write()
    tables, races = taken(machine, exact=exact)
    assert tables["folios"].consistency.tolist() == [Consistency.UNSEEN_MAPPER if exact else Consistency.UNCHECKED]
    assert len(tables["unseen"]) == (1 if exact else 0)
    assert tables["observed_counts"].count.tolist() == [2, 1]
    assert (tables["small"].mappings.tolist(), tables["small"].found.tolist()) == ([2], [1])
    assert races["pages_disagreed"] == (17 if exact else 1)


def by_hand(runs, classes, nr_pfns):
    """Return the tables of one mm with these runs (page, pfn, nr_pages, level); `classes` is (first pfn, end, class)."""
    physical = PhysicalPages(KpageFiles(-1, -1, -1, nr_pfns))
    for first, end, value in classes:
        physical.classes[first:end] = value
    columns = zip(zip(*runs, strict=True), (np.uint64, np.uint64, np.uint32, np.uint8), strict=True)
    raw = RawRuns(*(np.array(column, dtype) for column, dtype in columns))
    vmas = parse_maps(f"{BASE * 4096:x}-{(BASE + (1 << 20)) * 4096:x} rw-p 00000000 00:00 0 \n".encode())
    mm = MmCapture(AddressSpace((parse_stat(stat_line(7), ""),)), vmas, MmPages(runs=[raw]), "", complete=True)
    mappings = count_mappings(physical, [raw])
    evidence = Evidence(
        physical, mappings, disagreement(physical, mappings, counts_exact=True), True, str, parse_zones("")
    )
    return assemble([mm], evidence, keep_pfns=True)[0]


def test_hugetlb_of_1_gib_is_mapped_by_a_pud():
    head = 1 << 18
    pmds = [(BASE + 512 * i, head + 512 * i, 512, Level.PMD) for i in range(512)]
    small_one = [(BASE + (1 << 19), 512, 512, Level.PMD)]
    classes = [(head, 2 * head, TAIL), (head, head + 1, READ | HEAD | Kind.HUGETLB)]
    classes += [(512, 1024, TAIL), (512, 513, READ | HEAD | Kind.HUGETLB)]
    tables = by_hand(pmds + small_one, classes, 2 * head + 1)
    assert sorted(tables["folios"].order.tolist()) == [9, 18]
    assert tables["runs"].level.tolist() == [Level.PUD] * 512 + [Level.PMD]
    assert tables["runs"].first_page.tolist() == [*range(0, 1 << 18, 512), 0]


def test_tails_without_a_head_are_no_folio():
    """GIVEN flags torn while they were read: two tails whose head was never seen, beside a folio that is whole."""
    classes = [
        (64, 65, READ | HEAD | Kind.ANON),
        (65, 68, READ | TAIL),
        (68, 69, READ | SMALL | Kind.ANON),
        (70, 72, READ | TAIL),
    ]
    tables = by_hand([(BASE, 64, 4, 0), (BASE + 10, 70, 2, 0)], classes, 128)
    assert tables["folios"].pfn.tolist() == [64]
    assert (tables["runs"].nr_pages.tolist(), tables["runs"].folio_id.tolist()) == ([4], [0])
    assert len(tables["small"]) == 0


def test_runs_are_in_the_order_of_addresses():
    """However they were read: PMDs before PTEs, and what was read again last."""
    classes = [(64, 80, READ | TAIL), (64, 65, READ | HEAD | Kind.SHMEM)]
    tables = by_hand([(BASE + 40, 72, 3, 0), (BASE + 7, 64, 5, 0), (BASE + 20, 70, 1, 0)], classes, 128)
    assert (tables["runs"].address // 4096 - BASE).tolist() == [7, 20, 40]
    assert tables["runs"].first_page.tolist() == [0, 6, 8]
