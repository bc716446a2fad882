"""Rows by kind and order, blocks and alignment, against page-by-page counting; and the cases that have names."""

from __future__ import annotations

from hypothesis import given

from builders import PAGE, SnapshotBuilder
from mapcount.mapping.schema import Consistency, Kind, Level
from mapcount.survey.facts import Facts
from mapcount.survey.sizes import size_rows
from survey.oracle import Oracle
from survey.strategies import snapshots


def rows_of(snapshot):
    return {(row.kind, row.order): row for row in size_rows(Facts(snapshot))}


@given(snapshots())
def test_rows_equal_a_count_of_every_page(snapshot):
    rows, oracle = rows_of(snapshot), Oracle(snapshot)
    large = {key: row for key, row in rows.items() if row.order}
    assert large.keys() == oracle.sizes().keys()
    for key, expected in oracle.sizes().items():
        assert {name: getattr(large[key], name) for name in expected} == dict(expected)
        assert large[key].exclusive + large[key].shared + large[key].unknown <= large[key].folios


@given(snapshots())
def test_blocks_equal_a_look_at_every_block(snapshot):
    oracle = Oracle(snapshot)
    for row in size_rows(Facts(snapshot)):
        expected = {str(PAGE << k): oracle.contiguous_bytes(row.kind, row.order, k) for k in range(1, row.order + 1)}
        assert row.contiguous_bytes == expected


@given(snapshots())
def test_aligned_means_that_the_address_fits_the_place_in_the_folio(snapshot):
    runs, rows = snapshot.runs, rows_of(snapshot)
    expected = dict.fromkeys(rows, 0)
    for i in range(len(runs)):
        f = int(runs.folio_id[i])
        order = int(snapshot.folios.order[f])
        if (int(runs.address[i]) // PAGE - int(runs.first_page[i])) % (1 << order) == 0:
            expected[Kind(snapshot.folios.kind[f]).name.lower(), order] += int(runs.nr_pages[i]) * PAGE
    assert {key: row.aligned_bytes for key, row in rows.items() if row.order} == {
        key: size for key, size in expected.items() if key[1]
    }


def test_small_pages_count_once_however_many_map_them():
    b = SnapshotBuilder()
    one, two = (b.add_vma(b.add_mm()) for _ in range(2))
    b.add_small([one, two], 7)
    b.add_small(one, 11)
    b.add_small(two, 5, unseen=1)
    b.add_small([one, one], 3, Kind.SHMEM)
    b.add_small(one, 13, Kind.ZERO)
    rows = rows_of(b.build())
    assert (rows["anon", 0].folios, rows["anon", 0].exclusive, rows["anon", 0].shared) == (23, 11, 12)
    # One mm that maps a page twice is still one mm; the page is just not mapped once.
    assert (rows["shmem", 0].folios, rows["shmem", 0].exclusive, rows["shmem", 0].run_bytes) == (3, 3, 6 * PAGE)
    assert rows["zero", 0].wasted_bytes == 0


def test_small_pages_without_counts_are_unknown_if_not_all_was_seen():
    b = SnapshotBuilder()
    b.add_small(b.add_vma(b.add_mm()), 7)
    row = rows_of(b.build(scope="pids", capabilities={"kpagecount": False}))["anon", 0]
    assert (row.exclusive, row.shared, row.unknown) == (0, 0, 7)


def two_mms():
    b = SnapshotBuilder()
    parent, child = b.add_mm(comm="parent"), b.add_mm(comm="child")
    return b, (parent, b.add_vma(parent)), (child, b.add_vma(child))


def test_splitowner_is_whole_and_shared():
    b, parent, child = two_mms()
    folio = b.add_folio(9)
    b.map_pages(*parent, folio, 0, 256)
    b.map_pages(*child, folio, 256, 256)
    row = rows_of(b.build())["anon", 9]
    assert (row.fully_mapped, row.partially_mapped, row.shared, row.wasted_bytes) == (1, 0, 1, 0)


def test_pmd_and_ptes_of_another_mm_on_one_folio():
    b, parent, child = two_mms()
    folio = b.add_folio(9)
    b.map_pages(*parent, folio, level=Level.PMD)
    b.map_pages(*child, folio, 17, 31)
    row = rows_of(b.build())["anon", 9]
    assert (row.pmd_and_pte, row.pmd_only, row.pte_only, row.pmd_mapped_bytes) == (1, 0, 0, 512 * PAGE)
    assert (row.mapped_bytes, row.run_bytes) == (512 * PAGE, 543 * PAGE)


def test_swapcache_is_unmapped_but_not_wasted():
    b = SnapshotBuilder()
    mm = b.add_mm()
    b.map_pages(mm, b.add_vma(mm), b.add_folio(4, swapcache=True), 0, 5)
    row = rows_of(b.build())["anon", 4]
    assert (row.unmapped_bytes, row.wasted_bytes) == (11 * PAGE, 0)


def test_unmapped_pages_of_file_and_shmem_hold_data():
    b = SnapshotBuilder()
    mm = b.add_mm()
    for kind in (Kind.FILE, Kind.SHMEM):
        b.map_pages(mm, b.add_vma(mm), b.add_folio(4, kind), 0, 5)
    assert {key: (row.unmapped_bytes, row.wasted_bytes) for key, row in rows_of(b.build()).items()} == {
        ("file", 4): (11 * PAGE, 0),
        ("shmem", 4): (11 * PAGE, 0),
    }


def test_an_unseen_mapper_shares_and_maps():
    b = SnapshotBuilder()
    mm = b.add_mm()
    folio = b.add_folio(4, consistency=Consistency.UNSEEN_MAPPER)
    b.map_pages(mm, b.add_vma(mm), folio, 0, 5)
    b.add_unseen(folio, 5, 8)
    row = rows_of(b.build(scope="pids"))["anon", 4]
    assert (row.shared, row.exclusive, row.wasted_bytes) == (1, 0, 3 * PAGE)


def test_nothing_is_guessed_where_counts_are_averages():
    b = SnapshotBuilder()
    mm = b.add_mm()
    b.map_pages(mm, b.add_vma(mm), b.add_folio(4, consistency=Consistency.UNCHECKED), 0, 5)
    rows = rows_of(b.build(scope="pids", counts_are="average"))
    row = rows["anon", 4]
    assert (row.unknown, row.exclusive, row.shared, row.partially_mapped) == (1, 0, 0, 0)
    assert (row.unmapped_bytes, row.wasted_bytes, row.mapped_bytes) == (0, 0, 5 * PAGE)
    whole = rows_of(b.build(counts_are="average"))["anon", 4]
    assert (whole.exclusive, whole.partially_mapped, whole.wasted_bytes) == (1, 1, 11 * PAGE)
