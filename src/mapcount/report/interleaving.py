"""One interleaving, as kernel developers draw races: a column a CPU, what each access made of its word, the truth beside.

Below it where each access stands in the source, with the locks that were held: why this can happen at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.thread_states import Way
from mapcount.report.layout import heading, note, sentence
from mapcount.report.table import Column, View, tables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from mapcount.check.cells import Cell
    from mapcount.check.model import Model
    from mapcount.check.replay import Both
    from mapcount.check.trace import Trace, TraceStep


def interleaving(model: Model, trace: Trace, view: View) -> Iterator[RenderableType]:
    """Yield the drawing, and the source behind each step."""
    yield heading("Interleaving (stored values: most counters begin at -1)")
    yield from drawing(model, trace, view)
    yield from _sources(trace)


def drawing(model: Model, trace: Trace, view: View) -> Iterator[RenderableType]:
    """Yield who does what, and a column a CPU with a line a step."""
    for number, calls in enumerate(model.threads):
        yield sentence(f"CPU {number}: {', then '.join(map(str, calls))}")
    yield sentence(f"before: {', '.join(map(str, model.start)) or 'nothing maps the folio'}\n")
    cpus = [Column(f"CPU {number}", text=True) for number in range(len(model.threads))]
    columns = [Column("step"), *cpus, *([Column("true", text=True)] if _has_truth(trace) else [])]
    rows = [row for n, step in enumerate(trace.steps, 1) for row in _rows(model, n, step)]
    yield from tables(columns, rows, width=view.width)
    for name, value in model.scheme.constants.items():
        if name in model.scheme.scheme.scalable:
            yield note(f"{name} is {value} here, a small one (a kernel's would only make states larger)")


def replayed(cell: Cell, both: Both, view: View) -> Iterator[RenderableType]:
    """Yield an interleaving that was run in both ways, and whether they did the same."""
    yield heading(str(cell))
    yield from interleaving(both.model, both.trace, view)
    yield heading("The same on the scheme's plain Python")
    yield sentence(f"{both.agreement}.")
    for number, results in enumerate(both.results):
        if results:
            yield sentence(f"CPU {number} returned {', '.join(map(str, results))}")


def _has_truth(trace: Trace) -> bool:
    return any(step.true for step in trace.steps)


def _rows(model: Model, number: int, step: TraceStep) -> Iterator[list[str]]:
    """Yield the line of a step, and one more where a reader's call ends with it."""
    true = [" or ".join(map(str, step.true))] if step.true else []
    yield [str(number), *_in_column(model, step, told(step)), *true]
    if step.returned is not None and step.window:
        yield ["", *_in_column(model, step, f"returns {step.returned}"), *("" for _ in true)]


def _in_column(model: Model, step: TraceStep, words: str) -> list[str]:
    return [words if thread == step.thread else "" for thread in range(len(model.threads))]


def told(step: TraceStep) -> str:
    """Return what a step did, in a few words."""
    if step.cell is None or step.primitive is None:
        return "nothing shared"
    if step.way is Way.PUT_OFF:
        return f"({step.cell} put off)"
    if step.primitive.effect == "load":
        return f"{step.cell} is {step.before}" + (", early" if step.way is Way.EARLY else "")
    if step.primitive.effect in {"lock", "unlock"}:
        return f"{step.primitive.effect} {step.cell}"
    return f"{step.cell} {step.before} > {step.after}" + (", late" if step.way is Way.LATE else "")


def _sources(trace: Trace) -> Iterator[RenderableType]:
    yield heading("Where, and under which locks")
    for thread in sorted({step.thread for step in trace.steps}):
        yield sentence(f"CPU {thread}")
        for numbers, step in _runs(trace.steps, thread):
            chain = " > ".join(map(str, step.position))
            held = f" [{', '.join(step.held)}]" if step.held else ""
            yield note(f"  {numbers}: {chain}{held}")


def _runs(steps: Sequence[TraceStep], thread: int) -> list[tuple[str, TraceStep]]:
    """Return the steps of a thread, those at one place of the source together."""
    found: list[tuple[list[int], TraceStep]] = []
    for number, step in enumerate(steps, 1):
        if step.thread != thread:
            continue
        if found and found[-1][1].position == step.position and found[-1][1].held == step.held:
            found[-1][0].append(number)
        else:
            found.append(([number], step))
    return [(", ".join(map(str, numbers)), step) for numbers, step in found]
