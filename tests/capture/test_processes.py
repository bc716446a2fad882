"""Processes and address spaces: names as odd as they come, kernel threads, zombies, twins, forks, dead leaders."""

import ctypes
import errno
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.fake_machine import stat_line
from mapcount.capture import processes
from mapcount.capture.processes import (
    address_spaces,
    is_there,
    kcmp_vm,
    list_processes,
    named_processes,
    parse_stat,
    read_process,
)
from mapcount.errors import NoSuchProcessError

CLONE_VM = 0x100


@given(
    st.text(st.characters(blacklist_characters="\0\n"), max_size=16), st.integers(1, 1 << 22), st.integers(0, 1 << 40)
)
def test_any_name_is_a_name(name, pid, start_time):
    process = parse_stat(stat_line(pid, name, "R", start_time, threads=7, layout=61), "/x")
    assert (process.pid, process.comm, process.state) == (pid, name, "R")
    assert (process.start_time, process.num_threads, process.layout[0]) == (start_time, 7, 61)
    assert not process.kernel_thread


@pytest.mark.parametrize("text", ["", "1", "1 a S", ") 1 (", "1 (a", "x (a) S 1 2"])
def test_what_is_no_stat_line_is_refused(text):
    with pytest.raises((ValueError, IndexError)):
        parse_stat(text, "/x")


def test_fields_are_where_proc_says():
    """Against /proc/self/status and the address that the kernel gives as start of the stack."""
    with open("/proc/self/stat") as file:
        text = file.read()
    me = parse_stat(text, "/proc/self")
    fields = text.rpartition(") ")[2].split()  # field 3 (state) is the first of them: proc_pid_stat(5)
    assert me.pid == os.getpid() and me.num_threads == int(fields[20 - 3]) == len(os.listdir("/proc/self/task"))
    assert me.start_time == int(fields[22 - 3])
    assert me.layout == tuple(int(fields[n - 3]) for n in (26, 27, 28, 45, 46, 47, 48, 49))


@pytest.fixture
def fake_proc(tmp_path):
    def add(pid, comm="some", state="S", *, kernel=False, start_time=42, threads=1):
        (tmp_path / str(pid)).mkdir()
        line = stat_line(pid, comm, state, start_time, threads)
        head, _, rest = line.rpartition(") ")
        words = rest.split()
        words[6] = str(0x00200000 | 0x40) if kernel else "4194304"
        (tmp_path / str(pid) / "stat").write_text(f"{head}) {' '.join(words)}\n")

    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").touch()
    return tmp_path, add


def test_processes_kernel_threads_and_zombies(fake_proc):
    proc, add = fake_proc
    add(300, "a) (b")
    add(7, "kswapd0", kernel=True)
    add(11, "gone", "Z")
    add(12, "dead", "X")
    add(29)
    (proc / "31").mkdir()  # exited between the listing and the look
    found, kernel_threads = list_processes(str(proc))
    assert ([process.pid for process in found], kernel_threads) == ([29, 300], 1)
    assert found[1].comm == "a) (b"


@pytest.mark.parametrize(("pid", "message"), [(8, "no process 8"), (7, "kernel thread"), (11, "zombie")])
def test_named_processes_must_have_an_address_space(fake_proc, pid, message):
    proc, add = fake_proc
    add(7, "kswapd0", kernel=True)
    add(11, "gone", "Z")
    add(29)
    assert [process.pid for process in named_processes([29, 29], str(proc))] == [29]
    with pytest.raises(NoSuchProcessError, match=message):
        named_processes([29, pid], str(proc))


@pytest.fixture
def sleepers():
    """`sleepers(twin)` starts a child that sleeps: one that shares our memory (CLONE_VM) or a forked one."""
    libc, stacks, pids = ctypes.CDLL(None), [], []
    libc.clone.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]

    def start(*, twin):
        if twin:
            stacks.append(ctypes.create_string_buffer(1 << 16))
            top = (ctypes.addressof(stacks[-1]) + (1 << 16)) & ~63
            pids.append(libc.clone(ctypes.cast(libc.sleep, ctypes.c_void_p), top, CLONE_VM | signal.SIGCHLD, 60))
        else:
            pids.append(os.fork())
            if not pids[-1]:
                time.sleep(60)
                os._exit(0)
        assert pids[-1] > 0
        return pids[-1]

    yield start
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_twins_are_one_and_forked_children_are_not(sleepers, monkeypatch):
    """All of them have one layout: the kernel's word alone tells them apart, and it is asked n log n times."""
    me = os.getpid()
    try:
        kcmp_vm(me, me)
    except OSError as error:
        pytest.skip(f"kcmp does not work here: {error}")
    twins = [me, *(sleepers(twin=True) for _ in range(3))]
    children = [sleepers(twin=False) for _ in range(7)]
    found = named_processes([*reversed(children), *twins])
    assert len({process.layout for process in found}) == 1
    asked = []
    real = kcmp_vm
    monkeypatch.setattr(processes, "kcmp_vm", lambda one, other: asked.append((one, other)) or real(one, other))
    spaces, sure = address_spaces(found)
    assert sure
    groups = [[process.pid for process in space.processes] for space in spaces]
    assert groups == sorted([sorted(twins), *([pid] for pid in children)])
    assert all(space.leader.pid == min(process.pid for process in space.processes) for space in spaces)
    assert len(asked) <= 11 * 4 + 10


def test_threads_are_no_processes():
    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    try:
        mine = [process for process in list_processes()[0] if process.pid == os.getpid()]
        tasks = {int(tid) for tid in os.listdir("/proc/self/task")} - {os.getpid()}
        assert len(tasks) >= 5 and len(mine) == 1 and mine[0].num_threads >= 6
    finally:
        done.set()
        for thread in threads:
            thread.join()


def process_of(pid, layout):
    return parse_stat(stat_line(pid, layout=layout), f"/proc/{pid}")


@pytest.mark.parametrize(("number", "sure"), [(errno.EPERM, False), (errno.ENOSYS, False), (errno.ESRCH, True)])
def test_without_kcmp_nobody_is_taken_for_a_twin(monkeypatch, number, sure):
    """One that has exited (ESRCH) is no reason for doubt."""

    def refuse(one, other):
        raise OSError(number, "no")

    monkeypatch.setattr(processes, "kcmp_vm", refuse)
    found = [process_of(pid, layout) for pid, layout in ((31, 1), (7, 1), (13, 1), (5, 2))]
    spaces, known = address_spaces(found)
    assert [[process.pid for process in space.processes] for space in spaces] == [[5], [7], [13], [31]]
    assert known is sure


def test_other_layouts_are_never_compared(monkeypatch):
    monkeypatch.setattr(processes, "kcmp_vm", lambda one, other: pytest.fail("asked in vain"))
    spaces, sure = address_spaces([process_of(pid, pid) for pid in range(20, 40)])
    assert sure and len(spaces) == 20


@given(st.lists(st.integers(0, 4), min_size=1, max_size=13), st.randoms())
def test_groups_are_those_of_equal_memory(memory, shuffled):
    """GIVEN memory[i] is the mm of process i, and an order of mms that only kcmp knows."""
    rank = list(range(5))
    shuffled.shuffle(rank)
    real = processes.kcmp_vm
    processes.kcmp_vm = lambda one, other: (
        (rank[memory[one - 50]] > rank[memory[other - 50]]) - (rank[memory[one - 50]] < rank[memory[other - 50]])
    )
    try:
        spaces, _ = address_spaces([process_of(50 + i, 1) for i in range(len(memory))])
    finally:
        processes.kcmp_vm = real
    pids = sorted(range(50, 50 + len(memory)), key=lambda pid: memory[pid - 50])
    expected = sorted(sorted(group) for _, group in itertools.groupby(pids, key=lambda pid: memory[pid - 50]))
    assert [[process.pid for process in space.processes] for space in spaces] == expected


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def test_a_dead_leader_is_read_through_a_live_thread():
    source = "import ctypes, threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", source + "ctypes.CDLL(None).syscall(60, 0)"])
    try:
        wait_for(lambda: "\nState:\tZ" in Path(f"/proc/{child.pid}/status").read_text())
        process = read_process(child.pid)
        assert process.pid == child.pid and process.state not in "ZX"
        (tid,) = {int(tid) for tid in os.listdir(f"/proc/{child.pid}/task")} - {child.pid}
        assert process.directory == f"/proc/{child.pid}/task/{tid}"
        assert any(process.layout), "the layout of the dead leader itself is gone"
        assert [one.pid for one in named_processes([child.pid])] == [child.pid]
        assert child.pid in [one.pid for one in list_processes()[0]]
    finally:
        child.kill()
        child.wait()
    assert not is_there(process)


def test_a_process_with_a_dead_leader_is_there(tmp_path):
    """GIVEN a leader that started at tick 42 and has exited, and a thread that it started at tick 61."""
    thread = tmp_path / "7" / "task" / "9"
    thread.mkdir(parents=True)
    (tmp_path / "7" / "stat").write_text(stat_line(7, state="Z", start_time=42, threads=2))
    (thread / "stat").write_text(stat_line(9, start_time=61, threads=2))
    process = read_process(7, str(tmp_path))
    assert (process.directory, process.start_time) == (str(thread), 42)
    assert is_there(process)


def test_a_process_is_there_until_it_dies_or_its_pid_is_reused(tmp_path):
    process = parse_stat(stat_line(7, start_time=1009), str(tmp_path))
    assert not is_there(process)
    (tmp_path / "stat").write_text(stat_line(7, start_time=1009))
    assert is_there(process)
    (tmp_path / "stat").write_text(stat_line(7, start_time=1013))
    assert not is_there(process)
    (tmp_path / "stat").write_text(stat_line(7, start_time=1009, state="Z"))
    assert not is_there(process)
