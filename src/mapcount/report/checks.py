"""Self-checks: our numbers beside the kernel's own."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from mapcount.report.layout import first, heading, note, sentence
from mapcount.report.table import Column, View, tables
from mapcount.report.text import plural, printable
from mapcount.units import format_count, format_kib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.survey.types import Check, Survey

_PER_PROCESS = re.compile(r"(Rss|Pss|Uss) of ")
_VERDICTS = {"equal": "= equal", "bounded": "~ bounded", "unexplained": "! unexplained"}
"""A sign and a word: colour is never alone."""
_COLUMNS = [Column("check", text=True), *map(Column, ("ours", "kernel's", "difference")), Column("verdict", text=True)]


def section(survey: Survey, view: View) -> Iterator[RenderableType]:
    """Yield the checks: each machine-wide one, those of processes in a line per quantity with what was not equal."""
    if not survey.checks:
        return
    yield heading("Self-checks (sizes in KiB, all else counts)")
    groups = {} if view.verbose else per_process(survey.checks)
    single = [check for check in survey.checks if view.verbose or not _PER_PROCESS.match(check.name)]
    odd = [check for group in groups.values() for check in _worst(group)]
    shown = [*(check for check in single if not _is_idle(check, view)), *first(odd, view.top)]
    if shown:
        yield from tables(_COLUMNS, [_cells(check) for check in shown], width=view.width)
    if view.top and len(odd) > view.top:
        yield note(f"... {len(odd) - view.top:,} more of processes that are not equal (--top 0 for all)")
    idle = sum(_is_idle(check, view) for check in single)
    if idle:
        yield note(f"{plural(idle, 'check')} in which both are 0: equal (-v shows them)")
    yield from (sentence(summary(quantity, group)) for quantity, group in groups.items())
    for words in dict.fromkeys(check.note for check in shown if check.note and check.verdict != "equal"):
        about = ", ".join(check.name for check in shown if check.note == words and check.verdict != "equal")
        yield note(f"{printable(about) if about.count(',') < 2 else plural(about.count(',') + 1, 'check')}: {words}")
    yield note(
        "bounded: within what the kernel's readings before and after allow, or off in the direction that is known. "
        "unexplained: neither."
    )


def per_process(found: Sequence[Check]) -> dict[str, list[Check]]:
    """Return the checks of processes, by quantity: Rss, Pss, Uss."""
    groups: dict[str, list[Check]] = {}
    for check in found:
        if quantity := _PER_PROCESS.match(check.name):
            groups.setdefault(quantity[1], []).append(check)
    return groups


def summary(quantity: str, group: Sequence[Check]) -> str:
    """Say how the checks of one quantity came out: `Rss of 41 processes: 39 equal, 2 bounded`."""
    counts = Counter(check.verdict for check in group)
    parts = [f"{counts[verdict]:,} {verdict}" for verdict in _VERDICTS if counts[verdict]]
    return f"{quantity} of {plural(len(group), 'process', 'processes')}: {', '.join(parts)}"


def _is_idle(check: Check, view: View) -> bool:
    """Say whether a check compares nothing with nothing, which only -v shows."""
    return not view.verbose and check.verdict == "equal" and check.ours == check.kernel == 0


def _worst(group: Sequence[Check]) -> list[Check]:
    """Return what is not equal: unexplained before bounded, the largest difference first."""
    odd = [check for check in group if check.verdict != "equal"]
    return sorted(odd, key=lambda check: (check.verdict != "unexplained", -abs(check.difference)))


def _cells(check: Check) -> list[str]:
    number = format_kib if check.unit == "bytes" else format_count
    sign = "" if check.difference == 0 else "+" if check.difference > 0 else "-"
    difference = sign + number(abs(check.difference))
    verdict = _VERDICTS.get(check.verdict, check.verdict)
    return [check.name, number(check.ours), number(check.kernel), difference, verdict]
