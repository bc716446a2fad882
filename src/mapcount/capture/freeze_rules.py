"""Who may be stopped and how, who must not be, who is left alone: everything that is decided before a freeze."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mapcount.capture.freeze_cgroup import covering, freezer_mounts, freezers_of, parse_cgroups
from mapcount.capture.freeze_watchdog import read_stat, send_signal
from mapcount.capture.processes import read_process
from mapcount.capture.settings import read_text
from mapcount.errors import FreezeError
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mapcount.capture.freeze_cgroup import Freezer

STILL = frozenset("Tt")
"""States of a task that was stopped by a signal (T) or by a tracer (t). Source: proc_pid_stat(5)."""
_DEAD = frozenset("ZX")
CGROUP_FROZEN = "its cgroup was frozen before"
GONE = "there is no such process any more"


@record(frozen=True)
class Target:
    """A process that is to be stopped."""

    pid: int
    start_time: int
    """Clock ticks since boot."""
    comm: str
    kernel_thread: bool
    cgroups: Mapping[str, str]
    """Path by controller; the unified hierarchy's under the empty name."""


@record(frozen=True)
class LeftAlone:
    """A process that was named but not stopped, and why."""

    pid: int
    reason: str


@record(frozen=True)
class Ourselves:
    """What must keep running for us to run."""

    pid: int
    ancestors: frozenset[int]
    tracer: int
    """Pid of the debugger that traces us; 0 for none."""
    cgroups: Mapping[str, str]


@record(frozen=True)
class Plan:
    """What will be stopped and how."""

    cgroups: Sequence[tuple[Freezer, Sequence[Target]]]
    singles: Sequence[Target]
    left_alone: Sequence[LeftAlone]


def refusal(target: Target, ourselves: Ourselves) -> str:
    """Return why this process must never be stopped by us, by either way; empty if it may be."""
    if target.pid == ourselves.pid:
        return "it is this very process"
    if target.pid == 1:
        return "it is init, which everything depends on"
    if target.pid in ourselves.ancestors:
        return "it is an ancestor of this process"
    if target.pid == ourselves.tracer:
        return "it is the debugger of this process"
    return "it is a kernel thread" if target.kernel_thread else ""


def same_cgroup(target: Target, ourselves: Ourselves) -> str:
    """Return the cgroup (unified or memory controller) that the process shares with us; empty if none but the root."""
    for controller in ("", "memory"):
        path = ourselves.cgroups.get(controller, "/")
        if path != "/" and target.cgroups.get(controller) == path:
            return path
    return ""


def make_plan(pids: Iterable[int], start_times: Mapping[int, int], *, refuse_own_cgroup: bool) -> Plan:
    """Decide about each pid. Raises FreezeError for what must not be stopped; nothing has been stopped then."""
    targets, left_alone = _find(pids, start_times)
    ourselves = _ourselves()
    _refuse([(target, refusal(target, ourselves)) for target in targets])
    mounts = freezer_mounts()
    freezers = {target.pid: freezers_of(target.cgroups, mounts) for target in targets}
    thawed = {freezer: freezer.is_thawed() for group in freezers.values() for freezer in group}
    frozen_before = {pid for pid, group in freezers.items() if not all(thawed[freezer] for freezer in group)}
    left_alone += [LeftAlone(pid, CGROUP_FROZEN) for pid in sorted(frozen_before)]
    free = {target.pid: target for target in targets if target.pid not in frozen_before}
    chosen = covering({f for pid in free for f in freezers[pid]}, free.keys())
    covered = frozenset[int]().union(*chosen.values())
    singles = [target for pid, target in free.items() if pid not in covered]
    if refuse_own_cgroup:
        shared = [(target, same_cgroup(target, ourselves)) for target in singles]
        _refuse([(target, f"it is in our own cgroup {path}" if path else "") for target, path in shared])
    _refuse([(target, _not_permitted(target)) for target in singles])
    traced = {target.pid: tracer for target in singles if (tracer := tracer_of(target.pid))}
    left_alone += [LeftAlone(pid, f"process {tracer} traces it") for pid, tracer in traced.items()]
    return Plan(
        [(freezer, [free[pid] for pid in sorted(members)]) for freezer, members in chosen.items()],
        [target for target in singles if target.pid not in traced],
        left_alone,
    )


def split_running(targets: Sequence[Target]) -> tuple[list[Target], list[LeftAlone]]:
    """Tell those that run now from those that ended or that others have stopped."""
    running, alone = [], []
    for target in targets:
        states = thread_states(target.pid)
        if not states:
            alone.append(LeftAlone(target.pid, GONE))
        elif STILL & set(states):
            alone.append(LeftAlone(target.pid, f"it was {'traced' if 't' in states else 'stopped'} before"))
        else:
            running.append(target)
    return running, alone


def thread_states(pid: int) -> str:
    """Return one state letter for each live thread of the process; empty if it has ended."""
    return "".join(state for tid in _tids(pid) if (state := _state(pid, tid)) not in _DEAD)


def first_live_state(pid: int) -> str:
    """Return the state of the first live thread; empty if the process has ended. SIGCONT resumes all at once."""
    return next((state for tid in _tids(pid) if (state := _state(pid, tid)) and state not in _DEAD), "")


def is_still(pid: int) -> bool:
    """Whether no live thread of the process runs (also if it has none)."""
    tids = _tids(pid)
    # A thread may be born behind the back of the list, but only by one that still runs: then the lists differ.
    return all(_state(pid, tid) in STILL | _DEAD | {""} for tid in tids) and _tids(pid) == tids


def tracer_of(pid: int) -> int:
    """Return the pid of the tracer of a thread of the process; 0 for none."""
    tracers = (_status_number(f"/proc/{pid}/task/{tid}/status", "TracerPid") for tid in _tids(pid))
    return next(filter(None, tracers), 0)


def _find(pids: Iterable[int], start_times: Mapping[int, int]) -> tuple[list[Target], list[LeftAlone]]:
    found: dict[int, Target] = {}
    left_alone = []
    for pid in dict.fromkeys(pids):
        process = read_process(_status_number(f"/proc/{pid}/status", "Tgid"))
        cgroups = read_text(f"/proc/{pid}/cgroup")
        if process is None or cgroups is None:
            left_alone.append(LeftAlone(pid, GONE))
        elif process.state in _DEAD:
            left_alone.append(LeftAlone(pid, "it has exited and waits for its parent (a zombie)"))
        elif pid == process.pid and start_times.get(pid, process.start_time) != process.start_time:
            left_alone.append(LeftAlone(pid, "its pid belongs to another process by now"))
        else:
            found[process.pid] = Target(
                process.pid, process.start_time, process.comm, process.kernel_thread, parse_cgroups(cgroups)
            )
    return list(found.values()), left_alone


def _ourselves() -> Ourselves:
    ancestors, pid = set[int](), os.getppid()
    while pid > 0 and pid not in ancestors:
        ancestors.add(pid)
        try:
            pid = int(read_stat(f"/proc/{pid}/stat")[1])
        except OSError:
            break
    return Ourselves(
        os.getpid(), frozenset(ancestors), tracer_of(os.getpid()), parse_cgroups(read_text("/proc/self/cgroup") or "")
    )


def _not_permitted(target: Target) -> str:
    try:
        send_signal(target.pid, target.start_time, 0)
    except PermissionError:
        return "this user may not signal it (that needs root, or CAP_KILL)"
    return ""


def _refuse(verdicts: Sequence[tuple[Target, str]]) -> None:
    refused = [(target, reason) for target, reason in verdicts if reason]
    if refused:
        target, reason = refused[0]
        others = f" (and {len(refused) - 1} more like it)" if len(refused) > 1 else ""
        raise FreezeError(
            f"process {target.pid} ({target.comm}) cannot be stopped: {reason}{others}; leave it out, or capture "
            "without --freeze. Nothing was stopped"
        )


def _tids(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []


def _state(pid: int, tid: str) -> str:
    # Empty if the thread is gone.
    try:
        return read_stat(f"/proc/{pid}/task/{tid}/stat")[0]
    except OSError:
        return ""


def _status_number(path: str, name: str) -> int:
    # 0 if the file is gone.
    for line in (read_text(path) or "").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value)
    return 0
