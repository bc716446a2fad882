"""NUMA nodes of the running machine: whether there are as many as a scenario asks for, and the processors of the first."""

from __future__ import annotations

import os
from pathlib import Path

from mapcount.errors import KernelFeatureError

NODES = Path("/sys/devices/system/node")


def check_nodes(wanted: int) -> None:
    """Raise KernelFeatureError if pages cannot be moved between so many nodes here."""
    missing = next((node for node in range(wanted) if not (NODES / f"node{node}" / "meminfo").exists()), None)
    if wanted > 1 and missing is not None:
        raise KernelFeatureError(
            f"The scenario moves pages between {wanted} NUMA nodes, and this host has no {NODES / f'node{missing}'}; run it on "
            "a guest"
        )


def run_on_first(pid: int) -> None:
    """Let a process, and children that it will have, run on processors of node 0 alone: what is new comes from there."""
    os.sched_setaffinity(pid, parse_list((NODES / "node0" / "cpulist").read_text(encoding="ascii")))


def parse_list(text: str) -> set[int]:
    """Return the numbers of a list such as `0-3,8`."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
