"""What the kernel prints of a process by VMA and by entry, parsed to be believed: smaps, numa_maps, pagemap, kpagecount."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

MAPPED_ONCE, PRESENT = 1 << 56, 1 << 63
_HEADER = re.compile(r"^([0-9a-f]+)-[0-9a-f]+ ")


def smaps_by_vma(pid: int) -> dict[int, dict[str, int]]:
    """Return, by start address, the fields of /proc/PID/smaps in kB."""
    rows: dict[int, dict[str, int]] = {}
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        header = _HEADER.match(line)
        if header:
            row = rows[int(header[1], 16)] = {}
        elif line.endswith(" kB"):
            name, value, _ = line.split()
            row[name[:-1]] = int(value)
    return rows


def mapmax_by_vma(pid: int) -> dict[int, int]:
    """Return, by start address, mapmax of /proc/PID/numa_maps; not there if it is not printed."""
    rows = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        told = re.search(r" mapmax=(\d+)", line)
        if told:
            rows[int(line.split()[0], 16)] = int(told[1])
    return rows


def words_at(path: str, numbers: np.ndarray) -> np.ndarray:
    """Return the 64-bit words with these numbers of a file of /proc."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return np.array([int.from_bytes(os.pread(fd, 8, 8 * n), "little") for n in numbers.tolist()], np.uint64)
    finally:
        os.close(fd)
