"""Captures while the captured change: no crash, no broken table, and never a private page that looks shared."""

from __future__ import annotations

import numpy as np
import pytest

import mapcount
from live.captured import broken_rules, large_view, mm_of
from live.view import differences
from mapcount.mapping.schema import Consistency, Kind


def shared_by_mistake(snapshot, mms: list[int]) -> list[str]:
    """Say what anonymous memory of these mms, none of which was forked from another, is said to have two owners."""
    found = []
    runs = snapshot.runs.take(np.isin(snapshot.runs.mm_id, mms))
    anon = snapshot.folios.kind == Kind.ANON
    for folio in np.unique(runs.folio_id):
        owners = set(snapshot.runs.mm_id[snapshot.runs.folio_id == folio].tolist())
        if anon[folio] and len(owners) > 1:
            found.append(f"folio {folio}: {owners}")
    small = snapshot.small
    wrong = np.isin(snapshot.vmas.mm_id[small.vma_id], mms) & (small.kind == Kind.ANON) & (small.mms > 1)
    return found + [f"small pages of VMA {vma}" for vma in small.vma_id[wrong]]


@pytest.mark.parametrize("everything", [False, True], ids=["pids", "all"])
def test_reused_pages_do_not_look_shared(everything, workload, thp):
    """Three processes trade pages through the allocator as fast as they can; one holds still beside them."""
    thp(anon=(64, 2048))
    still = workload("anon.py", 4) if not everything else workload("twins.py", "threads")
    churners = [workload("churn.py", seed) for seed in (2, 3, 5)]
    pids = [running.pids["parent"] for running in (still, *churners)]
    for _ in range(1 if everything else 5):
        snapshot = mapcount.capture() if everything else mapcount.capture(pids=pids)
        assert broken_rules(snapshot) == []
        assert shared_by_mistake(snapshot, [mm_of(snapshot, pid) for pid in pids]) == []
        assert snapshot.meta.verdicts.keys() <= {verdict.name.lower() for verdict in Consistency}
        mine = large_view(snapshot, still.pids, still.areas)
        assert differences(still.view().select(large=True), mine) == []
        assert {snapshot.folios.consistency[folio] for folio in mine.folios} == {Consistency.CHECKED}
        mapcount.survey(snapshot)
    assert all(running.process.poll() is None for running in churners)


def test_processes_that_come_and_go(workload, thp):
    thp(anon=(64,))
    still = workload("fork.py")
    for _ in range(3):
        workload("brief.py")
    snapshot = mapcount.capture()
    assert broken_rules(snapshot) == []
    view = large_view(snapshot, still.pids, still.areas)
    assert differences(still.view().select(large=True), view) == []


def test_process_that_is_gone(workload):
    """A named process that has ended: a MapcountError, not a traceback of something else."""
    running = workload("churn.py", 7)
    running.process.kill()
    running.process.wait()
    with pytest.raises(mapcount.MapcountError, match=str(running.pids["parent"])):
        mapcount.capture(pids=[running.pids["parent"]])
