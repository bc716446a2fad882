"""Guests, with a program in QEMU's place: how they start, what is said when they do not, and that nothing is left of them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from kernels.processes import is_there, owner_of_guest
from mapcount.errors import GuestError, MissingToolError
from mapcount.kernels import guest as module
from mapcount.kernels.guest import Guest
from mapcount.kernels.hardware import Hardware
from mapcount.kernels.images import Image
from waiting import wait_for

HERE = Path(__file__).parent
IMAGE = Image("own", "6.12", "6.12.0-own", Path("/nowhere/vmlinuz"), "0" * 64, page_mapcount=True)


@pytest.fixture
def qemu(tmp_path, monkeypatch):
    """Return a function that puts the pretended QEMU in place, to behave in one way or another."""
    program = tmp_path / "bin" / module.QEMU
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable} -SE\n" + (HERE / "pretended_qemu.py").read_text())
    program.chmod(0o755)
    agent = tmp_path / "agent"
    agent.write_text("this is the agent")
    monkeypatch.setattr(module, "build_agent", lambda: agent)
    monkeypatch.setenv("PATH", str(program.parent))

    def behave(how):
        monkeypatch.setenv("PRETENDED_QEMU", how)

    behave("well")
    return behave


def open_files():
    return len(os.listdir("/proc/self/fd"))


def test_a_guest_is_met_and_ended(qemu):
    before = open_files()
    with Guest(IMAGE, hardware=Hardware(3)) as guest:
        assert len(guest.memory) == 3 << 20
        assert guest.memory[4096 * 7 : 4096 * 7 + 20].tobytes() == b"written by the guest"
        assert guest.console.endswith("the last line\n")
        assert guest.qmp.ask("query-status") == "query-status"
        pid = guest.process.pid
        assert is_there(pid)
        # Ctrl-C does not reach it: we end it when we have put things in order.
        assert os.getpgid(pid) != os.getpgid(0)
    assert not is_there(pid)
    assert open_files() == before


def test_one_that_does_not_come_up_is_ended_and_its_console_shown(qemu, monkeypatch):
    qemu("silent")
    monkeypatch.setattr(module, "BOOT_S", 1.0)
    started = []
    start = Guest._start
    monkeypatch.setattr(Guest, "_start", lambda self, *rest: (start(self, *rest), started.append(self.process.pid)))
    before = open_files()
    with pytest.raises(GuestError, match=r"(?s)within 1 s.*6\.12\.0-own.*the last line"):
        Guest(IMAGE, hardware=Hardware(3))
    assert started and not is_there(started[0])
    assert open_files() == before


def test_what_qemu_says_when_it_gives_up_is_passed_on(qemu):
    qemu("dies")
    before = open_files()
    with pytest.raises(GuestError, match="QEMU said: qemu: there is no such machine"):
        Guest(IMAGE, hardware=Hardware(3))
    assert open_files() == before


def test_without_qemu_it_says_what_to_install(qemu, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingToolError, match="apt-get install qemu-system-x86"):
        Guest(IMAGE)


def test_without_room_for_its_memory_nothing_is_started(qemu):
    with pytest.raises(GuestError, match=r"takes up to 999999999 MiB of memory, and [0-9]+ MiB are available"):
        Guest(IMAGE, hardware=Hardware(999_999_999))


PROGRAM = """
    import sys, time
    from pathlib import Path
    from mapcount.kernels import guest
    from mapcount.kernels.hardware import Hardware
    from mapcount.kernels.images import Image
    guest.build_agent = lambda: Path(sys.argv[1])
    image = Image("own", "6.12", "6.12.0-own", Path("/nowhere/vmlinuz"), "0" * 64, page_mapcount=True)
    with guest.Guest(image, hardware=Hardware(3)) as it:
        print(it.process.pid, flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_a_guest_whose_owner_was_ended(qemu, tmp_path, signum):
    before = {name for name in os.listdir("/dev/shm") if "mapcount" in name}
    with owner_of_guest(PROGRAM, str(tmp_path / "agent")) as (pid, end):
        assert is_there(pid)
        end(signum)
    wait_for(lambda: not is_there(pid), "for the guest to end")
    assert {name for name in os.listdir("/dev/shm") if "mapcount" in name} <= before


def test_the_pretended_qemu_is_not_left_in_the_path(qemu):
    # What the other tests rest on: it is the one that would be run.
    assert Path(shutil.which(module.QEMU)).read_text().endswith((HERE / "pretended_qemu.py").read_text())
