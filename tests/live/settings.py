"""Settings of the kernel that a test needs: set for a while, put back whatever happens, one test run at a time.

What was found is written into the lock file before anything is changed, so that a run which was killed outright is made
good by the next one.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

THP = Path("/sys/kernel/mm/transparent_hugepage")
KSM = Path("/sys/kernel/mm/ksm")
HUGETLB = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
LOCK_FILE = Path(tempfile.gettempdir()) / "mapcount-live-tests.lock"
WAIT_S = 180


def read_setting(path: Path) -> str:
    """Return a setting as it must be written to get it back: the word in brackets, or all of it."""
    text = path.read_text().strip()
    return text.partition("[")[2].partition("]")[0] or text


class Settings:
    """Hold the lock from the first `open` to `close`; restore on `restore`, at exit, and on SIGTERM and SIGHUP."""

    def __init__(self, lock_file: Path = LOCK_FILE) -> None:
        self._found: dict[str, str] = {}
        self._wanted: dict[Path, str] = {}
        self._handlers: dict[int, Any] = {}
        self._lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.fstat(self._lock).st_uid != os.geteuid():
            raise PermissionError(f"{lock_file} is not ours: what it says was found here may be made up")
        self._wait_for_lock(lock_file)
        left_behind = os.pread(self._lock, 1 << 20, 0)
        self._found = json.loads(left_behind) if left_behind else {}
        self.restore()
        atexit.register(self.restore)
        for number in (signal.SIGTERM, signal.SIGHUP):
            self._handlers[number] = signal.signal(number, self._on_signal)

    def _wait_for_lock(self, lock_file: Path) -> None:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{lock_file} was held by another test run for {WAIT_S} s") from None
                time.sleep(0.2)
            else:
                return

    def set(self, path: Path, value: str) -> None:
        """Write a setting and remember what was there. OSError if the kernel refuses it."""
        if str(path) not in self._found:
            self._found[str(path)] = read_setting(path)
            self._write_down()
        self._wanted[path] = value
        if read_setting(path) != value:
            path.write_text(value)

    def disturbed(self) -> bool:
        """Say whether somebody else has changed what was set here; if so, set it again."""
        others = {path: value for path, value in self._wanted.items() if read_setting(path) != value}
        for path, value in others.items():
            path.write_text(value)
        return bool(others)

    def restore(self) -> None:
        """Put back everything, newest first."""
        self._wanted.clear()
        for name in reversed(list(self._found)):
            if read_setting(Path(name)) != self._found[name]:
                Path(name).write_text(self._found[name])
            del self._found[name]
        self._write_down()

    def close(self) -> None:
        self.restore()
        atexit.unregister(self.restore)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self._lock)

    def _write_down(self) -> None:
        os.ftruncate(self._lock, 0)
        if self._found:
            os.pwrite(self._lock, json.dumps(self._found).encode(), 0)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.restore()
        signal.signal(number, self._handlers[number])
        os.kill(os.getpid(), number)

    def thp(self, *, anon: tuple[int, ...] = (), shmem: tuple[int, ...] = ()) -> None:
        """
        Allow large folios of these sizes (kB) where madvise asks for them, and of no other size.

        `shmem` sizes are those of memfd and shared anonymous memory (`advise`). LookupError if the kernel has no such size.
        """
        sizes = {int(path.name[len("hugepages-") : -len("kB")]): path for path in THP.glob("hugepages-*kB")}
        for wanted, file, word in ((anon, "enabled", "madvise"), (shmem, "shmem_enabled", "advise")):
            for size in wanted:
                if size not in sizes or not (sizes[size] / file).exists():
                    raise LookupError(f"this kernel has no {file} for folios of {size} kB")
            for size, path in sizes.items():
                if (path / file).exists():
                    self.set(path / file, word if size in wanted else "never")
