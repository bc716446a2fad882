"""MADV_COLLAPSE as recorded kernels do it. 5.10 does not know it, and says so."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run
from machine.test_folio_split import shape

KNOW = [kernel for kernel in KERNELS if kernel != "5.10"]
NEED_WRITE = {"6.1", "6.12", "6.16"}
"""Memory of which nothing may be written is left alone."""
HUGE = {9: "always"}
FILE = "p: memfd f 4M\np: fallocate f[0:101]\n"


def test_5_10_does_not_know_it():
    assert Run("5.10", "p: mmap a 2M\np: touch a[0]\np: collapse a\np: collapse b[0:512]").results == [0, 1, -22, -22]


@pytest.mark.parametrize("kernel", KNOW)
def test_pages_holes_and_zero_pages_become_one_folio(kernel):
    run = Run(kernel, "p: mmap a 2M\np: touch a[0:3]\np: touch a[7]\np: read a[9:12]\np: collapse a")
    assert run.results[-1] == 0
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert len(run.machine.folios) == 1
    assert run.word(0, "_refcount") == 1
    assert run.word(0, "PG_anon_exclusive") == ((1, 1), (0, 511)), "the first page speaks for a PMD"
    assert run.word(0, "deferred") == (kernel != "6.1")
    run.do("p: munmap a[0]\nreclaim")
    kept = [("p", 1, 511, 0, False)] if kernel == "6.1" else [("p", 1, 2, 0, False), ("p", 7, 1, 0, False)]
    assert shape(run) == kept, "zeros stay zeros"


@pytest.mark.parametrize("kernel", KNOW)
def test_what_others_share_they_keep(kernel):
    run = Run(kernel, "p: mmap a 2M\np: touch a[0:512]\np: fork c\np: collapse a")
    by_pte, by_pmd = (0, 512, 0, False), (0, 512, 9, True)
    if kernel in NEED_WRITE:
        assert run.results[-1] == -22
        assert shape(run) == [("c", *by_pte), ("p", *by_pte)]
        run.do("p: write a[0]\np: collapse a")
    assert shape(run) == [("c", *by_pte), ("p", *by_pmd)]
    run.do("c: write a[3:9]\nc: collapse a")
    assert shape(run) == [("c", *by_pmd), ("p", *by_pmd)]
    assert len(run.machine.folios) == 2


@pytest.mark.parametrize("kernel", KNOW)
def test_memory_that_may_not_be_written(kernel):
    run = Run(kernel, "p: mmap a 2M\np: touch a[0:101]\np: mprotect a ro")
    assert run.do("p: collapse a") == [-22 if kernel in NEED_WRITE else 0]
    assert run.do("p: mprotect a rw\np: collapse a\np: write a[0]") == [0, 0, 1], (
        "mprotect gives back what is exclusive"
    )
    assert shape(run) == [("p", 0, 512, 9, True)]


@pytest.mark.parametrize("kernel", KNOW)
def test_a_huge_folio_that_ptes_map_is_copied(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: touch a[0:512]\np: mprotect a[5] ro\np: mprotect a[5] rw")
    before = run.seen.mappings[0].folio
    assert run.do("p: collapse a") == [0]
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert run.seen.mappings[0].folio != before
    assert len(run.machine.folios) == 1


@pytest.mark.parametrize("kernel", [kernel for kernel in KNOW if kernel != "6.1"])
def test_pages_of_a_shared_folio_leave_it_partially_mapped(kernel):
    text = "p: mmap a 2M huge\np: mprotect a[511] ro\np: touch a[0:40]\np: fork c\np: mprotect a[511] rw\n"
    run = Run(kernel, text + "c: munmap a[3:8]\np: write a[200]\np: collapse a", anon={4: "madvise"})
    assert run.results[-1] == 0
    small = [("c", 0, 3, 4, False), ("c", 8, 8, 4, False), ("c", 16, 16, 4, False), ("c", 32, 16, 4, False)]
    assert shape(run) == [*small, ("p", 0, 512, 9, True)]
    assert [run.word(row, "PG_partially_mapped") for row in (0, 2)] == [1, 0]


@pytest.mark.parametrize("kernel", KNOW)
def test_advice_on_several_pieces_stops_at_a_hole_before_7_0(kernel):
    run = Run(kernel, "p: mmap a 6M\np: touch a[0:2]\np: touch a[1024:1026]\np: collapse a")
    assert run.results[-1] == -22
    last = ("p", 1024, 512, 9, True) if kernel.startswith("7") else ("p", 1024, 2, 0, False)
    assert shape(run) == [("p", 0, 512, 9, True), last]


@pytest.mark.parametrize("kernel", KNOW)
def test_a_piece_that_may_not_be_written_is_skipped(kernel):
    run = Run(kernel, "p: mmap a 4M\np: read a[0]\np: touch a[600]\np: collapse a")
    assert run.results[-1] == (-22 if kernel in NEED_WRITE else 0)
    both = [("p", 0, 512, 9, True), ("p", 512, 512, 9, True)]
    assert shape(run) == (both[1:] if kernel in NEED_WRITE else both)


@pytest.mark.parametrize("kernel", KNOW)
def test_a_range_without_a_whole_piece(kernel):
    run = Run(kernel, "p: mmap a 4M\np: touch a[0]")
    results = run.do("p: collapse a[0:100]\np: collapse a[10:512]\np: collapse a[10:500]\np: collapse a[500:520]")
    assert results == [0, 0, 0 if kernel.startswith("7") else -22, 0]
    assert shape(run) == [("p", 0, 1, 0, False)]


@pytest.mark.parametrize("kernel", KNOW)
@pytest.mark.parametrize(
    "text",
    [
        "p: mmap a 2M\np: read a[0]\np: collapse a",
        "p: mmap a[1] 2M\np: touch a[1]\np: collapse a[1:513]",
        "p: mmap a 2M nohuge\np: touch a[0]\np: collapse a",
        "p: memfd f 4M\np: mmap a 2M shared f[0:512]\np: collapse a",
        "p: memfd f 4M\np: mmap a 2M shared f[3:515]\np: read a[0:5]\np: collapse a",
        "p: mmap a 2M\np: touch a[0]\np: dontneed a\np: munmap a\np: mmap a 2M\np: collapse a",
    ],
    ids=["only the zero page", "no room", "nohuge", "an empty file", "a file at odds", "nothing there"],
)
def test_what_is_refused(kernel, text):
    assert Run(kernel, text).results[-1] == -22


@pytest.mark.parametrize("kernel", KNOW)
def test_pages_of_a_file_become_one_folio_for_all(kernel):
    run = Run(
        kernel, FILE + "p: mmap a 4M shared f[0:1024]\np: read a[0:5]\np: fork c\nc: read a[0:5]\np: collapse a[0:512]"
    )
    assert run.results[-1] == 0
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert run.word(0, "_refcount") == 513
    run.do("c: read a[3]")
    # 6.1 leaves the page tables of others alone, and so a PMD finds no room there.
    assert shape(run)[0] == (("c", 0, 16, 9, False) if kernel == "6.1" else ("c", 0, 512, 9, True))
    assert run.do("c: collapse a[0:512]\np: collapse a[512:1024]") == [0, -22]
    assert shape(run) == [("c", 0, 512, 9, True), ("p", 0, 512, 9, True)]


@pytest.mark.parametrize("kernel", KNOW)
def test_a_private_copy_keeps_a_pmd_away_but_the_pages_become_one_folio(kernel):
    text = FILE + "p: mmap a 2M f[0:512]\np: mmap b 2M shared f[0:512]\np: read a[0:5]\np: write a[7]\np: read b[0:20]"
    run = Run(kernel, text + "\np: collapse a")
    assert run.results[-1] == -22
    assert [(row.area, row.page, row.nr_pages) for row in run.seen.mappings] == [("a", 7, 1)]
    assert run.do("p: collapse b") == [0]
    assert [(row.area, row.page, row.nr_pages) for row in run.seen.mappings] == [("a", 7, 1), ("b", 0, 512)]


@pytest.mark.parametrize("kernel", KNOW)
def test_a_huge_folio_of_a_file_is_mapped_by_a_pmd(kernel):
    text = "p: memfd f 2M\np: mmap a 2M f[0:512]\np: write a[100]\np: read a[0:50]\np: dontneed a[100]\np: collapse a"
    run = Run(kernel, text, shmem=HUGE)
    assert run.results[-1] == 0
    assert shape(run) == [("p", 0, 512, 9, True)]
    run.do("p: write a[7]")
    assert shape(run) == [("p", 7, 1, 0, False)], "a private mapping may not write it"


@pytest.mark.parametrize("kernel", KNOW)
def test_without_a_table_of_pmds_there_is_no_place_before_6_18(kernel):
    """Area b is as far away as a table of PMDs reaches, and farther."""
    text = "p: memfd f 2M\np: mmap b 2M shared f[0:512]\np: touch b[0:3]\np: mmap a 2M shared f[0:512]\np: collapse a"
    run = Run(kernel, text)
    assert run.results[-1] == (-22 if kernel in NEED_WRITE else 0)
    assert shape(run) == ([] if kernel in NEED_WRITE else [("p", 0, 512, 9, True)])
    assert len(run.machine.folios) == 1, "the pages are one folio anyway"


@pytest.mark.parametrize("kernel", KNOW)
def test_the_table_of_pmds_goes_with_the_last_vma_there(kernel):
    text = "p: memfd f 2M\np: mmap a 2M shared f[0:512]\np: touch a[0:3]\np: munmap a\np: mmap a 2M shared f[0:512]"
    assert Run(kernel, text + "\np: collapse a").results[-1] == (-22 if kernel in NEED_WRITE else 0)


@pytest.mark.parametrize("kernel", KNOW)
def test_what_was_split_at_the_end_of_its_file_is_not_split_again(kernel):
    text = "p: memfd f 1M\np: mmap a 2M shared f[0:512]\np: touch a[0:5]\nreclaim\np: read a[3]\np: collapse a\nreclaim"
    run = Run(kernel, text, shmem=HUGE)
    assert shape(run) == [("p", 0, 512, 9, True)]


@pytest.mark.parametrize("kernel", KNOW)
def test_what_is_collapsed_may_reach_behind_its_file_for_good(kernel):
    text = "p: memfd f 1M\np: mmap a 2M shared f[0:512]\np: touch a[0:5]\np: collapse a\nreclaim\np: read a[256]"
    run = Run(kernel, text)
    assert run.results[-1] == 1
    assert shape(run) == [("p", 0, 512, 9, True)]


@pytest.mark.parametrize("kernel", KNOW)
def test_swapped_pages_come_back_first(kernel):
    run = Run(kernel, "p: mmap a 2M\np: write a[0:40]\np: pageout a[0:20]\np: collapse a")
    assert run.results[-1] == 0
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert run.swapped() == []
    assert not run.machine.swap.entries
    assert not run.machine.swap.cache


@pytest.mark.parametrize("kernel", KNOW)
def test_pages_in_the_swap_cache_leave_it(kernel):
    text = "p: mmap a 2M\np: write a[0:8]\np: pageout a[0:8]\np: fork c\np: read a[0:8]\nc: exit\np: write a[100]\n"
    run = Run(kernel, text + "p: collapse a")
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert len(run.machine.folios) == 1
    assert not run.machine.swap.cache


@pytest.mark.parametrize("kernel", KNOW)
def test_swapped_pages_of_a_file_come_back_too(kernel):
    text = "p: memfd f 2M\np: mmap a 2M shared f[0:512]\np: write a[0:40]\np: pageout a[2:5]\np: collapse a"
    run = Run(kernel, text)
    if kernel == "6.1":
        # Each of the three is not on the LRU yet when it is wanted.
        assert run.results[-1] == -11
        assert shape(run) == [("p", 5, 35, 0, False)]
        assert run.do("p: collapse a\np: collapse a\np: collapse a") == [-11, -11, 0]
    assert shape(run) == [("p", 0, 512, 9, True)]
    assert len(run.machine.folios) == 1
    assert not run.machine.swap.entries
