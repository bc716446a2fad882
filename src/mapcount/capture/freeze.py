"""Freeze: hold named processes still for the shortest time, so that what is read of them fits together; always resume.

Two ways. The cgroup freezer, where a cgroup holds none but named processes: nobody outside notices. Else SIGSTOP,
which others do notice: a parent gets SIGCHLD and sees the stop in waitpid(WUNTRACED) (a shell takes its terminal back
and calls the job stopped), and a SIGCONT handler of the process runs. With either way some blocked system calls
(epoll_wait, semop, recv with a timeout, ...) may return EINTR though no handler ran: signal(7), "Interruption of system
calls and library functions by stop signals".

What we stopped is resumed at the end of the `with`, or by a watchdog child if this process dies or hangs
(freeze_watchdog.py). Only the loss of both at one time, as by cgroup.kill of our cgroup, leaves it stopped. Who stops
one of these processes while we hold it must do so again: the kernel keeps no count of stops.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import signal
import time
from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from mapcount.capture import freeze_rules as rules
from mapcount.capture.freeze_watchdog import TIME_LIMIT, Watchdog, send_signal
from mapcount.errors import FreezeError
from mapcount.record import record
from mapcount.units import format_count, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mapcount.capture.freeze_cgroup import Freezer
    from mapcount.capture.freeze_rules import LeftAlone, Target

_POLL_S = 0.0002


@record(frozen=True)
class Stopped:
    """A process that we held still."""

    pid: int
    start_time: int
    """Clock ticks since boot."""
    comm: str
    how: str
    """`SIGSTOP`, `cgroup v2` or `cgroup v1`"""
    settled: bool
    """Every thread was seen still before the capture went on; False: one of them hung in the kernel."""
    seconds: float = 0.0
    """From the order to stop to the order to go on; 0 until it was resumed."""
    held: bool = False
    """It was still stopped when we resumed it. False: it had ended, or somebody (or the time limit) resumed it."""


@record
class Freeze:
    """What a freeze did; complete once the `with` has been left."""

    stopped: list[Stopped] = field(default_factory=list)
    left_alone: list[LeftAlone] = field(default_factory=list)
    expired: bool = False
    """The time limit passed, and the watchdog resumed everything while the capture still went on."""

    def notes(self) -> list[str]:
        """Return what a reader of the capture must know, one sentence each."""
        notes = []
        if self.stopped:
            longest = format_seconds(max(one.seconds for one in self.stopped))
            ways = ", ".join(sorted({one.how for one in self.stopped}))
            processes = "process was" if len(self.stopped) == 1 else "processes were"
            notes.append(f"{format_count(len(self.stopped))} {processes} stopped ({ways}), for at most {longest}.")
        notes += [f"Process {one.pid} was not stopped: {one.reason}." for one in self.left_alone]
        notes += [
            f"Process {one.pid} may have run while it was read: one of its threads did not stop in time."
            for one in self.stopped
            if not one.settled
        ]
        if self.expired:
            notes.append("The time limit of the freeze passed: the processes ran again before the capture ended.")
        else:
            ended = [one.pid for one in self.stopped if one.settled and not one.held]
            notes += [f"Process {pid} ended, or somebody resumed it, while it was stopped." for pid in ended]
        return notes


class _Hold(Protocol):
    """Something that can be stopped: one process, or a cgroup of them."""

    @property
    def how(self) -> str: ...
    @property
    def intent(self) -> bytes: ...
    def running(self) -> tuple[list[Target], list[LeftAlone]]: ...
    def stop(self) -> None: ...
    def is_still(self) -> bool: ...
    def is_held(self, target: Target) -> bool: ...
    def resume(self) -> None: ...


@record(frozen=True)
class _OneProcess:
    target: Target

    @property
    def how(self) -> str:
        return "SIGSTOP"

    @property
    def intent(self) -> bytes:
        return b"process %d %d" % (self.target.pid, self.target.start_time)

    def running(self) -> tuple[list[Target], list[LeftAlone]]:
        return rules.split_running([self.target])

    def stop(self) -> None:
        if not send_signal(self.target.pid, self.target.start_time, signal.SIGSTOP):
            raise ProcessLookupError(errno.ESRCH, rules.GONE)

    def is_still(self) -> bool:
        return rules.is_still(self.target.pid)

    def is_held(self, target: Target) -> bool:
        return rules.first_live_state(target.pid) in rules.STILL

    def resume(self) -> None:
        send_signal(self.target.pid, self.target.start_time, signal.SIGCONT)


@record(frozen=True)
class _OneCgroup:
    freezer: Freezer
    targets: Sequence[Target]

    @property
    def how(self) -> str:
        return f"cgroup v{self.freezer.version}"

    @property
    def intent(self) -> bytes:
        return self.freezer.intent

    def running(self) -> tuple[list[Target], list[LeftAlone]]:
        if not self.freezer.is_thawed():
            return [], [rules.LeftAlone(target.pid, rules.CGROUP_FROZEN) for target in self.targets]
        return rules.split_running(self.targets)

    def stop(self) -> None:
        self.freezer.freeze()

    def is_still(self) -> bool:
        return self.freezer.is_frozen()

    def is_held(self, target: Target) -> bool:
        return self.freezer.is_frozen() and rules.first_live_state(target.pid) != ""

    def resume(self) -> None:
        self.freezer.thaw()


@contextlib.contextmanager
def frozen(
    pids: Iterable[int],
    *,
    start_times: Mapping[int, int] | None = None,
    time_limit_s: float = 10.0,
    settle_s: float = 1.0,
    refuse_own_cgroup: bool = True,
) -> Iterator[Freeze]:
    """
    Stop the processes, wait until their threads are still, and resume them on leaving, whatever happens.

    A pid of a thread stands for its process. `start_times` (clock ticks since boot, by pid) tells pids that were
    reused since the caller looked. Processes that are gone, stopped, traced, or in a frozen cgroup are left alone and
    listed in `left_alone`. Nothing stays stopped longer than `time_limit_s` (seconds, counted from the first stop); a
    thread that is not still after `settle_s` is reported, not waited for. Processes born meanwhile are not stopped,
    except in a frozen cgroup. Name all processes that share an address space: a stop takes one of them only.

    Raises FreezeError, before anything is stopped, for this process, its ancestors and its debugger, pid 1, kernel
    threads, processes that this user may not signal, and those in our own cgroup (unified or memory controller): our
    terminal, shell and pipe partners live there. The root cgroup does not count, since on many hosts and in containers
    everything is in it; nor do processes that have a freezer cgroup for themselves. `refuse_own_cgroup=False` is for
    callers that know the processes for their own children.

    Needs CAP_KILL for other users' processes, and write access to a cgroup's control file for the freezer.
    """
    freeze = Freeze()
    plan = rules.make_plan(pids, start_times or {}, refuse_own_cgroup=refuse_own_cgroup)
    freeze.left_alone += plan.left_alone
    holds: list[_Hold] = [_OneCgroup(freezer, targets) for freezer, targets in plan.cgroups]
    holds += [_OneProcess(target) for target in plan.singles]
    if not holds:
        yield freeze
        return
    if not 0 < time_limit_s < 3600:
        raise FreezeError(f"the time limit of a freeze must be above 0 and below 3600 seconds, not {time_limit_s}")
    watchdog = _watchdog(time_limit_s)
    work = _Work(freeze, watchdog, time.monotonic() + time_limit_s)
    try:
        with watchdog:
            try:
                work.stop(holds, settle_s)
                yield freeze
            finally:
                # Interrupted in here, `done` is not sent, and the watchdog resumes the rest when the pipe is closed.
                work.resume()
                watchdog.done()
    finally:
        freeze.expired = freeze.expired or watchdog.exit_code == TIME_LIMIT


def _watchdog(time_limit_s: float) -> Watchdog:
    try:
        return Watchdog(time_limit_s)
    except OSError as error:
        raise FreezeError(f"nothing was stopped, since no watchdog could be started: {error}") from error


@record
class _Work:
    """The stops of one freeze and their undoing."""

    freeze: Freeze
    watchdog: Watchdog
    deadline_s: float
    _stopped: list[tuple[_Hold, list[Target], float]] = field(default_factory=list)

    def stop(self, holds: Sequence[_Hold], settle_s: float) -> None:
        for hold in holds:
            if time.monotonic() >= self.deadline_s:
                self.freeze.left_alone += [rules.LeftAlone(t.pid, "the time limit passed") for t in hold.running()[0]]
            else:
                self._stop_one(hold)
        self._settle(min(time.monotonic() + settle_s, self.deadline_s))
        if time.monotonic() >= self.deadline_s:
            # The watchdog may have resumed them before we sent the last stop (this process was stopped itself, say).
            self.freeze.expired = True
            self.resume()

    def _stop_one(self, hold: _Hold) -> None:
        running, alone = hold.running()
        self.freeze.left_alone += alone
        if not running:
            return
        try:
            self.watchdog.register(hold.intent)
        except OSError as error:
            raise FreezeError(f"the watchdog is gone ({error}); what was stopped runs again") from error
        self._stopped.append((hold, running, time.monotonic()))
        try:
            hold.stop()
        except OSError as error:
            self._stopped.pop()
            self.freeze.left_alone += [rules.LeftAlone(t.pid, error.strerror or str(error)) for t in running]

    def _settle(self, until_s: float) -> None:
        moving = [hold for hold, _, _ in self._stopped]
        while (moving := [hold for hold in moving if not hold.is_still()]) and time.monotonic() < until_s:
            time.sleep(_POLL_S)
        for hold, targets, _ in self._stopped:
            for target in targets:
                if rules.first_live_state(target.pid) == "":
                    self.freeze.left_alone.append(rules.LeftAlone(target.pid, "it ended while it was being stopped"))
                else:
                    self.freeze.stopped.append(
                        Stopped(target.pid, target.start_time, target.comm, hold.how, settled=hold not in moving)
                    )

    def resume(self) -> None:
        ends: dict[int, tuple[float, bool]] = {}
        while self._stopped:
            hold, targets, since_s = self._stopped[-1]
            held = {target.pid: hold.is_held(target) for target in targets}
            with contextlib.suppress(OSError):
                hold.resume()
            # Forgotten only now: an interrupt before this leaves it to the next call, or to the watchdog.
            self._stopped.pop()
            seconds = time.monotonic() - since_s
            ends.update({pid: (seconds, still) for pid, still in held.items()})
        self.freeze.stopped = [
            dataclasses.replace(one, seconds=ends[one.pid][0], held=ends[one.pid][1]) if one.pid in ends else one
            for one in self.freeze.stopped
        ]
