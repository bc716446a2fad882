"""Fixtures of the live tests: a workload that runs, the settings it needs, the oracle, and what to skip by name."""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from live.oracle import Oracle
from live.settings import Settings
from live.view import Entry, View
from waiting import HANG_S, wait_until_asleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKLOADS = Path(__file__).parent.parent / "workloads"
TRIES = 5


def why_not_live() -> str:
    """Return why this machine or user cannot run live tests; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "live tests need Linux"
    if os.geteuid() != 0:
        return "live tests need root"
    try:
        with open("/proc/self/pagemap", "rb") as pagemap:
            here = id(pagemap) // 4096
            pagemap.seek(here * 8)
            if struct.unpack("<Q", pagemap.read(8))[0] & ((1 << 55) - 1) == 0:
                return "live tests need PFNs, which pagemap hides without CAP_SYS_ADMIN"
        for name in ("/proc/kpageflags", "/proc/kpagecount"):
            os.close(os.open(name, os.O_RDONLY))
    except OSError as error:
        return f"live tests need {error.filename}: {error.strerror}"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    reason = why_not_live() if mine else ""
    for item in mine:
        item.add_marker(pytest.mark.live)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@dataclass
class Running:
    """A workload that holds still, and its truth."""

    truth: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def pids(self) -> dict[str, int]:
        return self.truth["processes"]

    @property
    def areas(self) -> dict[str, list[list[int]]]:
        return self.truth["areas"]

    @property
    def facts(self) -> dict[str, Any]:
        return self.truth["facts"]

    def view(self) -> View:
        """Return the truth as a View."""
        pages: dict[str, dict[int, Entry]] = {}
        for name, runs in self.truth["runs"].items():
            pages[name] = {
                start // 4096 + i: Entry(folio, first + i, level)
                for start, folio, first, count, level in runs
                for i in range(count)
            }
        return View({key: (kind, order) for key, (kind, order) in self.truth["folios"].items()}, pages)


@contextlib.contextmanager
def running(script: str, *arguments: object, cgroup: Path | None = None) -> Iterator[Running]:
    """
    Start a workload, in a cgroup if one is given, wait for its truth, end it.

    Fails the test if it fails; skips if it names what is missing.
    """
    command = [sys.executable, "-I", "-S", "-B", str(WORKLOADS / script), *map(str, arguments)]
    if cgroup:
        command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(cgroup / "cgroup.procs"), *command]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        # The truth comes in one write, once the workload is done: what is readable then is a whole line.
        ready, _, _ = select.select([process.stdout], [], [], HANG_S)
        line = process.stdout.readline() if ready else ""
        if not ready:
            pytest.fail(f"{script} told no truth within {HANG_S} s")
        if not line:
            pytest.fail(f"{script} ended with {process.wait(HANG_S)} before it told its truth")
        truth = json.loads(line)
        if "missing" in truth:
            pytest.skip(truth["missing"])
        for pid in truth["processes"].values() if truth["runs"] else ():
            wait_until_asleep(pid)  # until then it may still touch pages of its own
        yield Running(truth, process)
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(HANG_S)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


@contextlib.contextmanager
def undisturbed(settings: Settings, script: str, *arguments: object, cgroup: Path | None = None) -> Iterator[Running]:
    """Start a workload while nobody else changes the settings it was made for; a few tries, then skip by name."""
    for _ in range(TRIES):
        with running(script, *arguments, cgroup=cgroup) as workload:
            if not settings.disturbed():
                yield workload
                return
    pytest.skip(f"somebody else changed huge page settings during each of {TRIES} starts of {script}")


@pytest.fixture(scope="package")
def held_settings() -> Iterator[Settings]:
    settings = Settings()
    try:
        yield settings
    finally:
        settings.close()


@pytest.fixture
def workload(held_settings: Settings) -> Iterator[Callable[..., Running]]:
    """`workload("anon.py", 4)` starts a workload; it ends with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda script, *arguments, cgroup=None: stack.enter_context(
            undisturbed(held_settings, script, *arguments, cgroup=cgroup)
        )


@pytest.fixture
def settings(held_settings: Settings) -> Iterator[Settings]:
    """Settings of the kernel, put back after the test."""
    try:
        yield held_settings
    finally:
        held_settings.restore()


@pytest.fixture
def thp(settings: Settings) -> Callable[..., None]:
    """`thp(anon=(64,), shmem=(8,))`: large folios of these sizes in kB on madvise, no others; skips without them."""

    def allow(*, anon: tuple[int, ...] = (), shmem: tuple[int, ...] = ()) -> None:
        try:
            settings.thp(anon=anon, shmem=shmem)
        except LookupError as error:
            pytest.skip(str(error))

    return allow


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    oracle = Oracle()
    yield oracle
    oracle.close()
