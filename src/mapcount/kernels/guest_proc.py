"""What /proc of a guest says of the areas of its processes: smaps, bit 56 of pagemap, kpagecount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.maps import parse_maps
from mapcount.capture.pagemap import ENTRY_BYTES, MAPPED_ONCE, PRESENT
from mapcount.kernels.host_observe import parse_amounts
from mapcount.kernels.mapped_rows import run_lengths
from mapcount.scenarios.observation import VmaReading
from mapcount.scenarios.steps import AREA_BASE, AREA_BYTES, AREAS, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mapcount.kernels.guest_files import GuestFiles
    from mapcount.scenarios.observation import FolioState, Runs

_AREAS_END = AREA_BASE + len(AREAS) * AREA_BYTES


def read_vmas(files: GuestFiles, pids: Mapping[str, int]) -> tuple[VmaReading, ...]:
    """Return what smaps and pagemap say, sorted by process and address. Raises GuestError."""
    found = [reading for name, pid in pids.items() for reading in _of_process(files, name, pid)]
    return tuple(sorted(found, key=lambda reading: (reading.process, reading.area, reading.first)))


def read_counts(files: GuestFiles, folios: Mapping[int, tuple[str, FolioState]]) -> dict[str, Runs]:
    """Return kpagecount of folios, which are given by the frame of their first page as (name, state)."""
    found = {}
    for head, (name, state) in folios.items():
        data = files.read("/proc/kpagecount", head * ENTRY_BYTES, (1 << state.order) * ENTRY_BYTES)
        found[name] = run_lengths(np.frombuffer(data, "<i8"))
    return found


def _of_process(files: GuestFiles, name: str, pid: int) -> list[VmaReading]:
    smaps = files.read(f"/proc/{pid}/smaps")
    amounts = parse_amounts(smaps)
    readings = []
    vmas = parse_maps(files.read(f"/proc/{pid}/maps"))
    for start, end in zip(vmas.start.tolist(), vmas.end.tolist(), strict=True):
        if AREA_BASE <= start < _AREAS_END:
            first, nr_pages = start >> 12, (end - start) >> 12
            data = files.read(f"/proc/{pid}/pagemap", first * ENTRY_BYTES, nr_pages * ENTRY_BYTES)
            entries = np.frombuffer(data, "<u8")
            once = (entries & PRESENT != 0) & (entries & MAPPED_ONCE != 0)
            area, page = place_of(first)
            bits = run_lengths(once.astype(np.int64))
            readings.append(VmaReading(name, area, page, page + nr_pages, amounts[start, end], bits))
    return readings
