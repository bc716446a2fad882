"""entire_mapcount: it falls when a PMD is split, though the child maps as much as before."""

from __future__ import annotations

from explain.given import figures, no_machine
from mapcount.explain.questions import pmd_count


def test_steps_by_hand():
    assert figures(pmd_count.evidence(no_machine()), "entire_mapcount") == [
        ["p: write a[0]", 512, 0, 1, 0, 0],
        ["p: fork c", 512, 512, 2, 0, 0],
        ["c: mprotect a[5] ro", 512, 512, 1, 1, 1],
        ["p: munmap a[0]", 511, 512, 0, 2, 1],
    ]
