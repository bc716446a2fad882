"""Read faults on files, and folios that fallocate makes, as recorded kernels have them."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run
from machine.test_folio_split import shape

HUGE = {9: "always"}
MTHP = [kernel for kernel in KERNELS if kernel not in {"5.10", "6.1"}]
WHOLE = {"6.18", "7.3", "7.3 without page mapcounts"}
"""A read fault maps all of a folio that it meets."""


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_read_fault_maps_what_is_around_it(kernel):
    run = Run(
        kernel, "p: memfd f 2M\np: mmap b 2M shared f[0:512]\np: touch b[0]\np: mmap a[3] 1M f[0:256]", shmem=HUGE
    )
    run.do("p: read a[104]")
    at_a = [(row.page, row.nr_pages) for row in run.seen.mappings if row.area == "a"]
    assert at_a == [(96, 16)], "the folio does not fit into the VMA"


@pytest.mark.parametrize("kernel", MTHP)
def test_a_read_fault_maps_whole_folios_since_6_18(kernel):
    text = "p: memfd f 1M\np: mmap b 1M shared f[0:256]\np: touch b[0:100]\np: mmap a 400k f[3:103]\np: read a[20]"
    run = Run(kernel, text, shmem={4: "always"})
    at_a = [(row.page, row.nr_pages) for row in run.seen.mappings if row.area == "a"]
    assert at_a == ([(13, 16), (29, 16)] if kernel in WHOLE else [(16, 13), (29, 3)])


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_that_fallocate_made_are_mapped_one_by_one_at_first(kernel):
    run = Run(
        kernel, "p: memfd f 400k\np: fallocate f[0:100]\np: mmap a 400k shared f[0:100]\np: read a[37]\np: read a[39]"
    )
    assert shape(run) == [("p", 37, 1, 0, False), ("p", 39, 1, 0, False)]
    run.do("p: dontneed a\np: read a[37]")
    assert shape(run) == [("p", 37, 1, 0, False), ("p", 39, 1, 0, False)], "these two were read"


@pytest.mark.parametrize("kernel", KERNELS)
def test_fallocate_reads_what_it_finds_before_5_14(kernel):
    run = Run(
        kernel,
        "p: memfd f 400k\np: fallocate f[0:100]\np: fallocate f[32:48]\np: mmap a 400k shared f[0:100]\np: read a[37]",
    )
    assert [row[1:3] for row in shape(run)] == [(32, 16) if kernel == "5.10" else (37, 1)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_how_large_folios_are_that_fallocate_makes(kernel):
    text = "p: memfd f 100k\np: mmap a 2M shared f[0:512]\np: touch a[3]\nreclaim\np: fallocate f[400:512]\np: read a[0:512]"
    run = Run(kernel, text, shmem=HUGE)
    large = {first: order for _, first, _, order, _ in shape(run) if order}
    if kernel in {"5.10", "6.1", "6.12"}:
        assert large == {}, "there is no room for one of PMD size"
    elif kernel == "6.16":
        assert large == {400: 4, 416: 5, 448: 6}
    else:
        assert large == {256: 8}


@pytest.mark.parametrize("kernel", KERNELS)
def test_within_size_looks_at_the_end_of_the_file(kernel):
    run = Run(
        kernel, "p: memfd f 3M\np: mmap a 4M shared f[0:1024]\np: touch a[0]\np: touch a[600]", shmem={9: "within_size"}
    )
    assert [row[1:4] for row in shape(run)] == [(0, 512, 9), (600, 1, 0)]
