"""Comparisons of two small machines, every number worked out by hand; the plain engine, so nothing is compiled."""

from __future__ import annotations

import functools

import pytest

from builders import SnapshotBuilder
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind, Level
from mapcount.replay import engine
from mapcount.views import comparison
from mapcount.views.comparison import compare, default_schemes

PAGE = 4096
NOW, NEXT = "mm-id", "no-page-mapcount"


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setattr(comparison, "replay", functools.partial(engine.replay, engine="plain"))


def shared_and_trimmed():
    """A 64 KiB folio that a parent and its child both map without its first 3 pages; 7 more that one maps so; file pages."""
    builder = SnapshotBuilder()
    parent, child = builder.add_mm(comm="parent"), builder.add_mm(comm="child")
    heap, copy = builder.add_vma(parent), builder.add_vma(child)
    both = builder.add_folio(4)
    builder.map_pages(parent, heap, both, 3, 13)
    builder.map_pages(child, copy, both, 3, 13)
    for _ in range(7):
        builder.map_pages(parent, heap, builder.add_folio(4), 3, 13)
    builder.map_pages(child, copy, builder.add_folio(2, Kind.FILE), 1, 2)
    builder.map_pages(child, copy, builder.add_folio(3, Kind.SHMEM), 0, 5)
    builder.add_small(heap, 11)
    return builder.build(kernel_release="6.18.44")


def mapped_twice():
    """An mm that maps 5 pages of one shmem folio of 8 twice, and a THP that a parent maps by a PMD and its child by PTEs."""
    builder = SnapshotBuilder()
    parent, child = builder.add_mm(), builder.add_mm()
    one, two, copy = builder.add_vma(parent), builder.add_vma(parent), builder.add_vma(child)
    shmem = builder.add_folio(3, Kind.SHMEM)
    builder.map_pages(parent, one, shmem, 0, 5)
    builder.map_pages(parent, two, shmem, 0, 5)
    huge = builder.add_folio(9)
    builder.map_pages(parent, one, huge, level=Level.PMD)
    builder.map_pages(child, copy, huge, 16, 496)
    return builder.build(kernel_release="6.18.44")


def compared(snapshot, **more):
    return compare(snapshot, numbers=[NOW, NEXT], answers=[NOW, NEXT], running=NOW, **more)


def number(comparison, name):
    return next(row for row in comparison.numbers if row.name == name)


def answer(comparison, scheme, reader):
    return next(row for row in comparison.answers if (row.scheme, row.reader) == (scheme, reader))


def test_whole_folios_are_counted_without_counts_per_page():
    found = compared(shared_and_trimmed())
    anon, mapped = number(found, "AnonPages"), number(found, "Mapped")

    assert anon.truth == anon.values[NOW] == (8 * 13 + 11) * PAGE
    assert anon.values[NEXT] == (8 * 16 + 11) * PAGE
    assert mapped.truth == mapped.values[NOW] == (2 + 5) * PAGE
    assert mapped.values[NEXT] == (4 + 8) * PAGE
    assert anon.least[NEXT] == anon.most[NEXT], "no past changes it"


def test_two_mms_hide_the_pages_that_neither_maps():
    """32 mappings, then 29, then 26: never fewer than the 16 pages, so nothing is noticed; one mm alone has 13."""
    found = compared(shared_and_trimmed())
    (now, now_64k), (later, later_64k) = found.found[:2], found.found[2:]

    assert (now.order, now_64k.order) == (None, 4)
    assert (later_64k.missed, later_64k.missed_bytes) == (later.missed, later.missed_bytes), "there are no others"

    assert (now.scheme, now.folios, now.unmapped_bytes, now.missed) == (NOW, 8, 8 * 3 * PAGE, 0)
    assert (later.scheme, later.missed, later.missed_bytes) == (NEXT, 1, 3 * PAGE)
    # If it never was mapped otherwise, nothing ever was unmapped.
    assert later.missed_most_bytes == now.missed_most_bytes == 8 * 3 * PAGE
    assert number(found, "nr_anon_partially_mapped").truth == 8
    assert number(found, "nr_anon_partially_mapped").values == {NOW: 8, NEXT: 7}


def test_the_mean_stands_for_each_page():
    """26 of 16 is 2, 13 of 16 is 1, 2 of 4 is 1 (halves up), 5 of 8 is 1: wrong for what nobody maps."""
    found = compared(shared_and_trimmed())
    pages = answer(found, NEXT, "folio_average_page_mapcount")

    assert (pages.asked, pages.wrong) == (8 * 16 + 4 + 8, 8 * 3 + 2 + 3)
    assert (pages.least, pages.most) == (0, 2)
    assert answer(found, NOW, "page_mapcount").wrong == 0
    assert answer(found, NEXT, "page_mapcount").promise == "cannot"
    assert (answer(found, NEXT, "NR_MAPPED").wrong, answer(found, NEXT, "NR_MAPPED").most) == (8 + 2, 3)
    assert answer(found, NOW, "NR_MAPPED").wrong == 0


def test_what_one_mm_maps_twice_is_private_in_truth_and_without_counts_per_page():
    found = compared(mapped_twice())
    uss = number(found, "Uss, all processes")
    # Of the THP the first 16 pages have one mapping, the parent's; the folio has two owners.
    assert uss.truth == (2 * 5 + 16) * PAGE
    assert uss.values[NOW] == 16 * PAGE
    assert uss.values[NEXT] == 2 * 5 * PAGE
    worst = found.processes[0]
    assert (worst.name, worst.values[NOW] - worst.truth, worst.values[NEXT] - worst.truth) == (
        "Uss",
        -10 * PAGE,
        -16 * PAGE,
    )


def test_bit_56_of_a_pmd_is_that_of_its_first_page():
    """6.18 judges all 512 by the first, which has one mapping; in truth 496 have two. The shmem pages have two."""
    bit = number(compared(mapped_twice()), "bit 56 set")

    assert bit.truth == 16
    assert bit.values == {NOW: 512, NEXT: 10}


def test_counts_of_pages_and_their_mean():
    """Shmem: 10 mappings of 8 pages, a mean of 1. THP: one PMD, and 496 PTEs of 512 pages: a mean of 2."""
    found = compared(mapped_twice())
    total, none = number(found, "kpagecount, sum"), number(found, "kpagecount of 0")
    mapmax = number(found, "mapmax, greatest")

    assert total.truth == total.values[NOW] == 2 * 5 + 512 + 496
    assert total.values[NEXT] == 8 * 1 + 512 * 2
    assert none.truth == none.values[NOW] == 3
    assert none.values[NEXT] == 0
    assert (mapmax.truth, mapmax.values[NOW], mapmax.values[NEXT]) == (2, 2, 2)


def test_processes_by_what_they_are_off_in_bytes_then_what_is_counted():
    """Parent: 16 pages of the THP are its own, and the kernel says 512; it has the shmem pages, too, and nobody else."""
    parent, child = 100, 101
    found = {(row.name, row.pid): row for row in compared(mapped_twice()).processes}
    bit = found["bit 56 set", parent]

    assert (bit.unit, bit.truth, bit.values) == ("pages", 16, {NOW: 512, NEXT: 10})
    assert (found["Pss", parent].truth, found["Pss", parent].values[NEXT]) == ((5 + 264) * PAGE, (10 + 256) * PAGE)
    assert ("Pss", child) not in found
    assert ("Rss", parent) not in found and ("mapmax", parent) not in found
    units = [row.unit for row in found.values()]
    assert units == sorted(units), "bytes before pages"
    in_bytes = [row.worst() for row in found.values() if row.unit == "bytes"]
    assert in_bytes == sorted(in_bytes, reverse=True)


def test_memory_cgroups_and_their_folios():
    """7 folios of 16 pages of one cgroup are mapped without 3 pages each; a file folio of 8 in another is whole."""
    builder = SnapshotBuilder()
    mm = builder.add_mm()
    vma = builder.add_vma(mm)
    for _ in range(7):
        builder.map_pages(mm, vma, builder.add_folio(4, cgroup="/a"), 3, 13)
    builder.map_pages(mm, vma, builder.add_folio(3, Kind.FILE, "/b"))
    builder.map_pages(mm, vma, builder.add_folio(2), 1, 2)
    [anon] = compared(builder.build(kernel_release="6.18.44")).cgroups

    assert (anon.cgroup, anon.name, anon.unit, anon.truth) == ("/a", "anon", "bytes", 7 * 13 * PAGE)
    assert anon.values == {NOW: 7 * 13 * PAGE, NEXT: 7 * 16 * PAGE}


def test_answers_that_depend_on_the_past_say_so():
    """Two mms that had all and are gone: 8 folios of one owner stay marked shared."""
    shared = answer(compared(shared_and_trimmed()), NOW, "mapped_shared")

    assert (shared.asked, shared.wrong, shared.wrong_least) == (10, 0, 0)
    assert shared.wrong_most > 0
    assert (shared.least, shared.most) == (0, 1), "never no while several map it"


def test_histories_are_the_callers_choice():
    found = compared(shared_and_trimmed(), histories=["as-mapped"])

    assert found.histories == ["as-mapped"]
    assert [row.missed for row in found.found] == [8, 8, 8, 8], "two schemes: all folios, and those of 64 KiB"


def test_defaults_are_the_running_kernel_and_what_may_come():
    numbers, answers = default_schemes("large-mapcount")

    assert numbers == ["large-mapcount", "no-page-mapcount", "total-mapped-pages"]
    assert default_schemes(NEXT)[0] == [NEXT, "total-mapped-pages"]
    assert {"double-map", "mm-id", "total-mapcount"} <= set(answers)
    assert not any(":" in scheme for scheme in answers)


def test_an_unknown_scheme_is_refused_before_anything_is_counted():
    told = []
    with pytest.raises(UsageError, match="no scheme 'mmid'"):
        compare(mapped_twice(), numbers=["mmid"], answers=[], running=NOW, progress=told.append)
    assert told == []


def test_folios_that_a_design_has_no_room_for_are_told():
    builder = SnapshotBuilder()
    builder.map_pages(builder.add_mm(), builder.add_vma(0), builder.add_folio(1, Kind.FILE))
    snapshot = builder.build(kernel_release="6.18.44")
    found = compare(snapshot, numbers=[NOW], answers=[NOW, "total-mapcount"], running=NOW, notes=["first"])

    assert found.notes == [
        "first",
        "total-mapcount has no room for its words in folios of 8K: they are counted as if it had.",
    ]
    assert compared(snapshot).notes == []
