"""Folios that are moved to another NUMA node, as recorded kernels do it: what follows them, what is split, what stays."""

from __future__ import annotations

import pytest

from machine.runs import KERNELS, Run

ENODEV = -19
COUNTS_PAGES = [kernel for kernel in KERNELS if KERNELS[kernel][1]]
SPLITS = {"6.12", "6.16", "6.18", "7.3"}
REQUEUES = {"6.12", "7.3"}
HUGE = "p: mmap a 2M huge\np: write a[0:512]"
MTHP = {"anon": {4: "madvise"}}
FOLIO_64K = "p: mmap a 64k huge\np: write a[0:16]"


def moved(kernel, text, **settings):
    run = Run(kernel, nodes=2, **settings)
    run.do("set nodes 2\n" + text)
    return run


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_pmd_stays_one_and_what_it_says_goes_along(kernel):
    run = moved(kernel, HUGE)
    before, words = run.seen.mappings, {name: run.word(0, name) for name in ("_refcount", "deferred")}
    assert run.do("p: migrate a[7] to 1\np: migrate a[7:9] to 1\np: migrate a to 0") == [1, 2, 512]
    assert run.mapped() == ["p a0 f0 PMD"]
    assert run.seen.mappings[0].folio != before[0].folio, "it is a copy"
    assert run.word(0, "_refcount") == words["_refcount"] == 1
    if kernel != "5.10":
        assert run.word(0, "PG_anon_exclusive") == ((1, 1), (0, 511))
    assert run.word(0, "deferred") == (words["deferred"] if kernel in REQUEUES or "7.3" in kernel else 0)


@pytest.mark.parametrize("kernel", COUNTS_PAGES)
def test_ptes_are_taken_one_by_one_which_looks_like_a_partial_unmapping(kernel):
    run = moved(kernel, HUGE + "\np: mprotect a[5] ro\np: migrate a to 1")
    assert run.mapped() == ["p a0 f0+0*512"]
    assert run.word(0, "_mapcount") == ((0, 512),)
    assert run.word(0, "_refcount") == 512
    assert run.word(0, "deferred") == (kernel in REQUEUES)
    if kernel in SPLITS:
        assert run.word(0, "PG_partially_mapped") == (kernel in REQUEUES)
    run.do("p: migrate a[100] to 0")
    assert (len(run.mapped()) == 512) == (kernel in REQUEUES), "taken for partially mapped, it is split the second time"


@pytest.mark.parametrize("kernel", COUNTS_PAGES)
def test_a_partially_mapped_folio_leaves_the_queue_or_is_split(kernel):
    run = moved(kernel, HUGE + "\np: munmap a[16:48]")
    assert run.word(0, "deferred") == 1
    assert run.do("p: migrate a[100] to 1") == [1]
    if kernel in SPLITS:
        assert len(run.mapped()) == 480
        assert run.do("p: migrate a[200] to 1") == [1]
    else:
        assert run.mapped() == ["p a0 f0+0*16", "p a48 f0+48*464"]
        assert run.word(0, "deferred") == 0
        run.do("reclaim")
        assert run.mapped() == ["p a0 f0+0*16", "p a48 f0+48*464"], "nobody finds it any more"


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_several_processes_map_stays(kernel):
    run = moved(kernel, "p: mmap a 12k\np: write a[0:3]\np: fork c\nc: write a[1]")
    assert run.do("p: migrate a to 1\nc: migrate a to 1\nc: exit\np: migrate a to 1") == [1, 1, 0, 3]


@pytest.mark.parametrize("kernel", COUNTS_PAGES)
def test_of_a_shared_folio_the_page_was_asked_for_or_the_first_one_or_all(kernel):
    """The child has no page 3 any more: up to 6.8 that page is enough, on 6.12 the first page speaks for all."""
    asks_page = kernel in {"5.10", "6.1"}
    third = moved(kernel, HUGE + "\np: fork c\nc: munmap a[3]\np: munmap a[100]")
    assert third.do("p: migrate a[3] to 1") == [int(asks_page)]
    first = moved(kernel, HUGE + "\np: fork c\nc: munmap a[0:256]\np: munmap a[256:512]")
    assert first.do("p: migrate a[3] to 1") == [int(asks_page or kernel == "6.12")]
    assert first.do("c: migrate a[256:512] to 1") == [256 * (asks_page or kernel == "6.12")], (
        "all of its mappings moved"
    )


@pytest.mark.parametrize("kernel", ["6.12", "6.16", "7.3"])
def test_a_smaller_folio_is_queued_as_well(kernel):
    run = moved(kernel, FOLIO_64K + "\np: migrate a[3] to 1", **MTHP)
    assert run.mapped() == ["p a0 f0+0*16"]
    assert run.word(0, "deferred") == run.word(0, "PG_partially_mapped") == (kernel in REQUEUES)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_file_keeps_its_pages_also_those_that_nobody_maps(kernel):
    run = moved(kernel, "p: memfd f 64k\np: fallocate f[0:16]\np: mmap a 64k shared f[0]", shmem={4: "always"})
    run.do("p: write a[3]\np: migrate a[0:16] to 1\np: munmap a[3]\np: mmap a[3] 4k shared f[3]")
    folio = run.machine.mms["p"].files["f"].pages[3]
    assert folio.node == 1
    assert run.machine.refcount(folio) == folio.nr_pages + folio.entries
    assert set(run.machine.mms["p"].files["f"].pages) == set(range(16))
    assert run.do("p: read a[3]\np: migrate a[3] to 1")[1] == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_page_in_the_swap_cache_stays_there(kernel):
    run = moved(
        kernel, "p: mmap a 4k\np: write a[0]\np: fork c\np: pageout a[0]\nc: exit\np: pageout a[0]\np: read a[0]"
    )
    before = run.word(0, "_refcount")
    assert run.do("p: migrate a[0] to 1") == [1]
    assert run.word(0, "_refcount") == before
    assert run.do("p: write a[0]\np: read a[0]") == [1, 1]


@pytest.mark.parametrize("kernel", KERNELS)
def test_zero_pages_and_holes_lie_nowhere(kernel):
    run = moved(kernel, "p: mmap a 20k\np: read a[0:2]\np: write a[3]\np: mprotect a[3] none")
    assert run.do("p: migrate a[0:5] to 0") == [int(kernel != "6.1")], "6.1 does not look where access is forbidden"
    assert run.do("p: migrate a[0:5] to 1") == [int(kernel != "6.1")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_node_that_is_not_there(kernel):
    run = Run(kernel, "p: mmap a 4k\np: write a[0]")
    run.text = "set nodes 2\n" + run.text
    assert run.do("p: migrate a[0] to 1") == [ENODEV]


@pytest.mark.parametrize("kernel", KERNELS)
def test_pieces_of_a_folio_lie_where_it_lay(kernel):
    run = moved(kernel, HUGE + "\np: migrate a[0] to 1\np: munmap a[3]\nreclaim")
    assert len(run.mapped()) == 511
    before = run.seen.mappings
    assert run.do("p: migrate a[0:512] to 1") == [511]
    assert run.seen.mappings == before
