"""Waiting for what others do: until it is so, with a limit that tells a hang from a busy machine, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HANG_S = 60


def wait_for(condition: Callable[[], object], what: str = "", within_s: float = HANG_S) -> None:
    """Return once the condition is true; fail the test if that takes so long that it will never be."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {within_s} s in vain {what}")
        time.sleep(0.001)


def wait_until_asleep(pid: int) -> None:
    """Wait until the main thread of a process sleeps, or has ended."""
    stat = Path(f"/proc/{pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] in "SZ", f"for process {pid} to come to rest")
