"""Runs cut from page-table entries, against a page-by-page reading; pages taken out of runs, against sets."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from capture.frames import folio_lists
from mapcount.capture.kpage import HEAD, SMALL, TAIL
from mapcount.capture.runs import RawBits, RawRuns, keep_pages, runs_of
from mapcount.mapping.schema import Level

NR_PFNS = 2048


def u64(values):
    return np.array(list(values), np.uint64)


def made_runs(rows):
    """Runs from (page, pfn, nr_pages, level)."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    return RawRuns(u64(columns[0]), u64(columns[1]), np.array(columns[2], np.uint32), np.array(columns[3], np.uint8))


def pages_of(runs):
    """Every (page, pfn, level) of runs, one by one and in order."""
    rows = zip(runs.page.tolist(), runs.pfn.tolist(), runs.nr_pages.tolist(), runs.level.tolist(), strict=True)
    return [(page + i, pfn + i, level) for page, pfn, nr_pages, level in rows for i in range(nr_pages)]


@st.composite
def tables(draw):
    """What a page table maps: page -> pfn in order; the folio of each frame; where VMAs start."""
    folios = draw(folio_lists(NR_PFNS))
    folio_of = {pfn: folio for folio in folios for pfn in range(folio[0], folio[0] + (1 << folio[1]))}
    mapped, page = {}, draw(st.integers(0, 1030))
    for _ in range(draw(st.integers(1, 9)) if folios else 0):
        head, order, *_ = draw(st.sampled_from(folios))
        first = draw(st.integers(0, (1 << order) - 1)) if draw(st.booleans()) else 0
        for pfn in range(head + first, head + first + draw(st.integers(1, 600))):
            if pfn not in folio_of:
                break
            mapped[page] = pfn
            page += 1
        page += draw(st.sampled_from([0, 0, 1, 7]))
    for hole in draw(st.sets(st.sampled_from(sorted(mapped)), max_size=5)) if mapped else ():
        del mapped[hole]  # page and frame both go on behind it
    starts = draw(st.sets(st.integers(0, page + 20), max_size=5))
    return folios, mapped, sorted(starts), draw(st.sets(st.sampled_from(sorted(mapped)) if mapped else st.nothing()))


def class_of(folio, pfn):
    head, order, kind, _ = folio
    if order == 0:
        return SMALL | ("anon", "shmem", "file", "hugetlb", "ksm", "zero", "device").index(kind)
    return HEAD if pfn == head else TAIL


@given(tables())
def test_runs_are_maximal_and_end_where_they_must(table):
    folios, mapped, vma_starts, once = table
    folio_of = {pfn: folio for folio in folios for pfn in range(folio[0], folio[0] + (1 << folio[1]))}
    pages = sorted(mapped)
    expected, stretches = [], []
    for at, page in enumerate(pages):
        pfn, folio = mapped[page], folio_of[mapped[page]]
        goes_on = at > 0 and pages[at - 1] == page - 1 and mapped[page - 1] == pfn - 1
        if goes_on:
            before = folio_of[pfn - 1]
            goes_on = before is folio or (before[1] == folio[1] == 0 and before[2] == folio[2])
        goes_on = goes_on and page % 512 != 0 and page not in vma_starts
        if goes_on:
            expected[-1][2] += 1
        else:
            expected.append([page, pfn, 1, Level.PTE])
        if folio[1]:
            if goes_on and stretches[-1][2] == (page in once):
                stretches[-1][1] += 1
            else:
                stretches.append([page, 1, page in once])
    classes = np.array([class_of(folio_of[mapped[page]], mapped[page]) for page in pages], np.uint8)
    bits = np.array([page in once for page in pages], np.bool_)
    runs, told = runs_of(u64(pages), u64(mapped[page] for page in pages), bits, classes, u64(vma_starts))
    assert [list(row) for row in zip(runs.page, runs.pfn, runs.nr_pages, runs.level, strict=True)] == expected
    assert [list(row) for row in zip(told.page, told.nr_pages, told.mapped_once, strict=True)] == stretches


@given(st.lists(st.tuples(st.integers(1, 23), st.sampled_from([0, 1, 5]), st.booleans()), max_size=9), st.data())
def test_pages_that_are_left_out_split_runs(pieces, data):
    rows, page, pfn = [], 1000, 70
    for nr_pages, gap, joined in pieces:
        rows.append((page, pfn, nr_pages, data.draw(st.sampled_from([Level.PTE, Level.PMD]))))
        page, pfn = page + nr_pages + gap, pfn + (nr_pages if joined else 101)
    runs = made_runs(rows)
    keep = data.draw(st.lists(st.booleans(), min_size=len(pages_of(runs)), max_size=len(pages_of(runs))))
    kept = keep_pages(runs, np.array(keep, np.bool_))
    assert pages_of(kept) == list(itertools.compress(pages_of(runs), keep))
    origin = [row for row, (_, _, nr_pages, _) in enumerate(rows) for _ in range(nr_pages)]
    stretches = sum(  # a stretch begins at a kept page that is its run's first or follows one that is left out
        now and not (at and keep[at - 1] and origin[at] == origin[at - 1]) for at, now in enumerate(keep)
    )
    assert len(kept) == stretches


def test_nothing_gives_no_runs():
    none = u64([])
    runs, bits = runs_of(none, none, np.empty(0, np.bool_), np.empty(0, np.uint8), u64([7]))
    assert (len(runs), len(bits.page)) == (0, 0)
    assert len(RawRuns.join([])) == len(RawBits.join([]).page) == 0
    assert len(keep_pages(made_runs([(5, 9, 3, 0)]), np.zeros(3, np.bool_))) == 0


def test_runs_of_several_windows_are_put_one_after_the_other():
    one, other = made_runs([(5, 9, 3, 0)]), made_runs([(512, 512, 512, 1), (1, 2, 1, 0)])
    joined = RawRuns.join([one, other])
    assert pages_of(joined) == pages_of(one) + pages_of(other)
    assert pages_of(joined.take(joined.level == 0)) == [(5, 9, 0), (6, 10, 0), (7, 11, 0), (1, 2, 0)]
