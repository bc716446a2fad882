"""Scenarios as evidence: steps and counts without the bias, a log and a snapshot of the same state."""

from __future__ import annotations

import numpy as np

from mapcount.explain.scenes import log_of, play, snapshot_of
from mapcount.mapping.schema import Op

STEPS = """
p: mmap a 2M huge
p: touch a[0]
p: fork c
c: munmap a[0:7]
"""


def test_states_after_each_step():
    seen = play(STEPS, "6.12")

    assert [one.step for one in seen[1:]] == ["p: write a[0]", "p: fork c", "c: munmap a[0:7]"]
    assert [(one.pages_of("p"), one.pages_of("c")) for one in seen[1:]] == [(512, 0), (512, 512), (512, 505)]
    # The child's PMD is split first: its 505 PTEs are counted per page, the parent's PMD is not.
    assert seen[-1].page_counts() == [0] * 7 + [1] * 505
    assert seen[-1].word("_large_mapcount") + 1 == 1 + 505


def test_log_and_snapshot_are_of_the_same_scenario():
    unmapped = [batch.nr_pages[batch.op == Op.UNMAP] for batch in log_of(STEPS, "6.12").batches()]
    assert int(np.concatenate(unmapped).sum()) == 7
    assert int(snapshot_of(STEPS, "6.12").runs.nr_pages.sum()) == 512 + 505
