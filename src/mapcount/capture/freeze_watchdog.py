"""The watchdog of a freeze: a child that resumes what was stopped if the capture dies, in any way, or takes too long.

This file is also the child's program (`python -I -S freeze_watchdog.py`): it needs the standard library only, so that
it starts in milliseconds, and it is a new program, because a fork of a process with threads may deadlock. It reads
lines from a pipe, each written BEFORE the thing it names is stopped, so that there is no window in which something is
stopped and nobody knows:

    process PID START_TIME     resumed by SIGCONT, if the pid still belongs to the process that started then
    write VALUE PATH           resumed by writing VALUE to PATH (the control file of a cgroup freezer)
    done                       the capture has resumed everything itself: exit

The end of the pipe without `done`, or the death of the capture process (seen through a pidfd, should a forked child of
it still hold the pipe) resumes everything. So does the time limit, which counts from the first line.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterable
    from types import TracebackType

RELEASED, CAPTURE_DIED, TIME_LIMIT = 0, 10, 11
"""Exit codes of the child: after `done`, after the capture's death, after the time limit (however it ended then)."""
_START_S = 10.0
_EXIT_S = 5.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


def read_stat(path: str) -> list[str]:
    """Return the fields of a stat file from `state` on (field 3 of proc_pid_stat(5)). OSError if the task is gone."""
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().rpartition(")")[2].split()


def send_signal(pid: int, start_time: int, signum: int) -> bool:
    """
    Signal the process that has this pid and started at this time; return False if there is no such process any more.

    The pidfd is opened first and the start time compared after that, so a pid that was reused meanwhile is never hit.
    `start_time` in clock ticks since boot. Raises PermissionError. Needs Linux 5.3 (pidfd_open(2)).
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if int(read_stat(f"/proc/{pid}/stat")[19]) != start_time:
            return False
        signal.pidfd_send_signal(pidfd, signum)
    except (FileNotFoundError, ProcessLookupError):
        return False
    finally:
        os.close(pidfd)
    return True


def write_control(path: str | bytes, value: bytes) -> None:
    """Write a value to a control file of a cgroup, in one write. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value)
    finally:
        os.close(descriptor)


class Watchdog:
    """The capture's end of the watchdog; as a context manager it ends the child, and reaps it, on leaving."""

    def __init__(self, time_limit_s: float) -> None:
        """Start the child and wait until it watches. Raises OSError if it does not start."""
        import subprocess

        if not sys.executable:
            raise OSError("the Python that runs this is unknown (sys.executable), so no watchdog can be started")
        self.exit_code: int | None = None
        """None while it runs; then RELEASED or TIME_LIMIT, anything else if it was killed."""
        self._child: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, str(os.getpid()), repr(time_limit_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )
        try:
            self._await_ready()
        except BaseException:
            self._child.kill()
            self._end()
            raise

    def register(self, line: bytes) -> None:
        """Announce what is going to be stopped; it may be stopped once this returned. OSError if the child is gone."""
        assert self._child.stdin is not None
        text = line + b"\n"
        # One write of at most PIPE_BUF bytes is never torn (pipe(7)); a torn line would name the wrong thing.
        if len(text) > select.PIPE_BUF or os.write(self._child.stdin.fileno(), text) != len(text):
            raise OSError("the line for the watchdog is too long")

    def done(self) -> None:
        """Tell the child that everything was resumed."""
        with contextlib.suppress(OSError):
            self.register(b"done")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _await_ready(self) -> None:
        assert self._child.stdout is not None
        poller = select.poll()
        poller.register(self._child.stdout, select.POLLIN)
        if not poller.poll(_START_S * 1000) or not self._child.stdout.read(1):
            raise OSError("the watchdog process did not start")
        self._child.stdout.close()

    def _end(self) -> None:
        import subprocess

        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.stdout.close()
        try:
            self.exit_code = self._child.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self.exit_code = self._child.wait()


def _resume(lines: Iterable[bytes]) -> None:
    # One thing that cannot be resumed (it is gone) must not keep the others from it.
    for line in lines:
        with contextlib.suppress(OSError, ValueError):
            verb, first, second = line.split(b" ", 2)
            if verb == b"process":
                send_signal(int(first), int(second), signal.SIGCONT)
            else:
                write_control(second, first)


def _drain(descriptor: int) -> tuple[bytes, bool]:
    # All that is in the pipe now, and whether its end was reached.
    text = b""
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(descriptor, 65536):
            text += chunk
        return text, True
    return text, False


def watch(pipe: int, capture_pidfd: int, time_limit_s: float) -> int:
    """Do the child's work: read lines until `done`, the pipe's end or the capture's death; return the exit code."""
    os.set_blocking(pipe, False)
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    poller.register(capture_pidfd, select.POLLIN)
    lines: list[bytes] = []
    rest, deadline_s, expired = b"", float("inf"), False
    while True:
        waiting = expired or deadline_s == float("inf")
        ready = poller.poll(None if waiting else max(0.0, deadline_s - time.monotonic()) * 1000)
        # Only now: what the capture wrote before it died is in the pipe.
        text, at_end = _drain(pipe)
        *new, rest = (rest + text).split(b"\n")
        lines += new
        if b"done" in new:
            return TIME_LIMIT if expired else RELEASED
        if at_end or any(descriptor == capture_pidfd for descriptor, _ in ready):
            _resume(lines)
            return TIME_LIMIT if expired else CAPTURE_DIED
        if lines and deadline_s == float("inf"):
            deadline_s = time.monotonic() + time_limit_s
        if not expired and time.monotonic() >= deadline_s:
            # It goes on watching: the capture may have been about to stop something that it announced.
            _resume(lines)
            expired = True


def main() -> int:
    """Run the child: argv is the pid of the capture and the time limit in seconds; the pipe is stdin."""
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    capture_pidfd = os.pidfd_open(int(sys.argv[1]))
    os.write(1, b"!")
    os.close(1)
    return watch(0, capture_pidfd, float(sys.argv[2]))


if __name__ == "__main__":
    os._exit(main())
