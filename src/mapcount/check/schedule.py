"""Who goes next, step after step: a schedule, and the text that stands for it in a report and is replayed by it.

Nothing else is open in a model, so the schedule is the whole interleaving. `a3ba2`: the first thread takes three steps, the
second one, the first two. Where the memory model leaves a thread several things to do next, `a(1)` is the second of them.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_THREADS = 26
_STEP = r"([a-z])(\(([1-9][0-9]?)\))?([1-9][0-9]{0,5})?"


def schedule_text(schedule: Iterable[int]) -> str:
    """Return the text of a schedule of thread numbers from 0 to 25, or of choices of threads' options (steps.choice)."""
    runs = [(chosen, len(list(steps))) for chosen, steps in groupby(schedule)]
    return "".join(
        chr(ord("a") + chosen % _THREADS)
        + (f"({chosen // _THREADS})" if chosen >= _THREADS else "")
        + (str(length) if length > 1 else "")
        for chosen, length in runs
    )


def parse_schedule(text: str) -> tuple[int, ...]:
    """Return the schedule that a text stands for. Raises UsageError for anything else."""
    if not re.fullmatch(rf"({_STEP})*", text):
        raise UsageError(
            f"{text!r} is no schedule: a letter per thread, each with the number of its steps, like a3ba2 or a(1)2b"
        )
    return tuple(
        ord(letter) - ord("a") + _THREADS * int(option or 0)
        for letter, _, option, length in re.findall(_STEP, text)
        for _ in range(int(length or 1))
    )
