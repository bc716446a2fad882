"""What a run on this host has changed, in a journal on disk, and the child that puts it back when the run dies in any way.

The journal is the lock file too. An entry is in it BEFORE the change is made, so there is no window in which something is
changed and nobody knows. Whoever holds the lock may put back what the journal says: the run itself at its end, its
watchdog if the run is dead (SIGKILL included), and the next run if both were killed.

This file is also the watchdog's program (`python -I -S host_watchdog.py RUN_PID`, the journal on descriptor 0), which
inherits the locked descriptor: the next run gets the lock when everything is as it was. It needs the standard library
only, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time

WRITE, REMOVE = "write", "remove"
"""Entries: ["write", PATH, VALUE] is put back by writing, ["remove", PATH, ""] by removing an empty cgroup."""
_REMOVE_S = 5.0
"""Processes that were just killed leave their cgroup when they are gone."""
_PATIENCE_S = 0.02
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP, signal.SIGPIPE)


def read_setting(path: str) -> str:
    """Return a setting as it is written to get it back: the word in brackets, or all of it. Raises OSError."""
    with open(path, encoding="ascii") as file:
        text = file.read().strip()
    return text.partition("[")[2].partition("]")[0] or text


def write_setting(path: str, value: str) -> None:
    """Write a setting, in one write, unless it is as wanted already. Raises OSError if the kernel refuses it."""
    if read_setting(path) == value:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def read_journal(descriptor: int) -> list[list[str]]:
    """Return the entries, oldest first; none of a journal that was cut off while its first entry was written."""
    text = os.pread(descriptor, 1 << 20, 0)
    entries = []
    for line in text.split(b"\n"):
        with contextlib.suppress(ValueError):
            entries.append(json.loads(line))
    return entries


def note(descriptor: int, kind: str, path: str, value: str) -> None:
    """Append an entry. Raises OSError if it cannot be written: then the change must not be made."""
    line = json.dumps([kind, path, value]).encode() + b"\n"
    if os.pwrite(descriptor, line, os.fstat(descriptor).st_size) != len(line):
        raise OSError("the journal could not be written whole")


def put_back(descriptor: int) -> list[str]:
    """
    Undo what the journal says, newest first, and empty it.

    Returns one sentence for each entry that could not be put back; these stay in the journal for the next run, less those
    whose file is gone for good.
    """
    failed, problems = [], []
    for kind, path, value in reversed(read_journal(descriptor)):
        try:
            if kind == WRITE:
                write_setting(path, value)
            else:
                _remove_cgroup(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed.append((kind, path, value))
            problems.append(f"{path} could not be put back to {value!r} ({error.strerror})")
    os.ftruncate(descriptor, 0)
    for entry in reversed(failed):
        note(descriptor, *entry)
    return problems


def _remove_cgroup(path: str) -> None:
    deadline = time.monotonic() + _REMOVE_S
    while True:
        try:
            os.rmdir(path)
        except OSError:
            if not os.path.exists(path) or time.monotonic() > deadline:
                raise
            time.sleep(_PATIENCE_S)
        else:
            return


def main() -> int:
    """Wait for the death of the run whose pid is argv[1], then put back what its journal (descriptor 0) says."""
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    pidfd = os.pidfd_open(int(sys.argv[1]))
    os.write(1, b"!")
    os.close(1)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.poll()
    put_back(0)
    return 0


if __name__ == "__main__":
    os._exit(main())
