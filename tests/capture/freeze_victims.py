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
from waiting import wait_for

TIME_LIMIT_S = 600
"""Far beyond what a test waits for anything: what runs again does so because we were told to resume it."""

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

    def runs(self) -> bool:
        """Return True as soon as every thread has counted on; fail the test if one never does."""
        before = self.counters()
        wait_for(lambda: all(now > then for now, then in zip(self.counters(), before, strict=True)), "for it to run")
        return True

    def stands(self) -> bool:
        before = self.counters()
        time.sleep(0.05)
        return self.counters() == before

    def end(self) -> None:
        self.child.kill()
        self.child.wait()
        self._map.close()


def hold(*victims: Victim, time_limit_s: float = TIME_LIMIT_S, **options):
    """Freeze own children, which share our cgroup."""
    pids = [victim.pid for victim in victims]
    return frozen(pids, time_limit_s=time_limit_s, refuse_own_cgroup=False, **options)


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
import os, signal, sys
from mapcount.capture.freeze import frozen
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores it
with frozen([int(pid) for pid in sys.argv[2:]], time_limit_s=600, refuse_own_cgroup=False):
    if sys.argv[1] == "fork" and os.fork() == 0:
        os.read(0, 1)  # holds the watchdog's pipe open until the test ends
        os._exit(0)
    if sys.argv[1] == "exit":
        os._exit(7)
    print("frozen", flush=True)
    os.read(0, 1)
    os._exit(0)
"""


@contextlib.contextmanager
def capturing(how: str, *victims: Victim):
    """A process of its own that freezes the victims and hangs until it is killed or the block is left."""
    command = [sys.executable, "-c", CAPTURE, how, *(str(victim.pid) for victim in victims)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as capture:
        try:
            assert capture.stdout is not None
            assert how == "exit" or capture.stdout.readline() == "frozen\n"
            yield capture
        finally:
            capture.kill()
