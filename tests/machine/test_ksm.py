"""KSM as recorded kernels do it, once ksmd has scanned everything several times."""

from __future__ import annotations

from collections import Counter

import pytest

from machine.runs import KERNELS, Run
from mapcount.mapping.schema import Kind

SAME = "p: mmap a 32k\np: write a[0:8]\n"
ZERO_PAGE = [kernel for kernel in KERNELS if kernel not in {"5.10", "6.1"}]
"""Splitting a folio maps the zero page for pages of zeros, so that nothing is left to merge."""


def folios(run):
    """How many pages each folio is mapped at, by its kind."""
    pages = Counter(row.folio for row in run.seen.mappings for _ in range(row.nr_pages))
    return sorted((run.seen.folios[name].kind, count) for name, count in pages.items())


@pytest.mark.parametrize("kernel", KERNELS)
def test_equal_pages_become_one_and_a_write_copies(kernel):
    run = Run(kernel, SAME + "p: mergeable a[0:8]")
    assert folios(run) == [(Kind.KSM, 8)]
    assert run.word(0, "_refcount") == 8
    assert run.word(0, "_mapcount") == ((7, 1),)
    assert "PG_anon_exclusive" not in run.seen.folios[run.seen.mappings[0].folio].words
    run.do("p: write a[3]")
    assert folios(run) == [(Kind.ANON, 1), (Kind.KSM, 7)]
    run.do("p: mergeable a[0:8]")
    assert folios(run) == [(Kind.KSM, 8)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_even_the_last_who_maps_a_ksm_page_copies_it(kernel):
    run = Run(kernel, SAME + "p: mergeable a[0:8]\np: munmap a[1:8]")
    kept = run.seen.mappings[0].folio
    run.do("p: write a[0]")
    assert run.seen.mappings[0].folio != kept
    assert folios(run) == [(Kind.ANON, 1)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_only_advised_pages_are_merged_and_one_alone_stays(kernel):
    run = Run(kernel, SAME + "p: mergeable a[0]")
    assert folios(run) == [(Kind.ANON, 1)] * 8
    run.do("p: mergeable a[5]")
    assert folios(run) == [(Kind.ANON, 1)] * 6 + [(Kind.KSM, 2)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_page_that_two_processes_share_is_not_the_same_as_itself(kernel):
    run = Run(kernel, "p: mmap a 32k\np: write a[0]\np: fork c\np: mergeable a[0]\nc: mergeable a[0]")
    assert folios(run) == [(Kind.ANON, 2)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_of_two_pages_the_second_stays_and_takes_its_other_mappings_along(kernel):
    """c is not advised, but maps the page that became the KSM page."""
    run = Run(kernel, "p: mmap a 32k\np: write a[0:4]\np: fork c\np: mergeable a[0:2]")
    of_child = ["c a0 f0+0*1", "c a1 f1+0*1", "c a2 f2+0*1", "c a3 f3+0*1"]
    assert run.mapped() == [*of_child, "p a0 f1+0*1", "p a1 f1+0*1", "p a2 f2+0*1", "p a3 f3+0*1"]


@pytest.mark.parametrize("kernel", KERNELS)
def test_of_a_large_folio_the_third_page_stays(kernel):
    """The second is of the same folio, which is split first; with two PMD entries that takes 6.16 and 6.18 a second try."""
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: fork c\np: mergeable a[0:512]")
    mapped = {(row.process, row.page): row.folio for row in run.seen.mappings}
    assert len({mapped["p", page] for page in range(512)}) == 1
    assert [page for page in range(512) if mapped["c", page] == mapped["p", 0]] == [
        3 if kernel in {"6.16", "6.18"} else 2
    ]


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_of_zeros_of_a_large_folio(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: write a[3]\np: mergeable a[0:512]")
    assert folios(run) == [(Kind.ANON, 1)] + ([] if kernel in ZERO_PAGE else [(Kind.KSM, 511)])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_ksm_page_goes_out_only_if_it_is_mapped_once_and_comes_back_as_an_anon_page(kernel):
    run = Run(kernel, SAME + "p: mergeable a[0:8]\np: pageout a[0:8]")
    assert run.swapped() == []
    run.do("p: munmap a[1:8]\np: pageout a[0]")
    assert len(run.swapped()) == 1
    run.do("p: read a[0]")
    assert folios(run) == [(Kind.ANON, 1)]
