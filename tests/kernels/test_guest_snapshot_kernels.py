"""Snapshots of real kernels in QEMU, judged by what these kernels say in /proc, and by what is seen step by step."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mapcount.kernels.guest_files import GuestFiles
from mapcount.mapping.integrity import find_fault
from mapcount.mapping.schema import Consistency, Level, SwapKind
from mapcount.scenarios.parser import parse
from mapcount.scenarios.run import leave_at
from mapcount.scenarios.steps import area_address
from mapcount.schemes.eras import era_of
from mapcount.survey.run import survey
from mapcount.views.comparison import compare

pytestmark = pytest.mark.kernels

TEXT = """
set swap
set hugetlb 1
p: mmap a 2M huge
p: write a[0]
p: mmap b 4M huge
p: write b[0]
p: memfd f 2M
p: mmap e 2M shared f[0:512]
p: write e[3:20]
p: mmap h 2M hugetlb
p: write h[0]
p: fork c
c: munmap a[0:13]
c: read h[0]
c: write b[5]
p: munmap b[512:519]
p: mmap d 64k
p: write d[0:11]
p: pageout d[0:7]
"""


@pytest.fixture(scope="module")
def taken(kernel):
    """A guest that stands still, what is seen there, and its snapshot with page frame numbers."""
    leave_at(parse(TEXT, name="much"), kernel, TEXT.count(": "))
    seen = kernel.observe(0)
    yield kernel, seen, kernel.snapshot("All that is counted in some way.", keep_pfns=True)
    kernel.end()


def test_the_tables_fit_together_and_every_folio_agrees_with_its_words(taken):
    _, _, snapshot = taken
    assert find_fault(snapshot) == ""
    folios = snapshot.folios
    large = folios.consistency[folios.order > 0]
    wanted = Consistency.CHECKED if snapshot.meta.counts_are == "exact" else Consistency.UNCHECKED
    assert len(large) >= 3 and set(large.tolist()) == {wanted}
    assert snapshot.meta.races == {"pages_over": 0, "pages_under": 0}


def test_the_words_imply_what_kpagecount_says(taken):
    backend, _, snapshot = taken
    files, folios, counts = GuestFiles(backend.guest.channel), snapshot.folios, snapshot.observed_counts
    compared = 0
    for row in np.unique(counts.folio_id).tolist():
        pages = 1 << int(folios.order[row])
        if pages == 1 and row % 11:
            continue  # a file of a guest is read over a serial line
        kernel = np.frombuffer(files.read("/proc/kpagecount", int(folios.pfn[row]) * 8, pages * 8), "<u8")
        rows = counts.take(counts.folio_id == row)
        assert np.repeat(rows.count, rows.nr_pages).tolist() == kernel.tolist()
        compared += pages
    assert compared > 1024 or snapshot.meta.counts_are != "exact"


def test_the_kernels_own_numbers(taken):
    _, _, snapshot = taken
    checks = survey(snapshot).checks
    assert [check for check in checks if check.verdict == "unexplained"] == []
    # Pss is printed in KiB.
    processes = {
        check.name: abs(check.ours - check.kernel) for check in checks if check.name.startswith(("Rss", "Pss"))
    }
    assert len(processes) == 2 * len(snapshot.mms) >= 6
    assert max(processes.values()) <= 1024 or snapshot.meta.counts_are == "average"
    assert max(value for name, value in processes.items() if name.startswith("Rss")) == 0
    swapped = snapshot.swap.pages[snapshot.swap.kind == SwapKind.SWAP].sum()
    said = snapshot.observed_stats
    assert swapped * 4096 == sum(said.after[(said.source == "smaps_rollup") & (said.name == "Swap")])
    assert swapped > 0


def test_mappings_and_words_are_those_that_are_seen_step_by_step(taken):
    _, seen, snapshot = taken
    comm = snapshot.mms.comm
    runs = Counter(
        (comm[mm], int(address), Level(level), int(nr_pages))
        for mm, address, level, nr_pages in zip(
            snapshot.runs.mm_id, snapshot.runs.address, snapshot.runs.level, snapshot.runs.nr_pages, strict=True
        )
    )
    words = snapshot.observed_words
    folio_at = {
        (comm[mm], int(address)): int(folio)
        for mm, address, folio in zip(snapshot.runs.mm_id, snapshot.runs.address, snapshot.runs.folio_id, strict=True)
    }
    for row in seen.mappings:
        at = area_address(row.area, row.page)
        assert runs[row.process, at, row.level, row.nr_pages] == 1
        rows = words.take(words.folio_id == folio_at[row.process, at])
        for name, value in seen.folios[row.folio].words.items():
            if name == "_mapcount":
                flat = [stored for stored, nr_pages in value for _ in range(nr_pages)]
                said = rows.take(rows.word == name)
                assert np.repeat(said.value, said.nr_pages).tolist() == flat
            elif name == "_mm_id":
                slots = [int(rows.value[rows.word == f"_mm_id[{slot}]"][0]) for slot in (0, 1)]
                assert [comm[slot] if slot >= 0 else None for slot in slots] == list(value)
            elif isinstance(value, int) and name != "_refcount":  # a file's page may be on its way to a list
                assert rows.value[rows.word == name].tolist() == [value]


def test_counters_are_what_the_kernels_way_of_counting_makes_of_the_mappings(taken):
    backend, _, snapshot = taken
    scheme = era_of(backend.release, page_mapcount=backend.page_mapcount).scheme
    found = compare(snapshot, numbers=[scheme], answers=[], running=scheme).words
    assert [check.first for check in found if check.differ] == []
    assert sum(check.compared for check in found) > len(snapshot.folios)
