"""The parts of memory add up to MemTotal, whatever the numbers are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from builders import PAGE, SnapshotBuilder
from mapcount.survey.facts import Facts
from mapcount.survey.machine import memory_rows
from mapcount.survey.sizes import size_rows

NAMES = (
    "MemTotal", "MemFree", "Buffers", "Cached", "AnonPages", "Mapped", "Shmem", "Slab", "PageTables", "SecPageTables",
    "KernelStack", "Percpu", "Hugetlb",
)  # fmt: skip


def rows_of(b, **meta):
    snapshot = b.build(**meta)
    return {row.name: row for row in memory_rows(snapshot, size_rows(Facts(snapshot)))}


def torn_folio():
    b = SnapshotBuilder()
    mm = b.add_mm()
    b.map_pages(mm, b.add_vma(mm), b.add_folio(4), 0, 5)
    return b


@given(st.fixed_dictionaries({name: st.integers(0, 1 << 40) for name in NAMES}))
def test_parts_sum_to_memtotal_exactly(values):
    b = torn_folio()
    for name, value in values.items():
        b.add_stat("meminfo", "", name, value + 1)
    rows = rows_of(b)
    assert sum(row.size_bytes for row in rows.values() if not row.within) == values["MemTotal"] + 1
    assert all(row.size_bytes >= 0 for row in rows.values() if row.name != "rest")
    assert all(row.within in rows for row in rows.values() if row.within)


def test_what_meminfo_counts_and_we_did_not_find_is_not_seen():
    b = torn_folio()
    for name, pages in (("MemTotal", 997), ("MemFree", 100), ("AnonPages", 18), ("Mapped", 7), ("Cached", 50)):
        b.add_stat("meminfo", "", name, pages * PAGE)
    rows = {name: row.size_bytes // PAGE for name, row in rows_of(b).items()}
    assert rows["anon, mapped"] == 5
    assert rows["anon, unmapped (wasted)"] == 11
    assert rows["mapped by processes not seen"] == 13 + 7
    assert rows["file, unmapped"] == 43
    # Without per-page counts the kernel's AnonPages has the wasted pages in it.
    averaged = rows_of(b, counts_are="average")
    assert averaged["mapped by processes not seen"].size_bytes // PAGE == 2 + 7


def test_unseen_mappings_are_taken_from_files_first_then_from_shmem():
    b = torn_folio()
    for name, pages in (("MemTotal", 997), ("MemFree", 100), ("Mapped", 23), ("Cached", 30), ("Shmem", 19)):
        b.add_stat("meminfo", "", name, pages * PAGE)
    rows = {name: row.size_bytes // PAGE for name, row in rows_of(b).items()}
    assert (rows["file, unmapped"], rows["shmem, unmapped"]) == (0, 7)
    assert rows["mapped by processes not seen"] == 23


def test_no_meminfo_no_rows():
    assert rows_of(torn_folio()) == {}
