"""The watchdog: however a capture ends, its victims run again; what others stopped does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from capture.freeze_victims import TIME_LIMIT_S, capturing, hold, make_victims, stop
from mapcount.capture.freeze import frozen
from mapcount.capture.freeze_watchdog import CAPTURE_DIED, RELEASED, TIME_LIMIT, Watchdog, read_stat
from mapcount.errors import FreezeError
from waiting import HANG_S, wait_for


@pytest.fixture
def victims(tmp_path):
    with make_victims(tmp_path) as make:
        yield make


DIES_AT_ONCE = """
import os, signal, sys
from mapcount.capture import freeze
send = freeze.send_signal
def stop_and_die(*arguments):
    send(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
freeze.send_signal = stop_and_die
with freeze.frozen([int(sys.argv[1])], time_limit_s=600, refuse_own_cgroup=False):
    pass
"""

FREEZES_AGAIN_AND_AGAIN = """
import sys
from mapcount.capture.freeze import frozen
print("ready", flush=True)
while True:
    with frozen([int(pid) for pid in sys.argv[1:]], time_limit_s=600, refuse_own_cgroup=False):
        pass
"""


@pytest.mark.parametrize("how", ["hang", "fork"])
@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_victims_run_again_when_the_capture_is_killed(victims, how, signum):
    two, before = [victims(), victims(threads=5)], victims()
    os.kill(before.pid, signal.SIGSTOP)
    wait_for(lambda: before.states() == {"T"})
    with capturing(how, *two, before) as capture:
        assert all(victim.states() == {"T"} for victim in two)
        capture.send_signal(signum)
        assert all(victim.runs() for victim in two)
        assert before.states() == {"T"}


def test_a_stop_is_announced_before_it_happens(victims):
    victim = victims()
    done = subprocess.run([sys.executable, "-c", DIES_AT_ONCE, str(victim.pid)], timeout=HANG_S, check=False)
    assert done.returncode == -signal.SIGKILL
    assert victim.runs()


def test_victims_run_again_whenever_the_capture_is_killed(victims):
    many = [victims() for _ in range(11)]
    pids = [str(victim.pid) for victim in many]
    for turn in range(7):
        with subprocess.Popen(
            [sys.executable, "-c", FREEZES_AGAIN_AND_AGAIN, *pids], stdout=subprocess.PIPE
        ) as capture:
            assert capture.stdout is not None
            capture.stdout.readline()
            wait_for(lambda: any("T" in victim.states() for victim in many))
            time.sleep(0.0007 * turn)
            capture.kill()
        assert all(victim.runs() for victim in many)


def test_victims_run_again_when_the_capture_exits_at_once(victims):
    victim = victims()
    with capturing("exit", victim) as capture:
        assert capture.wait(timeout=HANG_S) == 7
    assert victim.runs()


def watchdog_of(pid: int) -> int:
    return next(
        int(child)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if b"freeze_watchdog" in Path(f"/proc/{child}/cmdline").read_bytes()
    )


def test_the_watchdog_outlives_a_ctrl_c_of_the_terminal_and_ends_with_the_capture(victims):
    victim = victims()
    with capturing("hang", victim) as capture:
        watchdog = watchdog_of(capture.pid)
        assert os.getsid(watchdog) == watchdog
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(watchdog, signum)
        time.sleep(0.05)
        assert victim.stands()
        capture.kill()
        assert victim.runs()
        wait_for(lambda: not Path(f"/proc/{watchdog}").exists() or read_stat(f"/proc/{watchdog}/stat")[0] == "Z")


def test_the_time_limit_resumes_while_the_capture_goes_on(victims):
    victim = victims()
    begin = time.monotonic()
    with hold(victim, time_limit_s=1) as freeze:
        assert victim.runs()
        assert time.monotonic() - begin > 1, "it ran before the limit passed"
        assert victim.runs()
    assert freeze.expired and not freeze.stopped[0].held
    assert "The time limit of the freeze passed: the processes ran again before the capture ended." in freeze.notes()


@pytest.mark.parametrize("limit", [0, -1, 3600, float("nan")])
def test_a_time_limit_out_of_range_is_refused(victims, limit):
    victim = victims()
    with pytest.raises(FreezeError, match="time limit"), hold(victim, time_limit_s=limit):
        pass
    assert victim.runs()


def test_a_limit_that_passes_before_the_stop_stops_nothing(victims):
    three = [victims() for _ in range(3)]
    with hold(*three, time_limit_s=1e-6) as freeze:
        assert all(victim.runs() for victim in three)
    assert freeze.expired or {one.reason for one in freeze.left_alone} == {"the time limit passed"}


def test_a_killed_watchdog_does_not_keep_us_from_resuming(victims):
    victim = victims()
    with hold(victim):
        os.kill(watchdog_of(os.getpid()), signal.SIGKILL)
        assert victim.stands()
    assert victim.runs()


def test_nothing_is_stopped_without_a_watchdog(victims, monkeypatch):
    victim = victims()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(FreezeError, match="nothing was stopped, since no watchdog could be started"), hold(victim):
        pass
    assert victim.runs()


def test_a_watchdog_that_dies_between_two_stops_ends_the_freeze(victims, monkeypatch):
    one, other = victims(), victims()
    register, calls = Watchdog.register, []

    def dying(self, line):
        calls.append(line)
        if len(calls) == 2:
            self._child.kill()
            self._child.wait()
        register(self, line)

    monkeypatch.setattr(Watchdog, "register", dying)
    with pytest.raises(FreezeError, match="the watchdog is gone"), hold(one, other):
        pytest.fail("it went on")
    assert one.runs() and other.runs()


def test_the_watchdog_resumes_what_was_announced_and_nothing_else(victims, tmp_path):
    announced, other, reused = victims(), victims(), victims()
    for victim in (announced, other, reused):
        stop(victim)
    control = tmp_path / "a control file"
    control.write_text("1")
    with Watchdog(TIME_LIMIT_S) as watchdog:
        watchdog.register(b"write 0 /nonexistent/cgroup.freeze")
        watchdog.register(b"process %d %d" % (reused.pid, reused.start_time + 1))
        watchdog.register(b"process %d %d" % (announced.pid, announced.start_time))
        watchdog.register(b"write 0 " + os.fsencode(control))
    assert watchdog.exit_code == CAPTURE_DIED
    assert announced.runs() and control.read_text() == "0"
    assert other.states() == reused.states() == {"T"}


def test_the_watchdog_resumes_nothing_after_done(victims):
    victim = victims()
    stop(victim)
    with Watchdog(TIME_LIMIT_S) as watchdog:
        watchdog.register(b"process %d %d" % (victim.pid, victim.start_time))
        watchdog.done()
    assert watchdog.exit_code == RELEASED
    assert victim.states() == {"T"}


def test_the_watchdog_watches_on_after_the_limit(victims):
    # The capture may send its last stop late, being stopped itself meanwhile: then its death must still undo that.
    victim = victims()
    stop(victim)
    with Watchdog(0.05) as watchdog:
        watchdog.register(b"process %d %d" % (victim.pid, victim.start_time))
        assert victim.runs(), "the limit has passed"
        stop(victim)
    assert watchdog.exit_code == TIME_LIMIT
    assert victim.runs()


def test_many_lines_are_all_kept(victims):
    victim = victims()
    stop(victim)
    with Watchdog(TIME_LIMIT_S) as watchdog:
        for index in range(20011):  # more than a pipe holds
            watchdog.register(b"process %d 0" % (1 << 22 | index))
        watchdog.register(b"process %d %d" % (victim.pid, victim.start_time))
    assert victim.runs()


def test_a_line_that_a_pipe_may_tear_is_refused():
    with Watchdog(TIME_LIMIT_S) as watchdog, pytest.raises(OSError, match="too long"):
        watchdog.register(b"write 0 /" + b"x" * 4096)


def test_a_handler_of_sigcont_runs_once(tmp_path):
    # Not a second time by the watchdog: it was told that we are done.
    path = tmp_path / "calls"
    source = (
        "import os, signal, sys, time\nfile = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)\n"
        "signal.signal(signal.SIGCONT, lambda *_: os.write(file, b'c'))\nos.write(file, b'r')\n"
        "while True: time.sleep(0.002)\n"
    )
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", source, str(path)])
    try:
        wait_for(lambda: path.exists() and path.read_bytes() == b"r")
        for calls in (1, 2, 3):
            with frozen([child.pid], refuse_own_cgroup=False):
                pass
            wait_for(lambda calls=calls: path.read_bytes() == b"r" + b"c" * calls)
            time.sleep(0.05)
            assert path.read_bytes() == b"r" + b"c" * calls
    finally:
        child.kill()
        child.wait()
