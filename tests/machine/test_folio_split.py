"""Folios are split as recorded kernels split them: what stays mapped, what is freed, what fails."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run
from mapcount.machine.export import log
from mapcount.mapping.schema import Level, Op
from mapcount.replay.engine import replay
from mapcount.schemes.catalogue import find_scheme

EXCLUSIVE = "PG_anon_exclusive"
KEEPS_ZEROS = {"5.10", "6.1"}
"""A page of zeros stays a page; later the zero page takes its place."""
FAILS_SHARED = {"6.16", "6.18"}
"""A split gives up at the first PMD, if others map the folio (6.18.15; 7.0 does not)."""
LATER = [kernel for kernel in KERNELS if kernel not in KEEPS_ZEROS]

PART = "p: mmap a 2M huge\np: touch a[0:512]\np: munmap a[0:101]"


def shape(run):
    """(process, first page, pages, order, by PMD) of what is mapped; order-0 folios side by side count as one."""
    found = []
    for row in run.seen.mappings:
        order = run.seen.folios[row.folio].order
        last = found[-1] if found else None
        if last and not order and last[0] == row.process and last[3] == 0 and last[1] + last[2] == row.page:
            found[-1] = (*last[:2], last[2] + 1, *last[3:])
        else:
            found.append((row.process, row.page, row.nr_pages, order, row.level is Level.PMD))
    return found


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_partially_mapped_folio_is_split_into_the_pages_that_are_mapped(kernel):
    run = Run(kernel, PART + "\nreclaim")
    assert shape(run) == [("p", 101, 411, 0, False)]
    assert len(run.seen.folios) == 411, "the others are freed"
    assert {folio.words["_refcount"] for folio in run.seen.folios.values()} == {1}
    if kernel != "5.10":
        assert {folio.words[EXCLUSIVE] for folio in run.seen.folios.values()} == {((1, 1),)}


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_of_zeros_are_freed_since_6_12(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[7]\np: write a[200:203]\np: munmap a[0:5]\nreclaim")
    kept = [("p", 5, 507, 0, False)]
    written = [("p", 7, 1, 0, False), ("p", 200, 3, 0, False)]
    assert shape(run) == (kept if kernel in KEEPS_ZEROS else written)
    run.do("p: write a[11:14]")
    assert shape(run) == (kept if kernel in KEEPS_ZEROS else [written[0], ("p", 11, 3, 0, False), written[1]])


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_that_two_processes_map_are_exclusive_to_neither(kernel):
    run = Run(kernel, PART.replace("101", "3") + "\np: fork c\nc: munmap a[0:20]\np: munmap a[16:24]\nreclaim")
    assert shape(run) == [("c", 20, 492, 0, False), ("p", 3, 13, 0, False), ("p", 24, 488, 0, False)]
    words = {row.page: run.seen.folios[row.folio].words for row in run.seen.mappings}
    assert words[30]["_refcount"] == 2
    assert words[10]["_refcount"] == words[20]["_refcount"] == 1
    if kernel != "5.10":
        assert {word[EXCLUSIVE] for word in words.values()} == {((0, 1),)}, "nobody has written since the fork"


@pytest.mark.parametrize("kernel", LATER)
def test_what_was_queued_at_its_first_fault_leaves_the_queue(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0]")
    assert run.word(0, "deferred") == 1
    run.do("reclaim")
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert run.word(0, "deferred") == 0


@pytest.mark.parametrize("kernel", LATER)
def test_more_zeros_than_max_ptes_none_are_too_many(kernel):
    text = "p: mmap a 4M huge\np: touch a[0:411]\np: touch a[512:924]\nreclaim"
    run = Run(kernel, text, max_ptes_none=100)
    assert shape(run) == [("p", 0, 411, 0, False), ("p", 512, 512, 9, True)]


@pytest.mark.parametrize("kernel", LATER)
def test_a_folio_that_two_processes_map_by_pmds_is_not_split_by_some(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0:3]\np: fork c\nreclaim", max_ptes_none=100)
    if kernel in FAILS_SHARED:
        assert shape(run) == [("c", 0, 512, 9, True), ("p", 0, 512, 9, False)]
        assert run.word(0, "_refcount") == 513
        assert run.word(0, "deferred") == 0
        assert run.word(0, EXCLUSIVE) == ((0, 512),)
    else:
        assert shape(run) == [("c", 0, 3, 0, False), ("p", 0, 3, 0, False)]


@pytest.mark.parametrize("kernel", sorted(FAILS_SHARED))
def test_whose_vma_was_changed_last_comes_last(kernel):
    """p's VMAs were split by mprotect, so c's PMD comes first, and p's PTEs keep the folio together."""
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0:3]\np: fork c\np: mprotect a[5] ro\nreclaim", max_ptes_none=100)
    assert shape(run) == [("c", 0, 512, 9, False), ("p", 0, 512, 9, False)]
    assert run.word(0, "PG_partially_mapped") == 0


@pytest.mark.parametrize("kernel", sorted(FAILS_SHARED))
def test_what_failed_is_tried_again_if_it_was_found_partially_mapped(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0:3]\np: fork c\np: munmap a[0:10]\nreclaim", max_ptes_none=100)
    assert shape(run) == [("c", 0, 3, 0, False)]


@pytest.mark.parametrize("kernel", LATER)
def test_smaller_folios_are_split_too(kernel):
    text = "p: mmap a 128k huge\np: touch a[0:16]\np: touch a[17]\np: fork c\nc: munmap a[0:4]\np: munmap a[2:6]\n"
    run = Run(kernel, text, anon={4: "madvise"})
    run.do("reclaim")
    split = [("c", 4, 12, 0, False), ("c", 16, 16, 4, False), ("p", 0, 2, 0, False), ("p", 6, 10, 0, False)]
    # Without counts per page two processes that map a part each do not look like a part.
    whole = [("c", 4, 12, 4, False), ("c", 16, 16, 4, False), ("p", 0, 2, 4, False), ("p", 6, 10, 4, False)]
    expected = whole if kernel == "7.3 without page mapcounts" else split
    assert shape(run) == [*expected, ("p", 16, 16, 4, False)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_shmem_folio_that_reaches_behind_its_file_is_split_once(kernel):
    text = "p: memfd f 100k\np: mmap a 2M shared f[0:512]\np: touch a[3]\np: fork c\nc: read a[0]"
    run = Run(kernel, text, shmem={9: "always"})
    assert shape(run) == [("c", 0, 512, 9, True), ("p", 0, 512, 9, True)]
    run.do("reclaim\nc: read a[0:25]")
    assert shape(run) == [("c", 0, 25, 0, False)]
    assert run.do("c: read a[25]") == [-14], "what lay behind the end is gone"


@pytest.mark.parametrize("kernel", KERNELS)
def test_entries_of_a_page_that_may_not_be_accessed_are_carried_over(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0:512]\np: mprotect a[10:21] none\np: munmap a[0]\nreclaim")
    assert shape(run) == [("p", 1, 511, 0, False)]
    assert run.do("p: read a[10]\np: mprotect a[10:21] rw\np: write a[10]\np: write a[40]") == [-14, 0, 1, 1]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_log_tells_all_of_a_split(kernel):
    run = Run(kernel, PART + "\np: fork c\nreclaim")
    rows = [row for row in run.machine.rows if row[0] == run.machine.batch]
    ops = [row[1] for row in rows]
    assert ops[:4] == [Op.UNMAP, Op.UNMAP, Op.FOLIO_SPLIT, Op.DEATH]
    assert ops[4:] == [Op.BIRTH, Op.MAP, Op.MAP] * 411
    assert {row[5] for row in rows[:4]} == {0}


@pytest.mark.parametrize("kernel", KERNELS)
def test_who_replays_the_log_counts_the_same(kernel):
    run = Run(kernel, PART + "\nreclaim\np: fork c\nc: write a[200:213]\nreclaim")
    (own, other) = replay(log(run.machine), [run.backend.scheme, find_scheme("double-map")], engine="plain")
    for folio in run.machine.folios.values():
        assert own.words["_mapcount"][own.folios.base[folio.number]] == folio.ptes - 1
        assert other.words["_mapcount"][other.folios.base[folio.number]] == folio.ptes - 1
    if kernel != "5.10":
        machine, word = run.machine, own.words[EXCLUSIVE]
        exclusive = {number for number in machine.folios if word[own.folios.base[number]]}
        assert exclusive == {n for n in machine.folios if machine.counts.pages(EXCLUSIVE, n)[0]}
        assert len(exclusive) == 13
