"""Processes, cgroups, programs and VMAs against page-by-page sums; shares of waste never exceed the whole."""

from __future__ import annotations

import dataclasses

from hypothesis import given

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Kind, Level
from mapcount.survey.facts import Facts
from mapcount.survey.owners import cgroup_rows, process_rows, program_rows, vma_rows
from survey.oracle import RSS, Oracle
from survey.strategies import snapshots

MM_FIELDS = (
    "rss_bytes", "uss_bytes", "swap_bytes", "hugetlb_bytes", "anon_large_bytes", "file_large_bytes", "pmd_mapped_bytes",
    "large_folios", "partially_mapped", "partial_view",
)  # fmt: skip
VMA_FIELDS = tuple(name for name in MM_FIELDS if name not in {"uss_bytes", "swap_bytes", "hugetlb_bytes"})


@given(snapshots())
def test_processes_equal_a_walk_of_every_page(snapshot):
    oracle = Oracle(snapshot)
    for row in process_rows(Facts(snapshot)):
        expected, pss = oracle.owner(lambda vma: snapshot.vmas.mm_id[vma] == row.mm_id)  # noqa: B023
        assert {name: getattr(row, name) for name in MM_FIELDS} == {name: expected[name] for name in MM_FIELDS}
        assert abs(row.pss_bytes - pss) <= 0.5 + 1e-6
        assert row.wasted_bytes == oracle.waste_of_mm(row.mm_id)


@given(snapshots())
def test_vmas_equal_a_walk_of_every_page(snapshot):
    oracle, rows = Oracle(snapshot), vma_rows(Facts(snapshot))
    for row in rows:
        expected, _ = oracle.owner(lambda vma: vma == row.vma_id)  # noqa: B023
        assert {name: getattr(row, name) for name in VMA_FIELDS} == {name: expected[name] for name in VMA_FIELDS}
    mapped = {vma for vma in range(len(snapshot.vmas)) if oracle.owner(lambda v: v == vma)[0]["rss_bytes"]}  # noqa: B023
    assert {row.vma_id for row in rows} == mapped
    assert sum(row.wasted_bytes for row in rows) <= sum(map(oracle.wasted, oracle.ids)) * PAGE
    assert [row.wasted_bytes for row in rows] == sorted((row.wasted_bytes for row in rows), reverse=True)


@given(snapshots())
def test_programs_count_each_page_of_a_large_folio_once(snapshot):
    snapshot = dataclasses.replace(snapshot, small=snapshot.small.take([]))
    oracle = Oracle(snapshot)
    names = {name: [i for i, comm in enumerate(snapshot.mms.comm) if comm == name] for name in set(snapshot.mms.comm)}
    rows = {row.name: row for row in program_rows(Facts(snapshot))}
    for name, mms in names.items():
        expected, _ = oracle.owner(lambda vma: snapshot.vmas.mm_id[vma] in mms)  # noqa: B023
        assert (name in rows) == (expected["mapped_bytes"] > 0)
        if name in rows:
            row = rows[name]
            assert row.mms == len(mms)
            assert row.mapped_bytes == expected["mapped_bytes"]
            assert row.anon_large_bytes == expected["anon_distinct_bytes"]
            assert row.file_large_bytes == expected["file_distinct_bytes"]
            assert row.pmd_mapped_bytes == expected["pmd_folio_bytes"]
            assert (row.large_folios, row.partially_mapped) == (expected["large_folios"], expected["partially_mapped"])
            assert row.wasted_bytes == sum(map(oracle.waste_of_mm, mms))


@given(snapshots())
def test_cgroups_are_charged_for_whole_folios(snapshot):
    oracle, folios = Oracle(snapshot), snapshot.folios
    rows = {row.name: row for row in cgroup_rows(Facts(snapshot))}
    for index, name in enumerate(snapshot.cgroups):
        mine = [
            f for f in oracle.ids if folios.charge_cgroup[f] == index and oracle.kind(f) in RSS and oracle.mapped(f)
        ]
        small = snapshot.small.take(snapshot.small.charge_cgroup == index)
        pages = sum(map(oracle.mapped, mine)) + sum(p / f for p, f in zip(small.pages, small.found, strict=True))
        assert (name in rows) == (pages > 0)
        if name in rows:
            row = rows[name]
            mms = {mm for f in mine for mm in oracle.mms(f)} | {int(snapshot.vmas.mm_id[v]) for v in small.vma_id}
            assert row.mms == len(mms)
            assert abs(row.mapped_bytes - pages * PAGE) < 1
            assert row.wasted_bytes == sum(map(oracle.wasted, mine)) * PAGE
            assert row.large_folios == len(mine)
            assert row.partially_mapped == sum(oracle.kind(f) is Kind.ANON and oracle.partial(f) for f in mine)


def test_childonlypartial_is_a_partial_view_and_no_waste():
    b = SnapshotBuilder()
    parent, child = b.add_mm(comm="parent"), b.add_mm(comm="child")
    folio = b.add_folio(9)
    b.map_pages(parent, b.add_vma(parent), folio, 256, 256)
    b.map_pages(child, b.add_vma(child), folio, level=Level.PMD)
    rows = process_rows(Facts(b.build()))
    assert [(row.partial_view, row.partially_mapped, row.wasted_bytes) for row in rows] == [(1, 0, 0), (0, 0, 0)]
    assert [row.uss_bytes for row in rows] == [0, 256 * PAGE]


def test_memfd_mapped_twice_by_one_mm_is_shared_by_nobody_and_once_by_nobody():
    b = SnapshotBuilder()
    mm = b.add_mm()
    folio = b.add_folio(4, Kind.SHMEM)
    for _ in range(2):
        b.map_pages(mm, b.add_vma(mm, perms="rw-s"), folio)
    facts = Facts(b.build())
    (row,) = process_rows(facts)
    assert (row.rss_bytes, row.pss_bytes, row.uss_bytes) == (32 * PAGE, 16 * PAGE, 0)
    assert facts.exclusive.tolist() == [True]
    (program,) = program_rows(facts)
    assert program.mapped_bytes == 16 * PAGE


def test_waste_of_a_shared_folio_is_divided_and_rounded_down():
    b = SnapshotBuilder()
    folio = b.add_folio(2)
    for _ in range(3):
        mm = b.add_mm()
        b.map_pages(mm, b.add_vma(mm), folio, 0, 3)
    facts = Facts(b.build())
    assert [row.wasted_bytes for row in process_rows(facts)] == [PAGE // 3] * 3
    assert [row.wasted_bytes for row in program_rows(facts)] == [PAGE // 3 * 3]
    assert [row.wasted_bytes for row in cgroup_rows(facts)] == [PAGE]


def test_small_pages_of_a_program_count_as_often_as_they_must():
    b = SnapshotBuilder()
    vmas = [b.add_vma(b.add_mm(comm="work")) for _ in range(3)] + [b.add_vma(b.add_mm(comm="other"))]
    b.add_small(vmas, 7, Kind.FILE)
    b.add_small(vmas[:3], 5)
    b.add_small(vmas[0], 11)
    # Pages alike that only other processes share do not count for it.
    b.add_small([b.add_vma(b.add_mm(comm="third")) for _ in range(3)], 13)
    for pages in (2, 3):
        b.add_small([b.add_vma(b.add_mm(comm="pairs")) for _ in range(2)], pages)
    rows = {row.name: row.mapped_bytes for row in program_rows(Facts(b.build()))}
    assert rows == {"work": 23 * PAGE, "other": 7 * PAGE, "third": 13 * PAGE, "pairs": 5 * PAGE}
