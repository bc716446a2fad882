"""Order-0 pages, aggregated: in batches of any size as page by page, and the cases that a random machine seldom has."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.fake_machine import FakeMachine, FakeMm
from capture.machines import BASE, build, layouts, small_truth
from mapcount.capture import small
from mapcount.capture.assemble import assemble
from mapcount.capture.gather import gather
from mapcount.capture.gathered import Evidence
from mapcount.capture.nodes import parse_zones
from mapcount.capture.physical import PhysicalPages
from mapcount.capture.walk import WalkPlan
from mapcount.mapping.schema import Kind


def tables_of(machine, **options):
    """Return the tables of a fake machine and the names of its cgroups."""
    files = machine.files()
    try:
        physical = PhysicalPages(files)
        plan = WalkPlan(physical, False, False, True, 1, lambda: None)
        gathered, mappings, differs = gather(machine.spaces(), plan, everybody=True, progress=None)
        evidence = Evidence(physical, mappings, differs, True, str, parse_zones(""))
        return assemble(gathered.mms, evidence, **{"keep_pfns": False} | options)
    finally:
        files.close()


def small_rows(machine, **options):
    """Return (vma, kind, cgroup inode, mappings, found, mms) -> pages; fails on two rows that are one."""
    tables, names = tables_of(machine, **options)
    table, rows = tables["small"], Counter()
    for row in range(len(table)):
        key = (int(table.vma_id[row]), Kind(int(table.kind[row])).name.lower(), int(names[table.charge_cgroup[row]]))
        key += (int(table.mappings[row]), int(table.found[row]), int(table.mms[row]))
        assert key not in rows
        rows[key] = int(table.pages[row])
    return rows


@given(layouts(), st.sampled_from([1, 3, 7]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_batches_of_any_size_give_the_same_rows(layout, batch_pages):
    with tempfile.TemporaryDirectory() as directory:
        machine = build(Path(directory), layout)
        usual, small.BATCH_PAGES = small.BATCH_PAGES, batch_pages
        try:
            rows = small_rows(machine)
        finally:
            small.BATCH_PAGES = usual
    first_vma = [sum(len(mm.vmas) for mm in machine.mms[:number]) for number in range(len(machine.mms))]
    truth = Counter({(first_vma[key[0]] + key[1], *key[2:]): pages for key, pages in small_truth(machine).items()})
    assert rows == truth


@pytest.fixture
def machine(tmp_path):
    return FakeMachine(tmp_path, 1024)


def test_a_page_that_one_mm_maps_twice_has_one_mm(machine):
    machine.add_folio(300, 0, "shmem")
    machine.add_folio(301, 0, "shmem")
    twice = FakeMm([(BASE, BASE + 32)], {BASE + 3: 300, BASE + 5: 300, BASE + 6: 301, BASE + 9: 300})
    machine.mms = [twice, FakeMm([(BASE, BASE + 32)], {BASE + 7: 301})]
    machine.write()
    assert small_rows(machine) == {
        (0, "shmem", 7, 3, 3, 1): 3,
        (0, "shmem", 7, 2, 2, 2): 1,
        (1, "shmem", 7, 2, 2, 2): 1,
    }


def test_a_mapper_that_was_not_read_is_in_mappings_alone(machine):
    machine.add_folio(300, 0, "file", cgroup=11)
    machine.mms = [FakeMm([(BASE, BASE + 8), (BASE + 8, BASE + 32)], {BASE + 8: 300})]
    machine.unseen[300] = 5
    machine.write()
    assert small_rows(machine) == {(1, "file", 11, 6, 1, 1): 1}


def test_device_memory_by_vma(machine):
    """PFNs beyond kpageflags, in two VMAs of two mms: of no cgroup, each page mapped once as far as we know."""
    for number in range(2):
        pages = {BASE + i: (1 << 30) + i for i in range(3)} | {BASE + 20 + i: (1 << 31) + i for i in range(5 + number)}
        machine.mms.append(FakeMm([(BASE, BASE + 8), (BASE + 8, BASE + 32)], pages))
    machine.write()
    key = ("device", 0, 1, 1, 1)
    assert small_rows(machine) == {(0, *key): 3, (1, *key): 5, (2, *key): 3, (3, *key): 6}


@given(layouts())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_kept_small_pages_are_rows_like_those_of_large_folios(layout):
    """Every mapped page of every folio, of whatever order, page by page; the aggregates are what they are without."""
    with tempfile.TemporaryDirectory() as directory:
        machine = build(Path(directory), layout)
        tables, _ = tables_of(machine, keep_pfns=True, keep_small=True)
        assert small_rows(machine, keep_small=True) == small_rows(machine)
    folios, runs, counts = tables["folios"], tables["runs"], tables["observed_counts"]
    heads = {machine.folios[pfn].head for mm in machine.mms for pfn in mm.pages.values()}
    mapped = [machine.folios[head] for head in heads]
    rows = zip(folios.pfn.tolist(), folios.order.tolist(), folios.kind.tolist(), strict=True)
    assert set(rows) == {(f.head, f.order, Kind[f.kind.upper()]) for f in mapped}
    assert len(folios) == len(mapped) and folios.folio_id.tolist() == list(range(len(mapped)))

    def page_by_page(table, *columns):
        first_pfn = folios.pfn[table.folio_id].astype(int) + table.first_page.astype(int)
        for pfn, nr, *values in zip(first_pfn.tolist(), table.nr_pages.tolist(), *columns, strict=True):
            yield from ((pfn + i, i, *values) for i in range(nr))

    seen = Counter(
        (mm, at // 4096 + i, pfn) for pfn, i, mm, at in page_by_page(runs, runs.mm_id.tolist(), runs.address.tolist())
    )
    assert seen == Counter((number, *entry) for number, mm in enumerate(machine.mms) for entry in mm.pages.items())
    said = {pfn: count for pfn, _, count in page_by_page(counts, counts.count.tolist())}
    mappings = machine.mappings()
    assert {pfn: n for pfn, n in said.items() if machine.folios[pfn].order == 0} == {
        f.head: machine.count(f.head, mappings) for f in mapped if f.order == 0
    }
    unseen = Counter()
    for pfn, _, more in page_by_page(tables["unseen"], tables["unseen"].mappings.tolist()):
        unseen[pfn] += more
    assert {pfn: n for pfn, n in unseen.items() if machine.folios[pfn].order == 0} == {
        f.head: machine.unseen[f.head] for f in mapped if f.order == 0 and machine.unseen[f.head]
    }
