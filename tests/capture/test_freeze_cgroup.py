"""The cgroup freezer, on cgroups of our own in v2 and v1, and on made-up directories."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.freeze_victims import Victim, capturing, hold, make_victims, stop
from mapcount.capture.cgroups import Mount
from mapcount.capture.freeze import frozen
from mapcount.capture.freeze_cgroup import Freezer, covering, freezer_mounts, freezers_of, parse_cgroups
from waiting import wait_for


@pytest.fixture
def victims(tmp_path):
    with make_victims(tmp_path) as make:
        yield make


@pytest.fixture(params=["cgroup v2", "cgroup v1"])
def cgroup(request):
    """A cgroup of ours that can be frozen, made below the root of its hierarchy and removed after the test."""
    mount = next((m for m in freezer_mounts() if f"cgroup v{m.version}" == request.param), None)
    if mount is None:
        pytest.skip(f"no {request.param} hierarchy with a freezer is mounted")
    directory = Path(mount.point, f"mapcount-test-{os.getpid()}")
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"a test cgroup cannot be made in {mount.point}: {error.strerror} (needs root)")
    freezer = Freezer(mount.version, str(directory))
    if not os.path.exists(freezer.control):
        directory.rmdir()
        pytest.skip(f"this kernel cannot freeze in {mount.point}")
    yield freezer
    with contextlib.suppress(OSError):
        freezer.thaw()
    for pid in (directory / "cgroup.procs").read_text().split():
        (Path(mount.point) / "cgroup.procs").write_text(pid)
    wait_for(lambda: not _remove(directory))


def _remove(directory: Path) -> bool:
    with contextlib.suppress(OSError):
        directory.rmdir()
    return directory.exists()


def put(freezer: Freezer, *victims: Victim) -> None:
    for victim in victims:
        Path(freezer.directory, "cgroup.procs").write_text(str(victim.pid))


@pytest.mark.live
def test_a_cgroup_is_frozen_whole(victims, cgroup):
    two = [victims(), victims(threads=7)]
    put(cgroup, *two)
    with frozen([victim.pid for victim in two]) as freeze:  # its own cgroup or not: it has a freezer for itself
        assert all(victim.stands() for victim in two)
        assert all(victim.states() != {"T"} for victim in two)
        assert os.waitid(os.P_PID, two[0].pid, os.WSTOPPED | os.WNOHANG) is None
    assert all(victim.runs() for victim in two)
    assert cgroup.is_thawed()
    assert {one.pid: (one.how, one.settled, one.held) for one in freeze.stopped} == {
        victim.pid: (f"cgroup v{cgroup.version}", True, True) for victim in two
    }


@pytest.mark.live
def test_a_cgroup_with_others_in_it_is_not_frozen(victims, cgroup):
    named, other = victims(), victims()
    put(cgroup, named, other)
    with hold(named) as freeze:
        assert named.stands() and named.states() == {"T"}
        assert other.runs()
    assert freeze.stopped[0].how == "SIGSTOP"
    assert named.runs()


@pytest.mark.live
def test_a_cgroup_with_others_in_a_child_is_not_frozen(victims, cgroup):
    named, other = victims(), victims()
    child = Freezer(cgroup.version, os.path.join(cgroup.directory, "child"))
    os.mkdir(child.directory)
    try:
        put(cgroup, named)
        put(child, other)
        with hold(named) as freeze:
            assert other.runs()
        assert freeze.stopped[0].how == "SIGSTOP"
        with hold(named, other) as freeze:
            assert named.stands() and other.stands()
        assert {one.how for one in freeze.stopped} == {f"cgroup v{cgroup.version}"}
        assert named.runs() and other.runs()
    finally:
        other.end()
        wait_for(lambda: not _remove(Path(child.directory)))


@pytest.mark.live
def test_a_stopped_member_of_a_frozen_cgroup_stays_stopped(victims, cgroup):
    stopped, running = victims(), victims()
    put(cgroup, stopped, running)
    stop(stopped)
    with hold(stopped, running) as freeze:
        assert running.stands()
    assert running.runs()
    assert stopped.states() == {"T"} and stopped.stands()
    assert [one.pid for one in freeze.stopped] == [running.pid]
    assert [one.reason for one in freeze.left_alone] == ["it was stopped before"]


@pytest.mark.live
def test_a_cgroup_frozen_before_stays_frozen(victims, cgroup):
    victim, other = victims(), victims()
    put(cgroup, victim, other)
    cgroup.freeze()
    wait_for(cgroup.is_frozen)
    for named in ([victim, other], [victim]):
        with hold(*named) as freeze:
            pass
        assert cgroup.is_frozen() and victim.stands()
        assert freeze.stopped == []
        assert {one.reason for one in freeze.left_alone} == {"its cgroup was frozen before"}
    cgroup.thaw()
    assert victim.runs() and other.runs()


@pytest.mark.live
def test_a_cgroup_is_thawed_when_the_capture_is_killed(victims, cgroup):
    victim = victims()
    put(cgroup, victim)
    with capturing("hang", victim) as capture:
        assert cgroup.is_frozen()
        capture.kill()
        assert victim.runs()
    assert cgroup.is_thawed()


@pytest.mark.live
def test_the_time_limit_thaws_a_cgroup(victims, cgroup):
    victim = victims()
    put(cgroup, victim)
    begin = time.monotonic()
    with hold(victim, time_limit_s=1) as freeze:
        assert victim.runs()
        assert time.monotonic() - begin > 1, "it ran before the limit passed"
    assert freeze.expired and not freeze.stopped[0].held


def test_cgroup_paths_by_controller():
    text = "9:name=systemd:/s\n4:cpu,memory:/a:b\n3:freezer:/f\n0::/u\n"
    assert parse_cgroups(text) == {"name=systemd": "/s", "cpu": "/a:b", "memory": "/a:b", "freezer": "/f", "": "/u"}


def fake_cgroup(directory: Path, pids: list[int], *, control: str = "0\n") -> None:
    directory.mkdir(exist_ok=True)
    (directory / "cgroup.freeze").write_text(control)
    for name in ("cgroup.procs", "cgroup.threads"):
        (directory / name).write_text("".join(f"{pid}\n" for pid in pids))


def test_the_topmost_cgroup_that_holds_only_targets_is_chosen(tmp_path):
    # Pids above the kernel's limit (2^22) have no threads that could live elsewhere.
    a, b, c, d, e = (5_000_011 + 2 * index for index in range(5))
    fake_cgroup(tmp_path / "one", [a, b])
    fake_cgroup(tmp_path / "one/child", [c])
    fake_cgroup(tmp_path / "two", [d])
    fake_cgroup(tmp_path / "two/child", [e])
    mount = Mount(str(tmp_path), "/", frozenset(), 2)
    paths = {a: "/one", b: "/one", c: "/one/child", d: "/two", e: "/two/child"}

    def chosen(*pids: int) -> dict[str, set[int]]:
        freezers = {freezer for pid in pids for freezer in freezers_of({"": paths[pid]}, [mount])}
        return {Path(f.directory).relative_to(tmp_path).as_posix(): set(m) for f, m in covering(freezers, pids).items()}

    assert chosen(a, b, c) == {"one": {a, b, c}}
    assert chosen(a, b) == {}
    assert chosen(c) == {"one/child": {c}}
    assert chosen(a, c, d, e) == {"one/child": {c}, "two": {d, e}}
    assert chosen(d) == {}


def test_a_cgroup_with_members_of_another_pid_namespace_is_not_chosen(tmp_path):
    fake_cgroup(tmp_path / "one", [5_000_011, 0])
    assert Freezer(2, str(tmp_path / "one")).members() is None


def test_the_root_cgroup_and_paths_outside_of_the_mount_have_no_freezer(tmp_path):
    mount = Mount(str(tmp_path), "/", frozenset(), 2)
    assert freezers_of({"": "/"}, [mount]) == []
    assert freezers_of({"": "/../other"}, [mount]) == []
    assert freezers_of({"memory": "/one"}, [mount]) == []


@given(st.data())
def test_what_is_chosen_by_brute_force(data):
    # A tree of cgroups: cgroup n hangs below an earlier one; pids sit in any; some are to be stopped.
    parents = [data.draw(st.integers(-1, n - 1)) for n in range(data.draw(st.integers(1, 7)))]
    seats = {5_000_011 + 2 * i: seat for i, seat in enumerate(data.draw(st.lists(st.integers(0, len(parents) - 1))))}
    targets = data.draw(st.sets(st.sampled_from(sorted(seats)))) if seats else set()
    above = {n: {n} | (above_of(n, parents)) for n in range(len(parents))}
    subtree = {n: {pid for pid, seat in seats.items() if n in above[seat]} for n in range(len(parents))}
    whole = {seats[pid] for pid in targets if subtree[seats[pid]] <= targets}
    topmost = {n for n in whole if not (above[n] - {n}) & whole}
    with tempfile.TemporaryDirectory() as top:
        paths: list[Path] = []
        for n, parent in enumerate(parents):
            paths.append((paths[parent] if parent >= 0 else Path(top)) / str(n))
            fake_cgroup(paths[n], [pid for pid, seat in seats.items() if seat == n])
        chosen = covering({Freezer(2, str(paths[seats[pid]])) for pid in targets}, targets)
        assert {int(Path(f.directory).name): set(m) for f, m in chosen.items()} == {n: subtree[n] for n in topmost}


def above_of(n: int, parents: list[int]) -> set[int]:
    return {parents[n]} | above_of(parents[n], parents) if parents[n] >= 0 else set()
