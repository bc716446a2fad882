"""How two numbers compare: equal, bounded by what is known, or unexplained."""

from __future__ import annotations

from typing import NamedTuple

from mapcount.survey.stats import Reading
from mapcount.survey.types import Check


class Band(NamedTuple):
    """What our number may be, ends included."""

    low: int
    high: int


def judge(name: str, ours: int, kernel: Reading | int, unit: str, band: Band, note: str) -> Check:
    """
    Compare our number with the kernel's readings.

    `equal` if both readings and ours are one number, `bounded` if ours lies within the band, else `unexplained`. The
    band must contain what the two readings allow and the terms that `note` names.
    """
    reading = Reading(kernel, kernel) if isinstance(kernel, int) else kernel
    if reading.before == reading.after == ours:
        verdict = "equal"
    else:
        verdict = "bounded" if band.low <= ours <= band.high else "unexplained"
    return Check(name, ours, reading.after, unit, verdict, ours - reading.after, band.low, band.high, note)
