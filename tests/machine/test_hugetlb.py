"""Hugetlb pages of 1 GiB as recorded kernels have them: one entry, one reference, whole or not at all."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run
from mapcount.errors import KernelFeatureError
from mapcount.machine.export import snapshot
from mapcount.mapping.schema import Level

PAGES = 1 << 18
MAPPED = "p: mmap a 1G hugetlb-1G\np: write a[131]"
EINVAL, ENOMEM, EFAULT = -22, -12, -14


def gigantic(kernel, text, **settings):
    return Run(kernel, text, swap=False, **({"gigantic_pages": 1} | settings))


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_entry_of_a_pud_maps_all_pages(kernel):
    run = gigantic(kernel, MAPPED)
    (row,) = run.seen.mappings
    assert (row.area, row.page, row.first, row.nr_pages, row.level) == ("a", 0, 0, PAGES, Level.PUD)
    assert run.word(0, "_refcount") == 1
    assert run.word(0, "compound_mapcount" if kernel in {"5.10", "6.1"} else "_entire_mapcount") == 0
    assert run.do(f"p: read a[5:{PAGES}]\np: write a[{PAGES - 1}]") == [PAGES - 5, 1]
    assert len(run.seen.mappings) == 1 and run.word(0, "_refcount") == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_child_shares_it_and_the_pool_has_no_other(kernel):
    run = gigantic(kernel, MAPPED + "\np: fork c")
    assert {(row.process, row.folio) for row in run.seen.mappings} == {("c", "f0"), ("p", "f0")}
    assert run.word(0, "_refcount") == 2
    assert run.do(f"c: read a[{PAGES - 1}]\nc: write a[7]") == [1, EFAULT], "a copy finds no page: SIGBUS"
    assert run.do("c: munmap a\np: write a[7]\np: munmap a\np: mmap b 1G hugetlb-1G\np: read b[0]")[1:] == [1, 0, 0, 1]


@pytest.mark.parametrize("kernel", KERNELS)
def test_places_and_pools_of_both_sizes(kernel):
    run = gigantic(kernel, "p: mmap a[512] 1G hugetlb-1G", hugetlb_pages=3)
    assert run.results == [EINVAL], "it begins where no PUD does"
    assert run.do("p: mmap a 2G hugetlb-1G\np: mmap a 1G hugetlb-1G\np: mmap b 6M hugetlb\np: mmap c 2M hugetlb") == [
        ENOMEM,
        0,
        0,
        ENOMEM,
    ]
    run.do("p: write a[0]\np: write b[600]")
    assert [row.level for row in run.seen.mappings] == [Level.PUD, Level.PMD]
    assert run.do("p: mprotect a[0:512] ro\np: mprotect b[0:512] ro\np: mprotect a ro") == [EINVAL, 0, 0]


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_lies_on_its_node_and_where_it_would_move_is_not_known(kernel):
    run = gigantic(kernel, MAPPED, nodes=2)
    run.text = "set nodes 2\n" + run.text
    assert run.do("p: migrate a[262141:262144] to 0") == [3]
    with pytest.raises(KernelFeatureError, match="of 1 GiB"):
        run.do("p: migrate a[0] to 1")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_snapshot_has_it_as_one_run(kernel):
    run = gigantic(kernel, MAPPED + "\np: fork c")
    seen = snapshot(run.machine)
    assert seen.runs.nr_pages.tolist() == [PAGES, PAGES]
    assert seen.runs.level.tolist() == [Level.PUD, Level.PUD]
    assert seen.folios.order.tolist() == [18]
