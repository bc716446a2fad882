"""The next kernels: smaps without counts per page by hand, and what changes on a machine."""

from __future__ import annotations

import pytest

from builders import SnapshotBuilder
from explain.given import GIVEN, figures
from mapcount.explain.given import Given, Taken
from mapcount.explain.questions import next_kernels

KIB = 1024


def test_smaps_by_hand():
    rows = figures(next_kernels.evidence(GIVEN), "smaps")
    # 24 mappings on 16 pages: 1.5, rounded to 2; and the folio is shared, so no page is Private.
    assert rows == [
        ["p", "counts", 64 * KIB, (8 * 4 + 8 * 2) * KIB, 32 * KIB, 32 * KIB],
        ["p", "none", 64 * KIB, 16 * 2 * KIB, 0, 64 * KIB],
        ["c", "counts", 32 * KIB, 8 * 2 * KIB, 0, 32 * KIB],
        ["c", "none", 32 * KIB, 8 * 2 * KIB, 0, 32 * KIB],
    ]


def test_the_machine_that_was_given():
    rows = {row[0]: row[1:] for row in figures(next_kernels.evidence(GIVEN), "sizes that would change")}
    # 11 folios of 16 pages, 13 of them mapped, and one of 512; without counts per page all 16 are taken for mapped.
    true = (11 * 13 + 512) * 4 * KIB
    assert rows["AnonPages"] == [true, true, (11 * 16 + 512) * 4 * KIB]
    counts = {row[0]: row[1:] for row in figures(next_kernels.evidence(GIVEN), "counts that would change")}
    # The unmapped pages of the 11, and two of the file's four, look mapped once.
    assert counts["kpagecount of 0"] == [11 * 3 + 2, 11 * 3 + 2, 0]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        ({"counts_are": "average"}, "it has no counts per page"),
        ({"kernel_release": "6.18.44"}, "no large folio is mapped"),
    ],
)
def test_where_nothing_can_change(build, words):
    given = Given(lambda: Taken(SnapshotBuilder().build(**{"kernel_release": "6.18.44"} | build), "A machine"))
    *_, last = next_kernels.evidence(given)
    assert words in last.words
