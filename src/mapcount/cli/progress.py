"""Progress of a capture: one line on stderr that is written over."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from mapcount.capture.session import Progress

_INTERVAL_S = 0.1


def progress_for(args: argparse.Namespace) -> ProgressLine | None:
    """Return what shows progress; None if stderr is no terminal, or with -q."""
    return ProgressLine(sys.stderr) if sys.stderr.isatty() and not args.quiet else None


class ProgressLine:
    """Shows what a capture has done so far, at most ten times a second. `close()` takes the line away."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._next = 0.0
        self._shown = False

    def __call__(self, progress: Progress) -> None:
        """Show this, unless something was shown just now."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _INTERVAL_S
        comm = "".join(character if character.isprintable() else "?" for character in progress.comm)
        line = f"Reading {progress.done}/{progress.total}: {progress.pid} {comm}, {progress.pages:,} pages"
        self._write(line[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        """Take the line away, if there is one."""
        if self._shown:
            self._write("")

    def _write(self, line: str) -> None:
        self._shown = bool(line)
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()
