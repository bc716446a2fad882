"""One row for each address space: twins and threads once, dead leaders too; what may not be read is listed."""

from __future__ import annotations

import os

import pytest

import mapcount
from live.captured import broken_rules, large_view, mm_of
from live.view import differences


def processes_that_may_not_be_read() -> list[int]:
    """Return pids whose pagemap the kernel refuses to open, asked one by one."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                os.close(os.open(f"/proc/{name}/pagemap", os.O_RDONLY))
            except PermissionError:
                found.append(int(name))
            except OSError:
                continue
    return found


def test_clone_vm_twin_is_no_second_mm(workload, thp):
    thp(anon=(64,))
    running = workload("twins.py", "twin")
    parent, twin = running.pids["parent"], running.facts["twin"]
    for pids in ([parent, twin], [twin, parent]):
        snapshot = mapcount.capture(pids=pids)
        assert len(snapshot.mms) == 1
        assert mm_of(snapshot, parent) == mm_of(snapshot, twin)
        assert snapshot.mms.pid[0] == min(parent, twin)
        assert differences(running.view(), large_view(snapshot, running.pids, running.areas)) == []


def test_twin_that_was_not_asked_for_is_not_unseen(workload, thp):
    """With --pid of one twin, the other's mappings are the same mappings: nothing is missing."""
    thp(anon=(64,))
    running = workload("twins.py", "twin")
    snapshot = mapcount.capture(pids=[running.pids["parent"]])
    large = set(large_view(snapshot, running.pids, running.areas).folios)
    assert not large & set(snapshot.unseen.folio_id.tolist())


def test_threads_count_once(workload, thp):
    thp(anon=(64,))
    running = workload("twins.py", "threads")
    pid = running.pids["parent"]
    assert len(os.listdir(f"/proc/{pid}/task")) == 8
    snapshot = mapcount.capture(pids=[pid])
    assert len(snapshot.mms) == 1
    assert differences(running.view(), large_view(snapshot, running.pids, running.areas)) == []


def test_dead_leader_is_read_through_a_thread(workload, thp):
    thp(anon=(64,))
    running = workload("twins.py", "dead-leader")
    pid = running.pids["parent"]
    with open(f"/proc/{pid}/stat") as stat:
        assert stat.read().rpartition(")")[2].split()[0] == "Z"
    snapshot = mapcount.capture(pids=[pid])
    assert len(snapshot.mms) == 1
    (mm,) = snapshot.mms.pid.tolist()
    alive = {int(task) for task in os.listdir(f"/proc/{pid}/task")}
    assert mm in alive
    view = large_view(snapshot, {"parent": mm}, running.areas)
    assert differences(running.view(), view) == []


def test_unreadable_processes_are_listed(workload, thp):
    refused = processes_that_may_not_be_read()
    if not refused:
        pytest.skip("root may read every process here")
    thp(anon=(64,))
    running = workload("twins.py", "threads")
    snapshot = mapcount.capture()
    listed = {entry["pid"]: entry for entry in snapshot.meta.unreadable}
    still = set(refused) & set(processes_that_may_not_be_read())
    assert still <= listed.keys()
    assert all(listed[pid]["error"] for pid in still)
    assert differences(running.view(), large_view(snapshot, running.pids, running.areas)) == []
    assert broken_rules(snapshot) == []


def test_whole_machine_sees_the_family(workload, thp):
    """Without --pid the parent and its children are found, and nobody unseen maps their folios."""
    thp(anon=(64,))
    running = workload("fork.py")
    snapshot = mapcount.capture()
    assert snapshot.meta.scope == "all"
    view = large_view(snapshot, running.pids, running.areas)
    assert differences(running.view().select(large=True), view) == []
    assert not set(view.folios) & set(snapshot.unseen.folio_id.tolist())


def test_one_of_a_family(workload, thp):
    """
    With the parent's pid alone, what the children map is unseen, not absent.

    Every mapping of the workload is then either in `runs` or in `unseen`: page by page, as many as the truth has.
    """
    thp(anon=(64,))
    running = workload("fork.py")
    snapshot = mapcount.capture(pids=[running.pids["parent"]])
    if snapshot.meta.counts_are != "exact":
        pytest.skip(f"kpagecount is {snapshot.meta.counts_are} here: what is unseen is not known")
    parent = {"parent": running.pids["parent"]}
    view = large_view(snapshot, parent, running.areas)
    unseen = {
        (int(folio), int(first) + i): int(mappings)
        for folio, first, count, mappings in zip(
            snapshot.unseen.folio_id,
            snapshot.unseen.first_page,
            snapshot.unseen.nr_pages,
            snapshot.unseen.mappings,
            strict=True,
        )
        for i in range(int(count))
    }
    truth = running.view().select(large=True)
    of_parent = {entry.folio for entry in truth.pages["parent"].values()}
    expected = sorted(
        sorted((page, len(names)) for page, names in pages.items())
        for folio, pages in truth.mapped().items()
        if folio in of_parent
    )
    mapped = view.mapped()
    found = sorted(
        sorted(
            (page, len(mapped[folio].get(page, [])) + unseen.get((folio, page), 0))
            for page in range(1 << view.folios[folio][1])
            if page in mapped[folio] or (folio, page) in unseen
        )
        for folio in view.folios
    )
    assert found == expected
