"""Replays one interleaving by its text, on what was lowered and on the scheme's own plain Python, and compares the two."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.baton import PythonRun, run_in_python
from mapcount.check.cells import Cell, model_of, parse_cell
from mapcount.check.locks import BIT_LOCKS
from mapcount.check.schedule import parse_schedule
from mapcount.check.trace import Trace, trace
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from mapcount.check.model import Model


class Both(NamedTuple):
    """What an interleaving did in both ways."""

    model: Model
    trace: Trace
    results: tuple[tuple[int, ...], ...]
    """what each thread's calls returned, in plain Python"""
    agreement: str
    """that all words agree, in words"""


def parse_replay(text: str) -> tuple[Cell, tuple[int, ...]]:
    """Return the model and the schedule of a replayable text. Raises UsageError for anything else."""
    cell, colon, schedule = text.rpartition(":")
    if not colon or "/" not in cell:
        raise UsageError(f"{text!r} is no interleaving: a model and a schedule, like mm-id/kpagecount/zap-fault/2:a2cb")
    return parse_cell(cell), parse_schedule(schedule)


def run_both(cell: Cell, schedule: tuple[int, ...]) -> Both:
    """
    Run a schedule on the lowered functions and on plain Python.

    Raises UsageError if a thread that should go next cannot, or if the two differ: that is a fault of mapcount.
    """
    model = model_of(cell)
    lowered = trace(model, schedule)
    if BIT_LOCKS in cell.without:
        return Both(model, lowered, (), "plain Python takes its bit locks: without them it is not run there")
    if cell.memory != "sc":
        return Both(
            model, lowered, (), f"plain Python has no memory model but the first: {cell.memory} is not run there"
        )
    python = run_in_python(model, schedule)
    differing = _differing(lowered, python)
    if differing:
        raise UsageError(
            f"{cell}: after this, {differing} in plain Python; please report this, it is a fault of mapcount"
        )
    return Both(model, lowered, python.results, f"{len(lowered.words)} words are the same after {len(schedule)} steps")


def _differing(lowered: Trace, python: PythonRun) -> str:
    for name, values in lowered.words.items():
        words = python.memory.words.get(name)
        if words is not None and tuple(words) != values:
            return f"{name} is {tuple(words)}, not {values}"
    returned = [step.returned for step in lowered.steps if step.returned is not None]
    if sorted(returned) != sorted(value or 0 for results in python.results for value in results):
        return "calls returned something else"
    return ""
