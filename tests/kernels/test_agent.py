"""The agent, run natively: what its commands do to processes, judged by /proc; and what happens when it dies or hangs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kernels.native import needs_compiler
from mapcount.errors import GuestError, MissingToolError
from mapcount.kernels import agent as agent_module
from mapcount.kernels.agent import Channel, NativeAgent, build_agent
from waiting import wait_for

GETPID, MMAP, WRITE, CLOSE, OPEN, PAUSE = 39, 9, 1, 3, 2, 34
AT = 0x10_0000_0000


@pytest.fixture
def native():
    with NativeAgent() as agent:
        yield agent


def alive(pid):
    """Whether it runs; a zombie, which nobody has reaped yet, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def map_pages(channel, slot, pages, address=AT):
    assert channel.call(slot, MMAP, address, pages * 4096, 3, 0x100022, -1, 0) == address


@needs_compiler
def test_processes_are_the_servers_children_and_know_their_slot(native):
    channel = native.channel
    first = channel.fork(0, 1)
    second = channel.fork(1, 2)
    third = channel.fork(2, 63)
    assert [channel.call(slot, GETPID) for slot in (0, 1, 2, 63)] == [native.pid, first, second, third]
    parents = [
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in (first, second, third)
    ]
    assert parents == [native.pid] * 3
    channel.exit(2)
    assert not alive(second) and alive(first) and alive(third)
    assert channel.fork(63, 2) not in (second, first, third)


@needs_compiler
def test_a_program_runs_to_its_end_and_tells_its_status(native, tmp_path):
    channel = native.channel
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\nread line || echo "$@" > "$1"\nexit 23\n')
    script.chmod(0o700)
    assert channel.execute([str(script), str(tmp_path / "said"), "two", "three"], time_limit_s=20) == 23 << 8
    assert (tmp_path / "said").read_text() == f"{tmp_path}/said two three\n"  # and there was nothing to read
    assert channel.execute(["/no/such/program"], time_limit_s=20) == 127 << 8
    assert channel.call(0, GETPID) == native.pid


@needs_compiler
def test_touch_stops_at_a_fatal_fault(native):
    channel = native.channel
    channel.fork(0, 1)
    map_pages(channel, 1, 7)
    assert channel.touch(1, AT, 4096, 7, write=True) == 7
    assert channel.touch(1, AT, 4096, 8, write=True) == -14
    assert channel.touch(1, AT, 4096, 8, write=False) == -14
    file = channel.call(1, 319, "f", 0)
    assert channel.call(1, MMAP, AT + (1 << 32), 3 * 4096, 3, 0x100001, file, 0) == AT + (1 << 32)
    assert channel.touch(1, AT + (1 << 32), 4096, 1, write=False) == -7  # the file has no such page
    assert channel.call(1, GETPID) > 0


@needs_compiler
def test_memory_is_copied_by_fork_and_shown(native):
    channel = native.channel
    channel.fork(0, 1)
    map_pages(channel, 1, 1)
    channel.poke(1, AT + 5, b"as it was")
    channel.fork(1, 2)
    channel.poke(2, AT + 5, b"otherwise")
    assert channel.peek(1, AT + 4, 11) == b"\0as it was\0"
    assert channel.peek(2, AT + 5, 9) == b"otherwise"
    assert channel.peek(1, AT, 4096)[5:14] == b"as it was"
    with pytest.raises(GuestError, match="cannot be read"):
        channel.peek(1, AT + 4090, 7)
    with pytest.raises(GuestError, match="cannot be written"):
        channel.poke(1, AT + 4090, b"sevenyy")
    with pytest.raises(GuestError, match="more than"):
        channel.peek(1, AT, 1 << 20)


@needs_compiler
def test_a_text_is_an_argument(native, tmp_path):
    path = tmp_path / "said"
    descriptor = native.channel.call(0, OPEN, str(path), os.O_CREAT | os.O_WRONLY, 0o600)
    assert native.channel.call(0, WRITE, descriptor, "madvise", 7) == 7
    assert native.channel.call(0, CLOSE, descriptor) == 0
    assert native.channel.call(0, OPEN, str(tmp_path / "absent"), 0) == -2
    assert path.read_text() == "madvise"


@needs_compiler
def test_files_are_read_into_memory_and_texts_put_into_files(native, tmp_path):
    channel, path = native.channel, tmp_path / "f"
    path.write_bytes(bytes(range(251)) * 53)
    map_pages(channel, 0, 3)
    assert channel.load(0, str(path), AT + 7, 4001, offset=8011) == 4001
    assert channel.peek(0, AT + 7, 4001) == path.read_bytes()[8011:][:4001]
    assert channel.load(0, str(path), AT, 3 * 4096, offset=13001) == 251 * 53 - 13001
    assert channel.load(0, str(path), AT, 4096, offset=1 << 20) == 0
    assert channel.load(0, str(path), AT + 3 * 4096, 1) == -14
    assert channel.load(0, str(tmp_path / "none"), AT, 1) == -2
    assert channel.put(0, str(path), "always") == 6
    assert path.read_bytes()[:7] == b"always\6"
    assert channel.put(0, str(tmp_path / "none"), "always") == -2


@needs_compiler
def test_nothing_of_its_own_can_become_huge_and_the_areas_are_empty(native):
    pid = native.channel.fork(0, 1)
    vmas = Path(f"/proc/{pid}/smaps").read_text().partition("ffffffffff600000")[0].split("VmFlags:")  # not [vsyscall]
    flags = [vma.split("\n")[0].split() for vma in vmas[1:]]
    assert len(flags) > 5
    assert all("nh" in of_vma for of_vma in flags)
    starts = [int(line.split("-")[0], 16) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    assert not [start for start in starts if AT <= start < AT + 8 * (1 << 32)]
    map_pages(native.channel, 1, 512)
    inside = Path(f"/proc/{pid}/smaps").read_text().partition(f"{AT:x}-")[2]
    assert " nh" not in inside.partition("VmFlags:")[2].partition("\n")[0]


@needs_compiler
def test_refusals_are_errors_that_name_the_command(native):
    channel = native.channel
    with pytest.raises(GuestError, match="slot 7 has no process"):
        channel.call(7, GETPID)
    with pytest.raises(GuestError, match="slot 64 is not free"):
        channel.fork(0, 64)
    channel.fork(0, 1)
    with pytest.raises(GuestError, match="slot 1 is not free"):
        channel.fork(0, 1)
    with pytest.raises(GuestError, match=r"`1 Q`.*no such command: Q"):
        channel.ask(1, "Q")
    assert channel.call(1, GETPID) > 0


@needs_compiler
def test_a_process_that_dies_is_told_of_and_its_slot_is_free_again(native):
    channel = native.channel
    pid = channel.fork(0, 1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(GuestError, match=r"slot 1 is gone \(signal 9\)"):
        channel.call(1, GETPID)
    assert channel.fork(0, 1) > 0


@needs_compiler
def test_a_hang_ends_at_the_time_limit_and_closing_ends_everything():
    with NativeAgent() as native:
        pid = native.channel.fork(0, 1)
        with pytest.raises(GuestError, match=r"within 0\.2 s after `1 S 34`"):
            native.channel.ask(1, f"S {PAUSE}", time_limit_s=0.2)
        os.kill(pid, signal.SIGCONT)
        server = native.pid
    assert not alive(pid) and not alive(server)


@needs_compiler
@pytest.mark.parametrize("victim", ["server", "tool"])
def test_processes_die_with_the_agent_and_the_agent_with_who_started_it(victim):
    program = (
        "import time\n"
        "from mapcount.kernels.agent import NativeAgent\n"
        "native = NativeAgent()\n"
        "print(native.pid, native.channel.fork(0, 1), native.channel.fork(1, 2), flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as tool:
        assert tool.stdout is not None
        server, *workers = map(int, tool.stdout.readline().split())
        assert all(alive(pid) for pid in (server, *workers))
        os.kill(server if victim == "server" else tool.pid, signal.SIGKILL)
        wait_for(lambda: not any(alive(pid) for pid in workers))
        tool.kill()
        tool.wait()
        wait_for(lambda: not alive(server))


@needs_compiler
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: addresses of kernel symbols are hidden from others")
def test_kernel_symbols_are_those_of_kallsyms(native):
    wanted = ["init_task", "no_such_symbol_at_all", "linux_banner"]
    known = {}
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, _, name = line.split("\t")[0].split(" ")
        known.setdefault(name, int(address, 16))
    assert native.channel.kernel_symbols(wanted) == [known.get(name, 0) for name in wanted]


def speak(text, **options):
    ours, theirs = socket.socketpair()
    theirs.sendall(text)
    return Channel(ours.fileno(), ours.fileno(), **options), ours, theirs


def test_an_error_has_what_was_said_and_the_context():
    channel, ours, theirs = speak(b"Kernel panic", context=lambda: "The console ends: VFS: cannot")
    with ours, theirs, pytest.raises(GuestError, match=r"(?s)within 0.05 s.*Kernel panic.*console ends: VFS"):
        channel.await_ready(0.05)


def test_what_is_no_answer_is_an_error():
    channel, ours, theirs = speak(b"READY\n0x17\n")
    with ours, theirs:
        channel.await_ready(1)
        with pytest.raises(GuestError, match="`0 S 39` with '0x17'"):
            channel.call(0, GETPID)
    other, ours, theirs = speak(b"login:\n")
    with ours, theirs, pytest.raises(GuestError, match="READY but with 'login:'"):
        other.await_ready(1)


def test_an_answer_may_come_in_pieces():
    channel, ours, theirs = speak(b"= -")

    def later():
        time.sleep(0.02)
        theirs.sendall(b"14\r\n= 7")
        time.sleep(0.02)
        theirs.sendall(b"\n")

    thread = threading.Thread(target=later)
    thread.start()
    with ours, theirs:
        assert channel.call(1, GETPID) == -14
        assert channel.call(1, GETPID) == 7
        thread.join()
    assert ours.fileno() == -1


def test_the_end_of_the_agent_is_an_error():
    channel, ours, theirs = speak(b"READY\n")
    with ours:
        channel.await_ready(1)
        theirs.close()
        with pytest.raises(GuestError, match="gone"):
            channel.call(0, GETPID)


def test_without_a_compiler_the_message_names_the_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match="apt-get install gcc libc6-dev"):
        build_agent()


@needs_compiler
def test_what_the_compiler_says_is_shown(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(agent_module, "FLAGS", ("-static", "-lno_such_library_here"))
    with pytest.raises(MissingToolError, match=r"(?s)libc6-dev.*no_such_library_here"):
        build_agent()
    assert not list((tmp_path / "mapcount" / "agent").iterdir())


@needs_compiler
def test_the_program_is_built_once_and_again_for_another_source(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = build_agent()
    before = path.stat().st_mtime_ns
    assert build_agent() == path and path.stat().st_mtime_ns == before
    other = tmp_path / "agent.c"
    other.write_text(agent_module.SOURCE.read_text() + "\n")
    monkeypatch.setattr(agent_module, "SOURCE", other)
    assert build_agent() != path


@needs_compiler
def test_a_cache_that_others_may_write_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build_agent()
    (tmp_path / "mapcount" / "agent").chmod(0o777)
    with pytest.raises(MissingToolError, match="others may write it"):
        build_agent()
