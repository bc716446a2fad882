"""One interleaving, step by step: who touched which word, from where in the source, and what that made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.interval import told_apart, values_of
from mapcount.check.locks import names_of
from mapcount.check.steps import State, Steps, option_of, thread_of
from mapcount.check.thread_states import NO_CELL, Next, Way
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
    way: Way
    """in its place, or where the memory model puts it"""
    held: tuple[str, ...]
    """the locks that the thread holds meanwhile"""
    true: tuple[int, ...]
    """what may be true after the step, of what the model's last reader asks about; empty without a reader"""
    own: tuple[int, ...] = ()
    """of a reader: what of `window` was true of the folio that had the memory when it began"""
    might: tuple[int, ...] = ()
    """of the end of a read with a history: what it might have returned after those before it"""


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
    for number, chosen in enumerate(schedule):
        one = _step(steps, state, number, chosen)
        state = one[1]
        told.append(one[0])
    return Trace(tuple(told), state, steps.words(state))


def _why_not(steps: Steps, state: State, thread: int, option: int) -> str:
    local = steps.local(state, thread)
    if steps.threads[thread].is_over(local):
        return "has done everything"
    return "waits for a lock" if option < len(steps.threads[thread].options(local)) else "has no such option"


def _step(steps: Steps, state: State, number: int, chosen: int) -> tuple[TraceStep, State]:
    thread = thread_of(chosen)
    if not 0 <= thread < len(steps.threads):
        raise UsageError(f"step {number + 1}: there is no thread {thread}, the model has {len(steps.threads)}")
    options = steps.threads[thread].options(steps.local(state, thread))
    taken = steps.step(state, chosen)
    if taken is None:
        raise UsageError(f"step {number + 1}: thread {thread} {_why_not(steps, state, thread, option_of(chosen))}")
    coming = options[option_of(chosen)]
    closed, access = taken.closed, coming.access
    window, own = told_apart(steps.window(taken.state, thread), renews=steps.model.renews)
    if closed:
        window, own = closed.attainable, closed.own
    return (
        TraceStep(
            thread=thread,
            call=coming.call,
            primitive=access.primitive if access else None,
            cell=_cell(steps, coming, taken.state, thread),
            before=state[coming.cell] if coming.cell != NO_CELL else 0,
            after=taken.state[coming.cell] if coming.cell != NO_CELL else 0,
            way=coming.way,
            position=access.position if access else (),
            returned=closed.value if closed else None,
            window=values_of(window),
            held=names_of(coming.held),
            true=_true(steps, taken.state),
            own=values_of(own),
            might=values_of(closed.might) if closed else (),
        ),
        taken.state,
    )


def _cell(steps: Steps, coming: Next, after: State, thread: int) -> Cell | None:
    """Return the cell that an access is about, also if it is put off."""
    if coming.way is Way.PUT_OFF:
        return steps.layout.cells[steps.threads[thread].locals[steps.local(after, thread)].late[-1].cell]
    return steps.layout.cells[coming.cell] if coming.access else None


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
    return values_of(told_apart(steps.moments.attainable(*asked[-1], locals_), renews=steps.model.renews)[0])
