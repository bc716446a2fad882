"""A capture as a caller sees it: what is refused, what ends it early and what is kept then, and what ids do not tell."""

import contextlib
import os
import subprocess

import numpy as np
import pytest

import mapcount
from live.captured import broken_rules
from live.conftest import why_not_live
from mapcount.capture import freeze, session
from mapcount.capture.freeze import Freeze, frozen
from mapcount.errors import NoSuchProcessError, UsageError

as_root = pytest.mark.skipif(bool(why_not_live()), reason=why_not_live() or "live")
CANNOT_BE = (1 << 22) + 7  # PIDs end at 2^22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pids": [1], "cgroup": "/"}, "not both"),
        ({"freeze": True}, "never stops the whole machine"),
        ({"max_seconds": 0}, "max_seconds must be above 0 seconds, not 0"),
        ({"max_seconds": -1.5}, "not -1.5"),
        ({"max_cpu_s": 0.0}, "max_cpu_s must be above 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_is_read(arguments, message, monkeypatch):
    monkeypatch.setattr(session, "_processes", lambda request: pytest.fail("it has begun"))
    with pytest.raises(UsageError, match=message):
        mapcount.capture(**arguments)


def test_a_process_that_is_not_there():
    with pytest.raises(NoSuchProcessError, match=str(CANNOT_BE)):
        mapcount.capture(pids=[CANNOT_BE])


@contextlib.contextmanager
def children(count):
    """Some processes to look at."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(count)]
    try:
        yield [child.pid for child in started]
    finally:
        for child in started:
            child.kill()
            child.wait()


@as_root
def test_ctrl_c_keeps_what_was_gathered():
    seen = []

    def progress(step):
        seen.append(step)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with children(5) as pids:
        snapshot = mapcount.capture(pids=pids, progress=progress)
    assert snapshot.meta.partial == "interrupted"
    assert snapshot.mms.pid.tolist() == sorted(pids)[:2] == [step.pid for step in seen]
    assert [(step.done, step.total, step.comm) for step in seen] == [(1, 5, "sleep"), (2, 5, "sleep")]
    assert all(step.pages > 0 for step in seen)
    assert broken_rules(snapshot) == [] and len(snapshot.small)


@as_root
@pytest.mark.parametrize(
    ("limit", "word"), [({"max_cpu_s": 1e-9}, "--max-cpu"), ({"max_seconds": 1e-9}, "--max-seconds")]
)
def test_a_spent_budget_gives_a_clean_partial_snapshot(limit, word, tmp_path):
    with children(2) as pids:
        snapshot = mapcount.capture(pids=pids, **limit)
    assert snapshot.meta.partial.startswith(word)
    assert broken_rules(snapshot) == []
    snapshot.save(tmp_path / "partial.mapsnap")
    mapcount.survey(snapshot)


@as_root
def test_pfns_are_kept_on_demand_alone():
    snapshot = mapcount.capture(pids=[os.getpid()], keep_pfns=True)
    pfns, sizes = snapshot.folios.pfn, np.uint64(1) << snapshot.folios.order.astype(np.uint64)
    assert len(np.unique(pfns)) == len(snapshot.folios) and (pfns % sizes == 0).all()
    flags_fd = os.open("/proc/kpageflags", os.O_RDONLY)
    try:
        words = [int.from_bytes(os.pread(flags_fd, 8, pfn * 8), "little") for pfn in pfns.tolist()]
    finally:
        os.close(flags_fd)
    assert sum(word >> 15 & 1 for word in words) >= 0.5 * len(words), "they are heads, but for what moved since"
    assert mapcount.capture(pids=[os.getpid()]).folios.pfn is None


@as_root
def test_the_scope_is_written_down():
    with children(1) as pids:
        snapshot = mapcount.capture(pids=pids)
    assert (snapshot.meta.scope, snapshot.meta.scope_detail, snapshot.meta.tier) == ("pids", str(pids[0]), "pfn")
    assert not snapshot.meta.frozen and snapshot.meta.partial == "" and snapshot.meta.processes_seen == 1
    assert snapshot.meta.elapsed_s > 0 and snapshot.meta.cpu_s > 0 and snapshot.meta.reads > 0
    assert snapshot.meta.peak_rss_bytes > 1 << 20


@as_root
def test_who_was_frozen_is_written_down_and_runs_again(monkeypatch):
    monkeypatch.setattr(freeze, "frozen", lambda pids, **more: frozen(pids, refuse_own_cgroup=False, **more))
    with children(3) as pids:
        states = []

        def progress(step):
            with open(f"/proc/{step.pid}/stat") as file:
                states.append(file.read().rpartition(") ")[2][0])

        snapshot = mapcount.capture(pids=pids, freeze=True, progress=progress)
        with open(f"/proc/{pids[0]}/stat") as file:
            assert file.read().rpartition(") ")[2][0] != "T"
    assert states == ["T"] * 3
    assert snapshot.meta.frozen and snapshot.meta.partial == ""
    assert any("3 processes were stopped (SIGSTOP)" in note for note in snapshot.meta.notes)


@as_root
def test_a_freeze_that_expired_makes_a_partial_snapshot(monkeypatch):
    monkeypatch.setattr(freeze, "frozen", lambda pids, **more: contextlib.nullcontext(Freeze(expired=True)))
    with children(1) as pids:
        snapshot = mapcount.capture(pids=pids, freeze=True)
    assert snapshot.meta.partial == "the time limit of the freeze passed"
    assert any("ran again before the capture ended" in note for note in snapshot.meta.notes)


@as_root
def test_without_scan_it_says_so():
    with children(1) as pids:
        snapshot = mapcount.capture(pids=pids, use_scan=False)
    assert any("PAGEMAP_SCAN was not used" in note for note in snapshot.meta.notes)
    assert broken_rules(snapshot) == []
