"""One interleaving, step by step: who touched which word, from where in the source, and what that made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.interval import values_of
from mapcount.check.locks import names_of
from mapcount.check.steps import State, Steps
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mapcount.check.bytecode import Position
    from mapcount.check.layout import Cell
    from mapcount.check.model import Model
    from mapcount.schemes.ops import Primitive


class TraceStep(NamedTuple):
    """One access of one thread."""

    thread: int
    call: int
    """its number among the thread's calls"""
    primitive: Primitive | None
    """None: a call that touches no word"""
    cell: Cell | None
    before: int
    after: int
    position: Position
    returned: int | None
    """what the call returned, if this was its last access"""
    window: tuple[int, ...]
    """of a reader: what was true at some moment since it began"""
    held: tuple[str, ...]
    """the locks that the thread holds meanwhile"""
    true: tuple[int, ...]
    """what may be true after the step, of what the model's last reader asks about; empty without a reader"""


@dataclass(frozen=True)
class Trace:
    """An interleaving and the state that it leads to."""

    steps: tuple[TraceStep, ...]
    state: State
    words: dict[str, tuple[int, ...]]


def trace(model: Model, schedule: Iterable[int]) -> Trace:
    """
    Run a schedule; it need not lead to the end.

    Raises UsageError where the thread that should go next cannot.
    """
    steps = Steps(model)
    state, told = steps.first, []
    for number, thread in enumerate(schedule):
        one = _step(steps, state, number, thread)
        state = one[1]
        told.append(one[0])
    return Trace(tuple(told), state, steps.words(state))


def _step(steps: Steps, state: State, number: int, thread: int) -> tuple[TraceStep, State]:
    if not 0 <= thread < len(steps.threads):
        raise UsageError(f"step {number + 1}: there is no thread {thread}, the model has {len(steps.threads)}")
    coming = steps.threads[thread].next(steps.local(state, thread))
    taken = steps.step(state, thread)
    if coming is None or taken is None:
        why = "has done everything" if coming is None else "waits for a lock"
        raise UsageError(f"step {number + 1}: thread {thread} {why}")
    closed, access = taken.closed, coming.access
    window = closed.attainable if closed else steps.window(taken.state, thread)
    return (
        TraceStep(
            thread=thread,
            call=coming.call,
            primitive=access.primitive if access else None,
            cell=steps.layout.cells[coming.cell] if access else None,
            before=state[coming.cell] if access else 0,
            after=taken.state[coming.cell] if access else 0,
            position=access.position if access else (),
            returned=closed.value if closed else None,
            window=values_of(window),
            held=names_of(coming.held),
            true=_true(steps, taken.state),
        ),
        taken.state,
    )


def _true(steps: Steps, state: State) -> tuple[int, ...]:
    asked = [
        (thread, call)
        for thread, calls in enumerate(steps.model.threads)
        for call in range(len(calls))
        if steps.is_judged(thread, call)
    ]
    if not asked:
        return ()
    locals_ = [steps.local(state, thread) for thread in range(len(steps.threads))]
    return values_of(steps.moments.attainable(*asked[-1], locals_))
