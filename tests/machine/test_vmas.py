"""VMAs after mmap, munmap, mprotect, madvise and mremap, against a dictionary that has each page by itself."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.machine.backend import ModelBackend
from mapcount.mapping.schema import Kind
from mapcount.scenarios.scenario import Settings
from mapcount.scenarios.steps import (
    Access,
    Advice,
    Fork,
    Madvise,
    Memfd,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Protection,
    Span,
    page_number,
)

PAGES = 1301
FILE = {"file": "f", "kind": Kind.SHMEM}
spans = st.builds(
    lambda first, size: Span("a", first, min(first + size, PAGES)),
    st.integers(0, PAGES - 1),
    st.sampled_from([1, 2, 7, 31, 100, 512, 700]),
)
changes = st.one_of(
    st.builds(lambda span: Munmap("p", span), spans),
    st.builds(lambda span, to: Mprotect("p", span, to), spans, st.sampled_from(Protection)),
    st.builds(lambda span, to: Madvise("p", span, to), spans, st.sampled_from([Advice.HUGEPAGE, Advice.NOHUGEPAGE])),
)
steps = st.one_of(
    changes,
    st.builds(lambda span, private: Mmap("p", span, **private), spans, st.sampled_from([{}, FILE])),
    st.builds(lambda span, page: Mmap("p", span, shared=True, file_page=page, **FILE), spans, st.integers(0, 9)),
    st.builds(lambda span, to: Mremap("p", span, "a", to), spans, st.integers(0, PAGES)),
    st.builds(lambda span, write: Access("p", span, write), spans, st.booleans()),
)


class Pages:
    """What each page is: (kind, shared, protection, advice, file, page of the file)."""

    def __init__(self):
        self.of = {}

    def do(self, step, result):
        """Follow a step; `result` tells what came of it only where that depends on VMAs."""
        range_ = range(step.span.first, step.span.end)
        if isinstance(step, Mmap):
            if not any(page in self.of for page in range_):
                for at, page in enumerate(range_):
                    place = step.file_page + at if step.file else None
                    kind = Kind.SHMEM if step.file else Kind.ANON
                    self.of[page] = (kind, step.shared, Protection.WRITE, None, step.file, place)
        elif isinstance(step, Munmap):
            for page in range_:
                self.of.pop(page, None)
        elif isinstance(step, Mprotect):
            for page in range_:
                if page not in self.of:
                    break
                self.of[page] = (*self.of[page][:2], step.protection, *self.of[page][3:])
        elif isinstance(step, Madvise):
            for page in range_:
                if page in self.of:
                    self.of[page] = (*self.of[page][:3], step.advice, *self.of[page][4:])
        elif isinstance(step, Mremap) and not result:
            moved = [self.of.pop(page, None) for page in range_]
            for at, page in enumerate(moved):
                self.of.pop(step.to_page + at, None)
                if page is not None:
                    self.of[step.to_page + at] = page


def flat(mm):
    """The same of the model's VMAs."""
    found, last = {}, 0
    for vma in mm.vmas:
        assert last <= vma.first < vma.end, "ascending and disjoint"
        last = vma.end
        for page in range(vma.first, vma.end):
            place = vma.file_page(page) if vma.file else None
            name = vma.file.name if vma.file else ""
            found[page - page_number("a", 0)] = (vma.kind, vma.shared, vma.protection, vma.advice, name, place)
    return found


@pytest.mark.parametrize("release", ["5.10", "6.12", "6.18"])
@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=23))
def test_vmas_say_of_each_page_what_was_done_to_it(release, done):
    backend = ModelBackend(release)
    backend.begin(Settings())
    backend.do(Memfd("p", "f", 2011))
    pages, mm = Pages(), backend.machine.mms["p"]
    for step in done:
        if isinstance(step, Mremap) and backend.machine.era.policies.mremap_checks_first is False:
            # Older kernels unmap what is in the way before they refuse.
            clash = range(step.to_page, step.to_page + step.span.nr_pages)
            disjoint = step.span.end <= clash.start or clash.stop <= step.span.first
            result = backend.do(step)
            if result and disjoint:
                for page in clash:
                    pages.of.pop(page, None)
        else:
            result = backend.do(step)
        if not isinstance(step, Access):
            pages.do(step, result)
        assert flat(mm) == pages.of, step
        assert [mm.vmas.find(page_number("a", page)) is not None for page in (0, 511, 1300)] == [
            page in pages.of for page in (0, 511, 1300)
        ]
    users = sum(vma.file is not None for vma in mm.vmas) + 1
    assert mm.files["f"].users == users, "the file is counted by each VMA, and by who has it open"


@settings(max_examples=40, deadline=None)
@given(st.lists(changes, max_size=23))
def test_untouched_neighbours_that_are_alike_are_one_vma(done):
    backend = ModelBackend("6.12")
    backend.begin(Settings())
    backend.do(Mmap("p", Span("a", 0, PAGES)))
    for step in done:
        backend.do(step)
    vmas = list(backend.machine.mms["p"].vmas)
    for left, right in pairwise(vmas):
        alike = (left.protection, left.advice) == (right.protection, right.advice)
        assert left.end < right.first or not alike


def test_memory_of_a_child_does_not_merge_with_what_is_new():
    """anon_vma of a child came down from its parent: is_mergeable_anon_vma(), mm/vma.c."""
    backend = ModelBackend("6.12")
    backend.begin(Settings())
    backend.do(Mmap("p", Span("a", 0, 13)))
    backend.do(Access("p", Span("a", 0, 1), write=True))
    backend.do(Fork("p", "c"))
    for process in "pc":
        backend.do(Mmap(process, Span("a", 13, 29)))
    assert [len(list(backend.machine.mms[process].vmas)) for process in "pc"] == [1, 2]


def ends_after(release, *steps):
    """Return where the VMAs of a process end after mmap of 12 pages and these steps, as 5.10, 6.12, 6.16 and 7.3 have them."""
    backend = ModelBackend(release)
    backend.begin(Settings())
    for step in (Mmap("p", Span("a", 0, 12)), *steps):
        backend.do(step)
    vmas = list(backend.machine.mms["p"].vmas)
    return [vma.end - vmas[0].first for vma in vmas]


@pytest.mark.parametrize("release", ["5.10", "6.12", "7.3"])
def test_between_two_that_have_pages_of_their_own_the_left_one_is_merged_with(release):
    middle = Span("a", 4, 8)
    writes = [Access("p", Span("a", page, page + 1), write=True) for page in (0, 8)]
    steps = [Mprotect("p", middle, Protection.NONE), *writes, Mprotect("p", middle, Protection.WRITE)]
    assert ends_after(release, *steps) == [8, 12]


@pytest.mark.parametrize(("release", "ends"), [("5.10", [7, 12]), ("6.12", [7, 12]), ("6.16", [12]), ("7.3", [12])])
def test_what_has_pages_is_merged_into_a_neighbour_without_any_since_6_16(release, ends):
    first, rest = Span("a", 0, 7), Span("a", 7, 12)
    steps = [Mprotect("p", rest, Protection.NONE), Access("p", Span("a", 0, 1), write=True)]
    assert ends_after(release, *steps, Mprotect("p", first, Protection.NONE)) == ends
