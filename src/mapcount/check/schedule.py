"""Who goes next, step after step: a schedule, and the text that stands for it in a report and is replayed by it.

Nothing else is open in a model, so the schedule is the whole interleaving. `a3ba2`: the first thread takes three steps, the
second one, the first two.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable


def schedule_text(schedule: Iterable[int]) -> str:
    """Return the text of a schedule of thread numbers from 0 to 25."""
    runs = [(thread, len(list(steps))) for thread, steps in groupby(schedule)]
    return "".join(chr(ord("a") + thread) + (str(length) if length > 1 else "") for thread, length in runs)


def parse_schedule(text: str) -> tuple[int, ...]:
    """Return the schedule that a text stands for. Raises UsageError for anything else."""
    if not re.fullmatch(r"([a-z]([1-9][0-9]{0,5})?)*", text):
        raise UsageError(f"{text!r} is no schedule: a letter per thread, each with the number of its steps, like a3ba2")
    return tuple(
        ord(letter) - ord("a")
        for letter, length in re.findall(r"([a-z])([0-9]*)", text)
        for _ in range(int(length or 1))
    )
