"""The single steps of a model: its first state, and what each thread makes of a state by its next access.

A state is one flat tuple: the cells (layout.py), then for each thread the number of its state (thread_states.py), then for
each thread the window of the reader that it is inside: the values that were true at some moment since it began, as bits,
or 0; then, in models with histories, for each thread what its reads leave possible (histories.py), by number. Two ways to one
state are one state: what is not in the tuple cannot matter any more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mapcount.check.histories import NOTHING, Histories, Step
from mapcount.check.interval import Moments, claims, told_apart
from mapcount.check.layout import Layout
from mapcount.check.locks import BIT_LOCKS, bits_of
from mapcount.check.lower import lower
from mapcount.check.symmetry import in_order, twins
from mapcount.check.thread_states import NO_CELL, ThreadStates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.check.model import Model
    from mapcount.check.thread_states import Next
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Reader

State: TypeAlias = tuple[int, ...]


class Closed(NamedTuple):
    """A call that is over."""

    thread: int
    call: int
    value: int
    """what it returned"""
    attainable: int
    """of a reader whose promise is judged: what was true at some moment of its window, as bits; else 0"""
    own: int = 0
    """and of these what was true of the folio that had the memory when it began: all, unless that folio was freed"""
    might: int = 0
    """of a reader with a history: what it might have returned after what it returned before, as bits; else 0"""
    earlier: tuple[int, ...] = ()
    """of a reader with a history: what it returned before"""


class Taken(NamedTuple):
    """A step that was taken."""

    state: State
    closed: Closed | None


_THREADS = 26


def choice(thread: int, option: int) -> int:
    """Return the number of a thread's option: where there is but one it is the thread's."""
    return thread + _THREADS * option


def thread_of(chosen: int) -> int:
    """Return the thread of a choice."""
    return chosen % _THREADS


def option_of(chosen: int) -> int:
    """Return the option of a choice."""
    return chosen // _THREADS


class Steps:
    """
    What can happen in a model, one access at a time. A state means something to the object that it comes from, no other.

    Without `symmetry` no two threads are taken for alike. What can happen is the same; who searches may look at less of it.
    Raises SchemeSourceError if a function that the model calls cannot be lowered.
    """

    def __init__(self, model: Model, *, symmetry: bool = True) -> None:
        self.model = model
        self.layout = Layout(model)
        memory = model.memory()
        self.threads = tuple(self._thread(number, memory) for number in range(len(model.threads)))
        # What reads leave possible names threads: who is alike would have to change places there, too.
        self.groups = twins(model, self.threads) if symmetry and not model.histories else ()
        """threads that are alike: which of them stands where makes no difference (symmetry.py)"""
        self.moments = Moments(model, self.threads)
        self._locals = len(self.layout)
        self._windows = self._locals + len(self.threads)
        self._histories = Histories(self.moments) if model.histories else None
        reads = ([n for n, call in enumerate(calls) if not call.is_operation] for calls in model.threads)
        self._reads = {thread: numbers for thread, numbers in enumerate(reads) if numbers}
        self._readers: list[list[Reader | None]] = [
            [model.reader(call.name) for call in calls] for calls in model.threads
        ]
        self._judged = [
            [reader is not None and (model.watch_all or claims(reader)) for reader in readers]
            for readers in self._readers
        ]
        self._watching = [thread for thread, judged in enumerate(self._judged) if any(judged)]
        self.first: State = (
            *self.layout.read(memory),
            *(thread.first for thread in self.threads),
            *(0 for _ in self.threads),
            *(NOTHING for _ in self.threads if model.histories),
        )

    def _thread(self, number: int, memory: Memory) -> ThreadStates:
        model = self.model
        calls = model.threads[number]
        program = lower(model.entries(number), memory, statistics=model.statistics)
        keeps = model.keep_results or model.histories
        kept = {i for i, call in enumerate(calls) if call.may_refuse or (keeps and not call.is_operation)}
        readers = {i for i, call in enumerate(calls) if not call.is_operation}
        return ThreadStates(
            program,
            self.layout,
            kept,
            bits_of(model.locks),
            model.memory_model,
            readers,
            bit_locks=BIT_LOCKS in model.locks,
        )

    def choices(self, state: State) -> Iterator[int]:
        """Yield what may be tried next: the numbers of threads, or choice() of a thread and one of several options."""
        for thread, states in enumerate(self.threads):
            for option in range(len(states.options(state[self._locals + thread]))):
                yield choice(thread, option)

    def step(self, state: State, chosen: int) -> Taken | None:
        """Let a thread do its next access; None if it has to wait for a lock, or has done everything."""
        thread, option = thread_of(chosen), option_of(chosen)
        states = self.threads[thread]
        options = states.options(state[self._locals + thread])
        if option >= len(options):
            return None
        coming = options[option]
        if coming.excluded and coming.excluded & self._held_by_others(state, thread):
            return None
        old = 0 if coming.cell == NO_CELL else state[coming.cell]
        move = states.move(state[self._locals + thread], old, option)
        if move is None:
            return None
        after = list(state)
        if coming.cell != NO_CELL:
            after[coming.cell] = move.value
        for cell, by in move.statistics:
            after[cell] += by
        after[self._locals + thread] = move.local
        if coming.opens and self._judged[thread][coming.call]:
            after[self._windows + thread] = self._attainable(thread, coming.call, state)
        if states.progress(move.local) != states.progress(state[self._locals + thread]):
            self._widen(state, after)
        if move.closed is None:
            self._remember(state, after, thread, coming)
            return Taken(tuple(after), None)
        might = self._remember(state, after, thread, coming, move.closed)
        earlier = states.locals[state[self._locals + thread]].returned if self._histories else ()
        windows = told_apart(after[self._windows + thread], renews=self.model.renews)
        closed = Closed(thread, coming.call, move.closed, *windows, might, earlier)
        after[self._windows + thread] = 0
        return Taken(tuple(after), closed)

    def _remember(self, before: State, after: list[int], thread: int, coming: Next, closed: int | None = None) -> int:
        """Bring what the reads of each thread leave possible up to date; return what a read that ends might have returned."""
        if self._histories is None:
            return 0
        might, first = 0, self._windows + len(self.threads)
        for reader, reads in self._reads.items():
            own = reader == thread
            call = coming.call if own else self.threads[reader].call_of(before[self._locals + reader])
            begins = own and coming.opens and call in reads
            asked = self.model.threads[reader][call] if begins or before[self._windows + reader] else None
            locals_ = before[self._locals : self._windows], after[self._locals : self._windows]
            step, number = Step(*locals_, asked, begins), before[first + reader]
            if own and asked and closed is not None:
                kept, might = self._histories.closed(number, step, closed)
                after[first + reader] = NOTHING if call == reads[-1] else kept
            else:
                after[first + reader] = self._histories.after(number, step)
        return might

    def _widen(self, before: State, after: list[int]) -> None:
        """Add what may be true now to the windows that are open: that depends on how far the threads have come."""
        for thread in self._watching:
            if after[self._windows + thread]:
                call = self.threads[thread].call_of(before[self._locals + thread])
                after[self._windows + thread] |= self._attainable(thread, call, after)

    def _held_by_others(self, state: State, thread: int) -> int:
        held = 0
        for other, states in enumerate(self.threads):
            if other != thread:
                held |= states.locals[state[self._locals + other]].held
        return held

    def _attainable(self, thread: int, call: int, state: State | list[int]) -> int:
        return self.moments.attainable(thread, call, state[self._locals : self._windows])

    def in_order(self, state: State) -> State:
        """Return the one state that stands for all that differ from this one by an exchange of threads that are alike."""
        return in_order(state, self.groups, self._locals)

    def as_taken(self, way: Iterable[int]) -> tuple[int, ...]:
        """Return a schedule that can happen, for one whose states were put in order after every step."""
        if not self.groups:
            return tuple(way)
        state, found, stands = self.first, [], list(range(len(self.threads)))
        for chosen in way:
            real = choice(stands[thread_of(chosen)], option_of(chosen))
            taken = self.step(state, real)
            assert taken is not None
            state = taken.state
            found.append(real)
            for group in self.groups:
                members = sorted((stands[place] for place in group), key=partial(self.local, state))
                for place, member in zip(group, members, strict=True):
                    stands[place] = member
        return tuple(found)

    def reader(self, thread: int, call: int) -> Reader | None:
        """Return the reader that a call asks; None for an operation."""
        return self._readers[thread][call]

    def is_judged(self, thread: int, call: int) -> bool:
        """Return whether a call is of a reader whose promise is about some moment of its window."""
        return self._judged[thread][call]

    def is_over(self, state: State) -> bool:
        """Return whether every thread has done everything."""
        return all(
            thread.is_over(local)
            for thread, local in zip(self.threads, state[self._locals : self._windows], strict=True)
        )

    def cells(self, state: State) -> tuple[int, ...]:
        """Return the words, as layout.py numbers them."""
        return state[: self._locals]

    def local(self, state: State, thread: int) -> int:
        """Return the number of a thread's state."""
        return state[self._locals + thread]

    def window(self, state: State, thread: int) -> int:
        """Return the window of the reader that a thread is inside, as bits; 0 if it is inside none."""
        return state[self._windows + thread]

    def results(self, state: State) -> tuple[tuple[int, ...], ...]:
        """Return what each thread's calls returned, of those whose results are kept."""
        return tuple(states.locals[self.local(state, thread)].returned for thread, states in enumerate(self.threads))

    def words(self, state: State) -> dict[str, tuple[int, ...]]:
        """Return the words by name: one value per page, or one."""
        found: dict[str, list[int]] = {name: [] for name in self.layout.names}
        for cell, value in zip(self.layout.cells, state, strict=False):
            found[cell.word.name].append(value)
        return {name: tuple(values) for name, values in found.items()}
