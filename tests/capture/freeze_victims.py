"""Victims of a freeze: children that count in shared memory, so that it shows whether they run."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mapcount.capture.freeze import frozen
from mapcount.capture.freeze_watchdog import read_stat

VICTIM = """
import mmap, sys, threading, time
threads, path = int(sys.argv[1]), sys.argv[2]
with open(path, "r+b") as file:
    counters = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
def count(index):
    while True:
        counters[index] += 1
        time.sleep(0.001 * threads)
for index in range(1, threads):
    threading.Thread(target=count, args=(index,), daemon=True).start()
count(0)
"""


class Victim:
    """A child that counts in shared memory, one counter a thread."""

    def __init__(self, directory: Path, threads: int = 1) -> None:
        path = directory / f"counters-{time.monotonic_ns()}"
        path.write_bytes(bytes(8 * threads))
        self.child = subprocess.Popen([sys.executable, "-I", "-S", "-c", VICTIM, str(threads), str(path)])
        self.pid = self.child.pid
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.start_time = int(read_stat(f"/proc/{self.pid}/stat")[19])
        wait_for(lambda: all(self.counters()))

    def counters(self) -> list[int]:
        return list(memoryview(bytes(self._map)).cast("Q"))

    def states(self) -> set[str]:
        """The states of its threads, from another file than the code under test reads."""
        lines = [path.read_text().splitlines() for path in Path(f"/proc/{self.pid}/task").glob("*/status")]
        return {line.split()[1] for status in lines for line in status if line.startswith("State:")}

    def runs(self, within_s: float = 1.0) -> bool:
        before = self.counters()
        with contextlib.suppress(AssertionError):
            wait_for(lambda: all(now > then for now, then in zip(self.counters(), before, strict=True)), within_s)
            return True
        return False

    def stands(self) -> bool:
        before = self.counters()
        time.sleep(0.05)
        return self.counters() == before

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self._map.close()


def wait_for(condition, within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def hold(*victims: Victim, **options):
    """Freeze own children, which share our cgroup."""
    return frozen([victim.pid for victim in victims], refuse_own_cgroup=False, **options)


@contextlib.contextmanager
def make_victims(directory: Path):
    """Give a function that makes victims; end them on leaving."""
    made: list[Victim] = []

    def make(threads: int = 1) -> Victim:
        made.append(Victim(directory, threads))
        return made[-1]

    try:
        yield make
    finally:
        for victim in made:
            victim.end()


def stop(victim: Victim) -> None:
    os.kill(victim.pid, signal.SIGSTOP)
    wait_for(lambda: victim.states() == {"T"})


CAPTURE = """
import os, sys, time
from mapcount.capture.freeze import frozen
with frozen([int(pid) for pid in sys.argv[2:]], refuse_own_cgroup=False):
    if sys.argv[1] == "fork" and os.fork() == 0:
        time.sleep(3)  # holds the watchdog's pipe open
        os._exit(0)
    if sys.argv[1] == "exit":
        os._exit(7)
    print("frozen", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def capturing(how: str, *victims: Victim):
    """A process of its own that freezes the victims and hangs."""
    pids = [str(victim.pid) for victim in victims]
    with subprocess.Popen([sys.executable, "-c", CAPTURE, how, *pids], stdout=subprocess.PIPE, text=True) as capture:
        try:
            assert capture.stdout is not None
            assert how == "exit" or capture.stdout.readline() == "frozen\n"
            yield capture
        finally:
            capture.kill()
