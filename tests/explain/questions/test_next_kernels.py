"""The next kernels: smaps without counts per page by hand, and what changes on a machine."""

from __future__ import annotations

from explain.given import GIVEN, figures
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
    rows = {row[0]: row[1:] for row in figures(next_kernels.evidence(GIVEN), "A machine of tests")}
    # 11 folios of 64 KiB of which 13 pages are mapped, and one of 2 MiB: 572 KiB and 704 KiB beside 2048 KiB.
    assert rows["AnonPages"] == ["2.6 MiB", "2.6 MiB", "2.7 MiB"]
