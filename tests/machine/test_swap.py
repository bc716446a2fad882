"""Swap as recorded kernels do it, and that slots, swap cache and page tables tell the same, whatever happened."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from machine.runs import KERNELS, Run
from mapcount.machine.export import log
from mapcount.machine.page_tables import SWAP, PmdEntry
from mapcount.replay.engine import replay
from mapcount.scenarios.steps import Access, Advice, Exit, Fork, Madvise, Mprotect, Munmap, Protection, Span

EXCLUSIVE = "PG_anon_exclusive"
UNMARKED = {"5.10"}
"""No exclusive marker in swap entries."""
CACHED = {"7.3", "7.3 without page mapcounts"}
"""What comes back goes through the swap cache, and leaves it again as soon as no entry stands for it."""
SMALL = {"5.10", "6.1"}
"""Without mTHP."""
LARGE = [kernel for kernel in KERNELS if kernel not in SMALL]

OUT = "p: mmap a 32k\np: write a[0:8]\np: pageout a[0:8]"
FORKED = OUT + "\np: fork c"
MTHP = {"anon": {4: "madvise"}, "shmem": {4: "always"}}


@pytest.mark.parametrize("kernel", KERNELS)
def test_pages_go_out_and_come_back_one_by_one(kernel):
    run = Run(kernel, OUT)
    assert run.mapped() == []
    assert run.swapped() == [("p", "a", page, kernel not in UNMARKED) for page in range(8)]
    run.do("p: read a[0]\np: write a[1]")
    assert run.mapped() == ["p a0 f0+0*1", "p a1 f1+0*1"]
    assert [run.word(row, "_refcount") for row in (0, 1)] == [1, 1]
    assert len(run.swapped()) == 6


@pytest.mark.parametrize("kernel", KERNELS)
def test_fork_shares_slots_and_the_first_reader_leaves_the_page_in_the_swap_cache(kernel):
    run = Run(kernel, FORKED)
    assert not any(exclusive for *_, exclusive in run.swapped())
    run.do("p: read a[0]")
    assert run.word(0, "_refcount") == 2
    run.do("c: read a[0]")
    assert run.mapped() == ["c a0 f0+0*1", "p a0 f0+0*1"]
    assert run.word(0, "_refcount") == (2 if kernel in CACHED else 3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_last_who_writes_keeps_the_page_since_5_18(kernel):
    """On 5.10 the swap cache's reference forces a copy, and leaves the old page behind, mapped by nobody."""
    run = Run(kernel, FORKED + "\np: read a[0]\nc: read a[0]\np: write a[0]")
    kept = run.seen.mappings[0].folio
    run.do("c: write a[0]")
    assert (run.seen.mappings[0].folio == kept) is (kernel != "5.10")
    assert len(run.seen.folios) == 2, "what nobody maps is not seen"
    assert len(run.machine.folios) == (3 if kernel == "5.10" else 2)
    assert run.word(0, "_refcount") == 1


@pytest.mark.parametrize("kernel", KERNELS)
def test_who_is_left_reads_a_page_of_his_own_unless_that_went_through_the_swap_cache(kernel):
    """p was forked and exits: c's entries have no marker any more."""
    run = Run(kernel, FORKED + "\np: exit\nc: read a[0]")
    assert run.word(0, "_refcount") == 1
    if kernel not in UNMARKED:
        assert run.word(0, EXCLUSIVE) == ((int(kernel not in CACHED), 1),)


@pytest.mark.parametrize("kernel", LARGE)
def test_a_large_folio_comes_back_whole(kernel):
    run = Run(kernel, "p: mmap a 128k huge\np: write a[0:32]\np: pageout a[0:32]\np: read a[7]", **MTHP)
    assert run.mapped() == ["p a0 f0+0*16"]
    assert run.word(0, EXCLUSIVE) == ((1, 16),)
    assert run.word(0, "_refcount") == 16


@pytest.mark.parametrize("kernel", LARGE)
def test_shared_slots_come_back_page_by_page_before_7_0(kernel):
    run = Run(kernel, "p: mmap a 128k huge\np: write a[0:16]\np: pageout a[0:16]\np: fork c\np: read a[3]", **MTHP)
    whole = kernel in CACHED
    assert run.mapped() == (["p a0 f0+0*16"] if whole else ["p a3 f0+0*1"])
    assert run.word(0, "_refcount") == (32 if whole else 2)


@pytest.mark.parametrize("kernel", KERNELS)
def test_pageout_of_a_part_splits_the_folio(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: pageout a[0:64]")
    assert len(run.swapped()) == 64
    assert run.mapped() == [f"p a{page} f{page - 64}+0*1" for page in range(64, 512)]


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_shared_folio_stays_unless_only_its_first_page_is_looked_at(kernel):
    """The child maps 12 pages by PTEs, not the first one; up to 6.1 that is not shared, and its pages go out with the rest."""
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: fork c\np: pageout a[0:512]")
    assert run.swapped() == []
    run.do("c: mprotect a[5] ro\nc: munmap a[0:500]\np: pageout a[0:512]")
    assert Counter(process for process, *_ in run.swapped()) == ({"p": 512, "c": 12} if kernel in SMALL else {})


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_swap_a_large_folio_is_split_and_stays(kernel):
    run = Run(kernel, "p: mmap a 2M huge\np: write a[0:512]\np: pageout a[0:512]", swap=False)
    assert run.mapped() == [f"p a{page} f{page}+0*1" for page in range(512)]


def check(run):
    """Compare slots, swap cache and counters of folios with the page tables, by brute force."""
    machine, swap = run.machine, run.machine.swap
    slots: Counter[int] = Counter()
    ptes: Counter[int] = Counter()
    huge: Counter[int] = Counter()
    marked = []
    for mm in machine.mms.values():
        for entry in mm.tables.values():
            if isinstance(entry, PmdEntry):
                huge[entry.folio] += entry.folio >= 0
                continue
            for folio, page, exclusive in zip(entry.folio, entry.page, entry.exclusive, strict=True):
                if folio == SWAP:
                    slots[int(page)] += 1
                    marked += [int(page)] * bool(exclusive)
                elif folio >= 0:
                    ptes[int(folio)] += 1
    files = {vma.file for mm in machine.mms.values() for vma in mm.vmas if vma.file}
    slots.update(page.slot for file in files for page in file.swapped.values())
    assert dict(slots) == dict(swap.entries)
    assert all(slots[slot] == 1 for slot in marked), "an exclusive page was shared"
    for number, folio in machine.folios.items():
        assert (folio.ptes, folio.huge) == (ptes[number], huge[number])
    cached = {
        folio.slot + page: folio
        for folio in machine.folios.values()
        if folio.slot is not None
        for page in range(folio.nr_pages)
    }
    assert cached == swap.cache
    assert all(folio.extra_refs == folio.nr_pages for folio in cached.values())
    assert (swap.data | swap.zero) <= set(slots) | set(cached)


def check_log(run):
    """Let the era's scheme count what the log says: the words are those of the machine."""
    machine, places = run.machine, run.backend.scheme.scheme.places
    (replayed,) = replay(log(machine), [run.backend.scheme], engine="plain")
    for number, folio in machine.folios.items():
        base = int(replayed.folios.base[number])
        for name in {place.word.name for place in places} - {EXCLUSIVE}:
            if machine.counts.is_page_word(name):
                ours = machine.counts.pages(name, number)
                assert replayed.words[name][base : base + folio.nr_pages].tolist() == ours, name
            else:
                assert replayed.words[name][number] == machine.counts.word(name, number), name


def _step(verb, process, span, child):
    if verb in {"write", "read"}:
        return Access(process, span, verb == "write")
    if verb in {"ro", "rw"}:
        return Mprotect(process, span, Protection(verb))
    if verb == "munmap":
        return Munmap(process, span)
    if verb == "exit":
        return Exit(process)
    return Fork(process, child) if verb == "fork" else Madvise(process, span, Advice(verb))


VERBS = [
    "mergeable",
    "write",
    "write",
    "read",
    "pageout",
    "pageout",
    "free",
    "munmap",
    "dontneed",
    "ro",
    "rw",
    "fork",
    "exit",
]
RANGES = [(0, 32), (0, 16), (16, 32), (3, 4), (7, 20), (1, 2), (15, 17), (24, 31)]
STEPS = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 3), st.sampled_from(RANGES), st.sampled_from("aaab")),
    min_size=5,
    max_size=40,
)


@given(STEPS, st.sampled_from(list(KERNELS)), st.sampled_from([{}, MTHP]))
@settings(max_examples=80, deadline=None)
def test_whatever_happens_all_tell_the_same_and_nothing_is_left(steps, kernel, sizes):
    run = Run(kernel, "p: mmap a 128k huge\np: write a[0:32]\np: mmap b 128k shared huge", **sizes)
    alive, names = ["p"], ["c", "d", "e"]
    for verb, who, (first, end), area in steps:
        process = alive[who % len(alive)]
        if (verb == "fork" and not names) or (verb == "exit" and len(alive) == 1):
            continue
        run.step(_step(verb, process, Span(area, first, end), names[0] if names else ""))
        if verb == "fork":
            alive.append(names.pop(0))
        elif verb == "exit":
            alive.remove(process)
        check(run)
    check_log(run)
    run.backend.end()
    machine = run.machine
    assert not machine.folios
    assert not (machine.swap.entries or machine.swap.cache or machine.swap.data or machine.swap.zero)


def test_the_check_sees_a_slot_that_is_counted_once_too_often():
    run = Run("6.12", OUT)
    check(run)
    run.machine.swap.entries[0] += 1
    with pytest.raises(AssertionError):
        check(run)
