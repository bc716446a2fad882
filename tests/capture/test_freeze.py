"""A freeze, judged by its victims: counters that stand still and move again, and what the kernel shows of them."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from capture.freeze_victims import hold, make_victims, stop
from mapcount.capture.freeze import Freeze, frozen
from mapcount.capture.freeze_watchdog import read_stat, send_signal
from waiting import HANG_S, wait_for


@pytest.fixture
def victims(tmp_path):
    with make_victims(tmp_path) as make:
        yield make


def test_victims_stand_still_inside_and_run_after(victims):
    three = [victims() for _ in range(3)]
    begin = time.monotonic()
    with hold(*three) as freeze:
        assert all(victim.states() == {"T"} and victim.stands() for victim in three)
        inside = time.monotonic()
        time.sleep(0.1)
        elapsed_inside = time.monotonic() - inside
    elapsed = time.monotonic() - begin
    assert all(victim.runs() for victim in three)
    assert [one.pid for one in freeze.stopped] == [victim.pid for victim in three]
    assert all(one.settled and one.held and one.how == "SIGSTOP" for one in freeze.stopped)
    assert all(elapsed > one.seconds > elapsed_inside for one in freeze.stopped)
    assert freeze.left_alone == [] and not freeze.expired
    assert freeze.notes()[0].startswith("3 processes were stopped (SIGSTOP), for at most ")


def test_every_thread_stands_still_as_soon_as_the_body_begins(victims):
    victim = victims(threads=37)
    for _ in range(5):
        with hold(victim) as freeze:
            first = victim.counters()
            states = victim.states()
            time.sleep(0.05)
            assert victim.counters() == first and states == {"T"}
        assert freeze.stopped[0].settled
        assert victim.runs()


def test_a_dead_leader_is_no_obstacle(tmp_path):
    # Its threads live on when the main thread has exited by pthread_exit; pid and a thread's tid stand for the process.
    source = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    child = subprocess.Popen([sys.executable, "-c", source + "time.sleep(.1)\nctypes.CDLL(None).syscall(60, 0)"])
    try:
        wait_for(
            lambda: read_stat(f"/proc/{child.pid}/stat")[0] == "Z" and len(os.listdir(f"/proc/{child.pid}/task")) > 1
        )
        tid = max(int(name) for name in os.listdir(f"/proc/{child.pid}/task"))
        for pid in (child.pid, tid):
            with frozen([pid], refuse_own_cgroup=False) as freeze:
                assert read_stat(f"/proc/{child.pid}/task/{tid}/stat")[0] == "T"
            assert [(one.pid, one.held) for one in freeze.stopped] == [(child.pid, True)]
            wait_for(lambda: read_stat(f"/proc/{child.pid}/task/{tid}/stat")[0] == "S")
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_in_the_body_resumes(victims, error):
    victim = victims()
    with pytest.raises(error), hold(victim):
        raise error
    assert victim.runs()


def test_a_freeze_leaves_neither_a_child_nor_a_descriptor_behind(victims):
    victim = victims()

    def ours() -> tuple[int, list[str]]:
        children = Path("/proc/thread-self/children").read_text().split()
        return len(os.listdir("/proc/self/fd")), children

    before = ours()
    for _ in range(3):
        with hold(victim):
            assert len(ours()[1]) == len(before[1]) + 1
    assert ours() == before


def test_it_works_beside_threads(victims):
    # A fork would warn here, and warnings are errors.
    victim, stop = victims(), threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        with hold(victim):
            assert victim.stands()
    finally:
        stop.set()
        other.join()
    assert victim.runs()


def test_a_parent_sees_a_stop_by_signal(victims):
    # What --freeze warns of.
    victim = victims()
    with hold(victim):
        seen = os.waitid(os.P_PID, victim.pid, os.WSTOPPED | os.WNOHANG)
        assert seen is not None and seen.si_status == signal.SIGSTOP


def test_nothing_to_stop_starts_nothing():
    before = Path("/proc/thread-self/children").read_text()
    with frozen([]) as freeze:
        assert Path("/proc/thread-self/children").read_text() == before
    assert freeze == Freeze()


def test_what_was_stopped_before_stays_stopped(victims):
    stopped, running = victims(), victims()
    stop(stopped)
    with hold(stopped, running) as freeze:
        assert running.stands()
    assert running.runs()
    assert stopped.states() == {"T"} and stopped.stands()
    assert [(one.pid, one.reason) for one in freeze.left_alone] == [(stopped.pid, "it was stopped before")]
    assert [one.pid for one in freeze.stopped] == [running.pid]


def test_a_second_freeze_leaves_the_first_ones_victims_alone(victims):
    victim = victims()
    with hold(victim):
        with hold(victim) as second:
            pass
        assert victim.states() == {"T"} and victim.stands()
    assert victim.runs()
    assert second.stopped == [] and len(second.left_alone) == 1


def test_a_traced_process_is_left_alone(victims):
    victim, seize = victims(), 0x4206  # PTRACE_SEIZE, include/uapi/linux/ptrace.h: traces without stopping
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if ptrace(seize, victim.pid, None, None) != 0:
        pytest.skip(f"ptrace is not allowed here: {os.strerror(ctypes.get_errno())}")
    with hold(victim) as freeze:
        assert victim.runs()
    assert [(one.pid, one.reason) for one in freeze.left_alone] == [(victim.pid, f"process {os.getpid()} traces it")]


def test_the_vanished_and_the_dead_are_left_alone(victims):
    gone = subprocess.Popen(["true"])
    gone.wait()
    zombie = subprocess.Popen(["true"])
    wait_for(lambda: read_stat(f"/proc/{zombie.pid}/stat")[0] == "Z")
    victim = victims()
    with frozen([gone.pid, victim.pid, zombie.pid], refuse_own_cgroup=False) as freeze:
        assert victim.stands()
    zombie.wait()
    assert {one.pid: one.reason.split(" (")[0] for one in freeze.left_alone} == {
        gone.pid: "there is no such process any more",
        zombie.pid: "it has exited and waits for its parent",
    }
    assert [one.pid for one in freeze.stopped] == [victim.pid]


def test_a_reused_pid_is_not_touched(victims):
    victim = victims()
    other = victim.start_time - 1
    with hold(victim, start_times={victim.pid: other}) as freeze:
        assert victim.runs()
    assert freeze.stopped == [] and freeze.left_alone[0].reason == "its pid belongs to another process by now"
    assert not send_signal(victim.pid, other, signal.SIGKILL)
    assert victim.runs()
    with hold(victim, start_times={victim.pid: victim.start_time}) as freeze:
        assert victim.stands()


def test_a_victim_that_dies_while_held(victims):
    dying, other = victims(), victims()
    with hold(dying, other) as freeze:
        dying.end()
    assert other.runs()
    assert {one.pid: one.held for one in freeze.stopped} == {dying.pid: False, other.pid: True}
    assert f"Process {dying.pid} ended, or somebody resumed it, while it was stopped." in freeze.notes()


def test_victims_that_die_while_they_are_being_stopped():
    for delay in range(11):
        children = [subprocess.Popen(["sleep", f"0.0{delay + index}"]) for index in range(7)]
        with frozen([child.pid for child in children], refuse_own_cgroup=False) as freeze:
            stopped = {one.pid for one in freeze.stopped}
        assert [child.wait() for child in children] == [0] * 7
        assert stopped | {one.pid for one in freeze.left_alone} == {child.pid for child in children}
        assert not stopped & {one.pid for one in freeze.left_alone}


def test_a_thread_that_hangs_in_the_kernel_is_reported_and_not_waited_for():
    # The parent of a vfork waits uninterruptibly for its child; CLONE_VFORK without CLONE_VM does the same to no harm.
    if platform.machine() != "x86_64":
        pytest.skip("the number of clone(2) is known to this test on x86-64 only")
    source = (
        "import ctypes, os\nflags = 0x4000 | 17  # CLONE_VFORK | SIGCHLD\n"
        "if ctypes.CDLL(None).syscall(56, flags, 0, 0, 0, 0) == 0:\n    os.read(0, 1)\n    os._exit(0)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", source], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: read_stat(f"/proc/{child.pid}/stat")[0] == "D")
        with frozen([child.pid], settle_s=0.1, refuse_own_cgroup=False) as freeze:
            assert read_stat(f"/proc/{child.pid}/stat")[0] == "D"
        assert [one.settled for one in freeze.stopped] == [False] and freeze.stopped[0].seconds > 0.1
        note = f"Process {child.pid} may have run while it was read: one of its threads did not stop in time."
        assert freeze.notes()[1:] == [note]
        child.stdin.close()
        assert child.wait(HANG_S) == 0
    finally:
        child.stdin.close()
        child.kill()
        child.wait()
