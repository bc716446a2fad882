"""What is summed up of calls, against sums done by hand; and what programs are told of, with a pretended guest."""

from __future__ import annotations

import pytest

from mapcount.errors import GuestError, KernelFeatureError
from mapcount.kernels.rmap_calls import Change, RmapCall
from mapcount.kernels.usual_case import SIZES, check_release, measure, summarise
from mapcount.kernels.workloads import Workload

CALLS = [
    *[RmapCall(Change.UNMAP, pages, 16, False, "f") for pages in (16, 1, 1, 5, 16, 3, 16)],
    RmapCall(Change.UNMAP, 512, 512, True, "f"),
    *[RmapCall(Change.NEW, 16, 16, False, "f") for _ in range(3)],
    RmapCall(Change.UNMAP, 511, 512, False, "f"),
]


def test_calls_are_summed_up_by_what_they_do_folio_size_and_level():
    rows = list(summarise("6.12", "2M", "prime", CALLS))
    assert [(row.change, row.order, row.by_pmd) for row in rows] == [
        (Change.NEW, 4, False),
        (Change.UNMAP, 4, False),
        (Change.UNMAP, 9, True),
        (Change.UNMAP, 9, False),
    ]
    unmapped = rows[1]
    assert (unmapped.calls, unmapped.pages, unmapped.of_one_page, unmapped.of_the_whole_folio) == (7, 58, 2, 3)
    assert unmapped.median_pages == 5
    assert (rows[2].of_the_whole_folio, rows[2].median_pages) == (1, 512)
    assert (rows[3].of_the_whole_folio, rows[3].of_one_page) == (0, 0)


@pytest.mark.parametrize(("sizes", "median"), [([2], 2), ([2, 7], 2), ([2, 7, 11], 7), ([2, 2, 7, 11], 2)])
def test_half_of_the_calls_covered_so_many_pages_or_fewer(sizes, median):
    [row] = summarise("6.12", "2M", "prime", [RmapCall(Change.MAP, pages, 16, False, "f") for pages in sizes])
    assert row.median_pages == median


WORKLOADS = {name: Workload((f"/bin/{name}", "-x"), {}) for name in ("one", "other")}


def test_every_program_runs_with_all_sizes():
    asked = []

    def run(command, settings):
        asked.append((command[0], settings))
        return 0, CALLS if command[0] == "/bin/one" else []

    measured = measure("6.12", run, WORKLOADS)
    assert asked == [(f"/bin/{name}", settings) for settings in SIZES.values() for name in WORKLOADS]
    assert measured.runs == tuple((sizes, name) for sizes in SIZES for name in WORKLOADS)
    assert {(row.program, row.sizes) for row in measured.rows} == {("one", sizes) for sizes in SIZES}


def test_a_program_that_fails_counts_nothing():
    with pytest.raises(GuestError, match=r"one failed on 6\.12 with wait status 0x100: /bin/one -x"):
        measure("6.12", lambda _command, _settings: (256, CALLS), WORKLOADS)


def test_kernels_without_a_count_of_all_mappings_are_refused():
    check_release("6.10.1")
    with pytest.raises(KernelFeatureError, match=r"6\.1\.99 .* Linux 6\.10"):
        check_release("6.1.99")
