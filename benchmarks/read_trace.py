"""Which reads a capture makes: recorded inside the process that makes them, written as the trace that floor.c replays.

    Run as root:
    python read_trace.py TRACE [PID ...]     captures those processes (none: all) and prints the counts as JSON

Seen are os.pread, os.preadv, fcntl.ioctl(PAGEMAP_SCAN), open() and os.open() of files below /proc and /sys, on all threads.
Not seen: listing of directories, kcmp() and what else goes through ctypes. Reads of files that are gone when the trace is
replayed (the recorded process's own) fail there; the floor counts them.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import json
import os
import struct
import sys
from collections import Counter
from typing import Any

PAGEMAP_SCAN = 0xC0606610
REGION_BYTES = 24
"""struct page_region"""
MAGIC = b"MCREADS1"
PREAD, WHOLE, SCAN = range(3)
_OP = struct.Struct("IIQQ")
_U32 = struct.Struct("I")
COUNTED = ("pagemap", "kpageflags", "kpagecount", "kpagecgroup")
"""Files counted by name; all others together are `other`."""


class Recorder:
    """Wraps the functions that read, from `start` to `stop`. Appending to a list is atomic, so threads need no lock."""

    def __init__(self) -> None:
        self.ops: list[tuple[str, int, int, int, bytes, int]] = []
        """Path, kind, offset, length, scan argument, bytes that came back."""
        self._real = (os.pread, os.preadv, fcntl.ioctl, builtins.open, os.open)

    def start(self) -> None:
        """Put the wrappers in place. Modules that bind these functions by name must be imported afterwards."""
        os.pread, os.preadv, fcntl.ioctl = self._pread, self._preadv, self._ioctl
        builtins.open = io.open = self._open_file
        os.open = self._open

    def stop(self) -> None:
        """Put the functions back."""
        os.pread, os.preadv, fcntl.ioctl, builtins.open, os.open = self._real
        io.open = builtins.open

    def _note(self, fd: int, kind: int, offset: int, length: int, arg: bytes, got: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.startswith(("/proc/", "/sys/")):
            self.ops.append((path, kind, offset, length, arg, got))

    def _pread(self, fd: int, length: int, offset: int) -> bytes:
        data = self._real[0](fd, length, offset)
        self._note(fd, PREAD, offset, length, b"", len(data))
        return data

    def _preadv(self, fd: int, buffers: Any, offset: int, flags: int = 0) -> int:
        got = self._real[1](fd, buffers, offset, flags)
        self._note(fd, PREAD, offset, sum(memoryview(buffer).nbytes for buffer in buffers), b"", got)
        return got

    def _ioctl(self, fd: Any, request: int, *args: Any) -> Any:
        before = bytes(args[0]) if request == PAGEMAP_SCAN else b""
        result = self._real[2](fd, request, *args)
        if request == PAGEMAP_SCAN:
            self._note(fd, SCAN, 0, 0, before, result * REGION_BYTES)
        return result

    def _open_file(self, file: Any, *args: Any, **kwargs: Any) -> Any:
        opened = self._real[3](file, *args, **kwargs)
        self._note_whole(file)
        return opened

    def _open(self, file: Any, *args: Any, **kwargs: Any) -> int:
        opened = self._real[4](file, *args, **kwargs)
        self._note_whole(file)
        return opened

    def _note_whole(self, file: Any) -> None:
        path = os.fspath(file) if isinstance(file, (str, os.PathLike)) else ""
        if path.startswith(("/proc/", "/sys/")) and os.path.basename(path) not in COUNTED:
            # What it returns is not known here; the floor's count says.
            self.ops.append((path, WHOLE, 0, 0, b"", 0))

    def write(self, path: str) -> None:
        """Write the trace."""
        files = {name: number for number, name in enumerate(dict.fromkeys(op[0] for op in self.ops))}
        with self._real[3](path, "wb") as out:
            out.write(MAGIC + _U32.pack(len(files)) + _U32.pack(len(self.ops)))
            for name in files:
                encoded = os.fsencode(name)
                out.write(_U32.pack(len(encoded)) + encoded)
            for name, kind, offset, length, arg, _ in self.ops:
                out.write(_OP.pack(files[name], kind, offset, length) + arg)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return calls and bytes by what was read; the bytes of `other` are not known here."""
        calls: Counter[str] = Counter()
        got: Counter[str] = Counter()
        for name, kind, _, _, _, returned in self.ops:
            base = os.path.basename(name)
            what = "scan" if kind == SCAN else base if base in COUNTED else "other"
            calls[what] += 1
            got[what] += returned
        return {what: {"calls": calls[what], "bytes": got[what]} for what in ("scan", *COUNTED, "other")}


def main() -> None:
    """Record one capture."""
    path, pids = sys.argv[1], [int(pid) for pid in sys.argv[2:]]
    recorder = Recorder()
    recorder.start()
    import mapcount
    import mapcount.capture.session

    recorder.ops.clear()  # what the imports read is start-up
    mapcount.capture(pids=pids)
    recorder.stop()
    recorder.write(path)
    json.dump(recorder.counts(), sys.stdout)
    print()


if __name__ == "__main__":
    main()
