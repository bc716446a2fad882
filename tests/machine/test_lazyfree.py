"""MADV_FREE as recorded kernels do it: what reclaim may drop, and what a write keeps."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run

SMALL = "p: mmap a 32k\np: write a[0:8]\np: free a[0:4]"
HUGE = "p: mmap a 2M huge\np: write a[0:512]\np: free a[0:512]"
KEEPS_PMD = {"6.16", "6.18"}
IN_BATCHES = {"6.16", "6.18", "7.3", "7.3 without page mapcounts"}
ALL_PTES = ["p a0 f0+0*512"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_that_were_not_written_since_are_dropped_without_a_slot(kernel):
    run = Run(kernel, SMALL + "\np: read a[0]\np: write a[1]\np: pageout a[0:4]")
    assert run.swapped() == []
    assert run.mapped() == [f"p a{page} f{at}+0*1" for at, page in enumerate((1, 4, 5, 6, 7))]
    run.do("p: pageout a[1]")
    assert [page for _, _, page, _ in run.swapped()] == [1], "reclaim found it written, and so it has data again"


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_swap_entry_is_dropped_at_once(kernel):
    run = Run(kernel, SMALL + "\np: pageout a[4:6]\np: free a[4]")
    assert [page for _, _, page, _ in run.swapped()] == [5]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_folio_that_is_mapped_by_a_pmd_is_dropped(kernel):
    """Whether the PMD goes as it is shows in the next read: a table that is left gets the zero page, which is not seen."""
    run = Run(kernel, HUGE + "\np: pageout a[0:512]")
    assert run.mapped() == []
    run.do("p: read a[0]")
    assert run.mapped() == (["p a0 f0 PMD"] if kernel in KEEPS_PMD else [])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_folio_that_was_written_stays_mapped(kernel):
    run = Run(kernel, HUGE + "\np: write a[5]\np: pageout a[0:512]")
    if kernel == "5.10":
        assert run.mapped() == [f"p a{page} f{page}+0*1" for page in range(512)]
    else:
        assert run.mapped() == (["p a0 f0 PMD"] if kernel in KEEPS_PMD else ALL_PTES)
    run.do("p: pageout a[0:512]")
    assert len(run.swapped()) == 512


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_page_that_was_written_saves_those_behind_it_or_all(kernel):
    """PTEs of a whole folio: up to 6.1 they are split at once, each for itself; then the first pages go one by one."""
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: mprotect a[9] ro\np: mprotect a[9] rw")
    run.do("p: free a[0:512]\np: write a[7]\np: pageout a[0:512]")
    if kernel in {"5.10", "6.1"}:
        assert run.mapped() == ["p a7 f0+0*1"]
    else:
        assert run.mapped() == (ALL_PTES if kernel in IN_BATCHES else ["p a7 f0+7*505"])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_part_is_split_off(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: free a[0:64]\np: write a[3]\np: pageout a[0:64]")
    assert run.mapped() == ["p a3 f0+0*1"] + [f"p a{page} f{page - 63}+0*1" for page in range(64, 512)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_others_map_as_well_and_never_was_in_swap_is_let_go_all_the_same(kernel):
    """PG_dirty is clear on a new page, and only then is the mapcount not asked; the other one's entry keeps the data."""
    run = Run(kernel, "p: mmap a 32k\np: write a[0]\np: fork c\np: free a[0]\nc: munmap a[0]\np: pageout a[0]")
    assert (run.mapped(), run.swapped()) == ([], [])
    run = Run(kernel, "p: mmap a 32k\np: write a[0]\np: fork c\np: free a[0]\np: munmap a[0]\nc: pageout a[0]")
    assert run.mapped() == ["c a0 f0+0*1"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_files_are_refused(kernel):
    run = Run(kernel, "p: mmap a 64k shared\np: write a[0:4]")
    assert run.do("p: free a[0:4]") == [-22]
