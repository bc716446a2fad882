"""Processes, and which of them share an address space: an mm is what maps, not a pid."""

from __future__ import annotations

import ctypes
import errno
import functools
import itertools
import os
import platform
from typing import TYPE_CHECKING

from mapcount.capture.settings import read_text
from mapcount.errors import NoSuchProcessError
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable

PF_KTHREAD = 0x00200000
"""Bit of the `flags` field of /proc/PID/stat: a kernel thread. Source: include/linux/sched.h."""
_KCMP_VM = 1
_SYS_KCMP = {"x86_64": 312, "aarch64": 272, "riscv64": 272, "ppc64le": 354, "s390x": 343}


@record(frozen=True)
class Process:
    """One process as /proc/PID/stat shows it."""

    pid: int
    comm: str
    state: str
    kernel_thread: bool
    num_threads: int
    start_time: int
    """Clock ticks since boot."""
    layout: tuple[int, ...]
    """Addresses that belong to the mm (code, stack, data, brk, arguments): unequal means another mm."""
    directory: str
    """Where its maps and pagemap are: that of a live thread if the leader is dead."""


@record(frozen=True)
class AddressSpace:
    """One mm and the processes that share it, lowest pid first."""

    processes: tuple[Process, ...]

    @property
    def leader(self) -> Process:
        """The process through which the mm is read."""
        return self.processes[0]


def parse_stat(text: str, directory: str) -> Process:
    """Parse /proc/PID/stat (proc_pid_stat(5)); the name may hold blanks and parentheses. ValueError if it is none."""
    opened, closed = text.find("("), text.rfind(")")
    if opened < 0 or closed < opened:
        raise ValueError(f"not a stat line: {text[:40]!r}")
    rest = text[closed + 1 :].split()
    numbers = [int(word) for word in rest[1:50]]
    return Process(
        pid=int(text[:opened]),
        comm=text[opened + 1 : closed],
        state=rest[0],
        kernel_thread=bool(numbers[5] & PF_KTHREAD),
        num_threads=numbers[16],
        start_time=numbers[18],
        layout=(numbers[22], numbers[23], numbers[24], *numbers[41:46]),
        directory=directory,
    )


def read_process(pid: int, proc: str = "/proc") -> Process | None:
    """Return the process, or None if it is gone. A dead leader is replaced by its first live thread."""
    process = _read_stat(f"{proc}/{pid}")
    if process is None or process.state not in "ZX" or process.num_threads <= 1:
        return process
    try:
        threads = sorted(int(tid) for tid in os.listdir(f"{proc}/{pid}/task"))
    except OSError:
        return process
    for tid in threads:
        thread = _read_stat(f"{proc}/{pid}/task/{tid}")
        if thread is not None and thread.state not in "ZX":
            return Process(pid, process.comm, thread.state, False, process.num_threads, process.start_time,
                           thread.layout, thread.directory)  # fmt: skip
    return process


def is_there(process: Process) -> bool:
    """Return whether the process lives, and its pid has not been given to another one."""
    now = _read_stat(process.directory)
    if now is None or now.state in "ZX":
        return False
    leader = _read_stat(process.directory.partition("/task/")[0])
    return leader is not None and leader.start_time == process.start_time


def _read_stat(directory: str) -> Process | None:
    text = read_text(f"{directory}/stat", "surrogateescape")
    try:
        return None if text is None else parse_stat(text, directory)
    except ValueError:
        return None


def list_processes(proc: str = "/proc") -> tuple[list[Process], int]:
    """Return all processes that have an address space, by pid, and the number of kernel threads."""
    found, kernel_threads = [], 0
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        process = read_process(pid, proc)
        if process is None or process.state in "ZX":
            continue
        if process.kernel_thread:
            kernel_threads += 1
        else:
            found.append(process)
    return found, kernel_threads


def named_processes(pids: Iterable[int], proc: str = "/proc") -> list[Process]:
    """Return the processes of `pids`, each once. Raises NoSuchProcessError for one without an address space."""
    found = []
    for pid in dict.fromkeys(pids):
        process = read_process(pid, proc)
        if process is None:
            raise NoSuchProcessError(f"there is no process {pid}; `ps -e` lists them")
        if process.kernel_thread:
            raise NoSuchProcessError(
                f"process {pid} ({process.comm}) is a kernel thread: it has no address space to look at"
            )
        if process.state in "ZX":
            raise NoSuchProcessError(f"process {pid} ({process.comm}) has exited and waits for its parent (a zombie)")
        found.append(process)
    return found


def kcmp_vm(pid: int, other: int) -> int:
    """
    Compare the mms of two processes: 0 if they share one, else -1 or 1 in an order that is stable until reboot.

    Needs PTRACE_MODE_READ on both. Raises OSError (ENOSYS without CONFIG_KCMP, EPERM, ESRCH). Source: kcmp(2).
    """
    number = _SYS_KCMP.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, "kcmp is not known on this architecture")
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(number, pid, other, _KCMP_VM, 0, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if result == 3:
        raise OSError(errno.EPERM, "kcmp found them unequal but may not order them")
    return (0, -1, 1)[result]


def address_spaces(processes: list[Process]) -> tuple[list[AddressSpace], bool]:
    """
    Group processes by the mm they share (CLONE_VM without CLONE_THREAD, vfork windows).

    Only processes whose mm has the same layout are compared, by kcmp, in n log n calls. Returns the mms, by lowest pid,
    and whether every comparison that was needed could be made.
    """
    by_layout: dict[tuple[int, ...], list[Process]] = {}
    for process in processes:
        by_layout.setdefault(process.layout, []).append(process)
    spaces, sure = [], True
    for group in by_layout.values():
        if len(group) == 1:
            spaces.append(AddressSpace(tuple(group)))
            continue
        shared, known = _group_by_mm(group)
        spaces += shared
        sure = sure and known
    return sorted(spaces, key=lambda space: space.leader.pid), sure


def _group_by_mm(group: list[Process]) -> tuple[list[AddressSpace], bool]:
    sure = True

    def compare(one: Process, other: Process) -> int:
        nonlocal sure
        try:
            return kcmp_vm(one.pid, other.pid)
        except OSError as error:
            sure = sure and error.errno == errno.ESRCH
            return -1 if one.pid < other.pid else 1

    ordered = sorted(group, key=functools.cmp_to_key(compare))
    spaces: list[list[Process]] = [[ordered[0]]]
    for before, process in itertools.pairwise(ordered):
        if compare(before, process) == 0:
            spaces[-1].append(process)
        else:
            spaces.append([process])
    return [AddressSpace(tuple(sorted(space, key=lambda p: p.pid))) for space in spaces], sure
