"""The THP settings that the load needs while it faults its memory in, and their return to what they were."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

THP = Path("/sys/kernel/mm/transparent_hugepage")
LOCK_FILE = Path(tempfile.gettempdir()) / "mapcount-live-tests.lock"
"""The one of tests/live/settings.py."""
MADVISE_SIZES = ("hugepages-64kB", "hugepages-2048kB")


class Interrupted(SystemExit):
    """A signal asked us to end: unwinds through every `finally`, as Ctrl-C does."""


def unwind_on_signals() -> None:
    """Make SIGTERM and SIGHUP unwind the stack, so that settings are restored and loads end."""

    def unwind(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, unwind)


@contextlib.contextmanager
def load_settings() -> Iterator[None]:
    """
    Allow 64 KiB and 2 MiB folios where madvise asks for them and no other size. Needs root.

    Held only while a load is set up: its folios stay as they are whatever the settings are afterwards.
    """
    with contextlib.ExitStack() as restore:
        # Two that change settings at once would each restore what the other had set. The live tests take this lock too.
        lock = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        restore.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(restore, THP / "enabled", "madvise")
        _write(restore, THP / "defrag", "madvise")
        for enabled in sorted(THP.glob("hugepages-*kB/enabled")):  # 8kB has none: shmem alone has folios of two pages
            _write(restore, enabled, "madvise" if enabled.parent.name in MADVISE_SIZES else "never")
        yield


def _write(restore: contextlib.ExitStack, path: Path, value: str) -> None:
    was = _chosen(path.read_text(encoding="ascii"))
    if was != value:
        restore.callback(path.write_text, was, encoding="ascii")
        path.write_text(value, encoding="ascii")


def _chosen(text: str) -> str:
    """Return the bracketed word of `always [madvise] never`."""
    return text[text.index("[") + 1 : text.index("]")]


def mthp_stats(size: str, name: str) -> int:
    """Return a counter of `/sys/kernel/mm/transparent_hugepage/hugepages-SIZE/stats`."""
    return int((THP / f"hugepages-{size}" / "stats" / name).read_text(encoding="ascii"))
