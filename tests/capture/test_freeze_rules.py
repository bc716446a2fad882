"""What a freeze refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from capture.freeze_victims import make_victims
from mapcount.capture.freeze import frozen
from mapcount.capture.freeze_cgroup import parse_cgroups
from mapcount.capture.freeze_rules import Ourselves, Target, refusal, same_cgroup
from mapcount.capture.freeze_watchdog import read_stat
from mapcount.errors import FreezeError


@pytest.fixture
def victims(tmp_path):
    with make_victims(tmp_path) as make:
        yield make


def refused(pid: int, match: str, **options) -> None:
    with pytest.raises(FreezeError, match=match), frozen([pid], **options):
        pytest.fail("it was frozen")


def test_we_our_ancestors_init_and_kernel_threads_are_refused(victims):
    victim = victims()
    refused(os.getpid(), f"process {os.getpid()} .* it is this very process")
    refused(threading.get_native_id(), "it is this very process")
    refused(1, r"process 1 .* it is (init|an ancestor)")
    pid = os.getppid()
    while pid > 1:
        refused(pid, f"process {pid} .* it is an ancestor", refuse_own_cgroup=False)
        pid = int(read_stat(f"/proc/{pid}/stat")[1])
    with pytest.raises(FreezeError, match="very process"), frozen([victim.pid, os.getpid()], refuse_own_cgroup=False):
        pass
    assert victim.runs() and victim.states() != {"T"}


def test_a_kernel_thread_is_refused():
    if not Path("/proc/2/comm").exists() or Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("no kernel thread is visible (a container's pid namespace)")
    refused(2, "it is a kernel thread")


def test_our_own_cgroup_is_refused(victims):
    paths = parse_cgroups(Path("/proc/self/cgroup").read_text())
    if {paths.get("", "/"), paths.get("memory", "/")} == {"/"}:
        pytest.skip("this process is in the root cgroup, which does not count")
    victim = victims()
    refused(victim.pid, "it is in our own cgroup /")
    assert victim.runs()


OURS = Ourselves(pid=101, ancestors=frozenset({1, 53, 89}), tracer=97, cgroups={"": "/a", "memory": "/m"})


@pytest.mark.parametrize(
    ("pid", "kernel_thread", "reason"),
    [(101, False, "very"), (1, False, "init"), (53, False, "ancestor"), (97, False, "debugger"), (7, True, "kernel")],
)
def test_refusals(pid, kernel_thread, reason):
    assert reason in refusal(Target(pid, 0, "x", kernel_thread, {}), OURS)
    assert refusal(Target(103, 0, "x", False, {}), OURS) == ""


@pytest.mark.parametrize(
    ("theirs", "ours", "shared"),
    [
        ({"": "/a"}, {"": "/a"}, "/a"),
        ({"": "/", "memory": "/m"}, {"": "/", "memory": "/m"}, "/m"),
        ({"": "/"}, {"": "/"}, ""),
        ({"": "/a/b"}, {"": "/a"}, ""),
        ({"": "/", "cpu": "/c"}, {"": "/", "cpu": "/c"}, ""),
        ({}, {}, ""),
    ],
)
def test_the_root_cgroup_does_not_count_as_ours(theirs, ours, shared):
    assert same_cgroup(Target(103, 0, "x", False, theirs), Ourselves(101, frozenset(), 0, ours)) == shared


@pytest.mark.live
def test_a_process_we_may_not_signal_is_refused(victims):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    victim = victims()
    source = (
        "import os, sys\nfrom mapcount.capture.freeze import frozen\nfrom mapcount.errors import FreezeError\n"
        "os.setgroups([])\nos.setuid(65534)\n"
        "try:\n    with frozen([int(sys.argv[1])], refuse_own_cgroup=False): print('frozen')\n"
        "except FreezeError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source, str(victim.pid)], capture_output=True, text=True, timeout=30, check=True
    )
    assert "this user may not signal it (that needs root, or CAP_KILL)" in done.stdout
    assert victim.runs()
