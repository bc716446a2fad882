"""The search of explore.py, compiled: the same states, answers and shortest ways, millions of states a second.

The compiled part (search.py) knows only numbers. What a thread makes of a word's value is reckoned by thread_states.py when it
is met for the first time, and what may be true at a moment by interval.py, exactly as for the plain search.
"""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.check import search
from mapcount.check.explore import Answer, Explored, by_verdict, ranges_by_word
from mapcount.check.interval import told_apart, values_of
from mapcount.check.steps import choice
from mapcount.check.thread_states import NO_CELL
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from mapcount.check.explore import Condition, Progress
    from mapcount.check.steps import State, Steps

_CELL, _LOCAL, _WINDOW = 1, 2, 8
"""Bytes of a field at first; a narrow one is doubled where a value does not fit."""
_MOST_OPTIONS = {"sc": 1, "tso": 2, "weak": 16}
"""Ways in which a thread may go on, by memory model."""
_PAUSE = 1 << 18
"""States after which the search comes back to say how far it is."""
_MOST_WAYS = 127
"""The number of a thread's option is kept in a byte."""
_MOST_VALUES = 62
"""Bits of a window: the values that a reader's truth may have."""


def explore_fast(
    steps: Steps, until: Mapping[str, Condition], max_states: int, progress: Progress | None = None
) -> Explored:
    """Look at every state; as explore(), which see. Raises UsageError for a truth of more than 62 values."""
    widths = [_CELL] * len(steps.layout) + [_LOCAL] * len(steps.threads)
    while True:
        found = _Search(steps, widths, max_states, progress).run()
        if isinstance(found, _Search):
            return found.explored(until)
        for field in _widened_together(steps, found):
            widths[field] *= 2


def _widened_together(steps: Steps, field: int) -> Sequence[int]:
    """Return the fields that grow with one: the numbers of threads that are alike change places."""
    first = len(steps.layout)
    group = next((group for group in steps.groups if field - first in group), None)
    return [field] if group is None else [first + thread for thread in group]


class _Search:
    def __init__(self, steps: Steps, widths: list[int], max_states: int, progress: Progress | None) -> None:
        self.steps = steps
        self._progress = progress
        self._cells, self._threads = len(steps.layout), len(steps.threads)
        self._options = _MOST_OPTIONS[steps.model.memory_model]
        self._max_states = max_states
        self._rules = _RuleTables(steps)
        # Only a thread with a question that is judged ever has a window.
        windows = [_WINDOW if watched else 0 for watched in self._rules.watched]
        fields = np.array([*widths, *windows], np.int64)
        offsets = np.cumsum(fields) - fields
        words = -(-int(fields.sum()) // 8)
        self._control = np.zeros(8, np.int64)
        self._control[search.STATES] = 1
        room = max_states + 2
        states = np.empty((room, words), np.uint64)
        self._space = search.Space(
            offsets,
            fields,
            states,
            states.view(np.uint8),
            np.empty(room, np.int32),
            np.empty(room, np.int8),
            np.full(1 << 12, search.EMPTY, np.int32),
        )
        self._finals, self._stuck = np.empty(64, np.int32), np.empty(64, np.int32)
        self._answers = np.empty((64, search.ANSWER_COLUMNS), np.int64)

    def run(self) -> _Search | int:
        """Search to the end; return the number of a field that is too narrow, if that is found out."""
        first = np.array(self.steps.first, np.int64)
        narrow = int(search.pack(self._space, 0, first))
        if narrow != search.EMPTY:
            return narrow
        self._space.parent[0] = self._space.by[0] = -1
        search.fill_table(self._space.table, self._space.states, 1)
        miss = np.zeros(4 + self._threads, np.int64)
        answers = self._answer_table()
        pause = _PAUSE
        while True:
            finds = search.Finds(self._finals, self._stuck, self._answers, answers)
            room = min(pause, self._max_states + 2)
            numbers = self._cells, self._threads, self._options, room
            why = search.run(self._control, self._space, self._rules.arrays(), finds, *numbers, miss)
            if why == search.MISSING_MOVE:
                self._rules.add_move(*miss[:3].tolist())
            elif why == search.MISSING_TRUTH:
                self._rules.add_truth(int(miss[0]), miss[1 : 1 + self._threads].tolist())
            elif why == search.TABLE_FULL:
                table = np.full(2 * self._space.table.size, search.EMPTY, np.int32)
                search.fill_table(table, self._space.states, int(self._control[search.STATES]))
                self._space = self._space._replace(table=table)
            elif why == search.LIST_FULL:
                self._finals, self._stuck = _doubled(self._finals), _doubled(self._stuck)
                self._answers = np.concatenate([self._answers, np.empty_like(self._answers)])
                answers = self._answer_table()
            elif why == search.TOO_NARROW:
                return int(miss[0])
            elif why == search.BOUND_REACHED and room == pause:
                pause += _PAUSE
                if self._progress:
                    self._progress(int(self._control[search.STATES]), int(self._control[search.TRANSITIONS]))
            else:
                return self

    def explored(self, until: Mapping[str, Condition]) -> Explored:
        """Return what was found."""
        control = self._control
        answers = [self._answer(*row) for row in self._answers[: control[search.ANSWERS]].tolist()]
        states = int(control[search.STATES])
        return Explored(
            steps=self.steps,
            states=states,
            transitions=int(control[search.TRANSITIONS]),
            depth=len(self._way(states - 1)),
            complete=states <= self._max_states,
            finals=tuple(map(self._state, self._finals[: control[search.FINALS]].tolist())),
            stuck=tuple(map(self._schedule, self._stuck[: control[search.STUCK]].tolist())),
            answers=by_verdict(self.steps, answers),
            observed=tuple(answers),
            seen=self._seen(until),
            ranges=ranges_by_word(self.steps, [self._extremes(cell, states) for cell in range(self._cells)]),
        )

    def _answer(self, thread: int, call: int, value: int, window: int, at: int, by: int) -> Answer:
        true, own = map(values_of, told_apart(window, renews=self.steps.model.renews))
        return Answer(thread, call, value, None, true, self._schedule(at, self._choice(by)), own)

    def _extremes(self, cell: int, states: int) -> tuple[int, int]:
        """Return the least and the greatest value of a cell in all states."""
        width, at = int(self._space.widths[cell]), int(self._space.offsets[cell])
        raw = np.ascontiguousarray(self._space.packed[:states, at : at + width])
        values = raw.view(np.dtype(f"<i{width}"))
        return int(values.min()), int(values.max())

    def _answer_table(self) -> npt.NDArray[np.int32]:
        """Return a hash table for the answers, with those that there are: the search puts them in when it meets them again."""
        table = np.full(4 * len(self._answers), search.EMPTY, np.int32)
        search.fill_answers(table, self._answers, int(self._control[search.ANSWERS]))
        return table

    def _state(self, number: int) -> State:
        fields = np.empty(self._space.offsets.size, np.int64)
        search.unpack(self._space, number, fields)
        return tuple(fields.tolist())

    def _choice(self, by: int) -> int:
        return choice(by // self._options, by % self._options)

    def _schedule(self, number: int, *further: int) -> tuple[int, ...]:
        return self.steps.as_taken((*self._way(number), *further))

    def _way(self, number: int) -> tuple[int, ...]:
        way: list[int] = []
        while self._space.parent[number] >= 0:
            way.append(self._choice(int(self._space.by[number])))
            number = int(self._space.parent[number])
        return tuple(reversed(way))

    def _seen(self, until: Mapping[str, Condition]) -> dict[str, tuple[int, ...]]:
        """Return the shortest way to a state that fulfils each condition: words that are alike are looked at once."""
        if not until:
            return {}
        seen: dict[str, tuple[int, ...]] = {}
        cells = self._space.packed[: self._control[search.STATES], : int(self._space.offsets[self._cells])]
        _, firsts = np.unique(cells, axis=0, return_index=True)
        for number in np.sort(firsts).tolist():
            words = self.steps.words(self._state(number))
            seen |= {
                name: self._schedule(number)
                for name, condition in until.items()
                if name not in seen and condition(words)
            }
            if len(seen) == len(until):
                break
        return seen


class _RuleTables:
    """The tables of search.Rules, which grow as the search asks for more."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        threads = len(steps.threads)
        calls = max((len(calls) for calls in steps.model.threads), default=1) + 1
        questions = [
            (thread, call)
            for thread in range(threads)
            for call in range(len(steps.model.threads[thread]))
            if steps.is_judged(thread, call)
        ]
        self._questions = questions
        self.watched = [any(thread == asked for asked, _ in questions) for thread in range(threads)]
        self._judged = np.full((threads, calls), search.EMPTY, np.int64)
        for number, question in enumerate(questions):
            self._judged[question] = number
        self._is_reader = np.zeros((threads, calls), np.uint8)
        for thread, made in enumerate(steps.model.threads):
            for call in range(len(made)):
                self._is_reader[thread, call] = steps.reader(thread, call) is not None
        self._locals = 64
        self._options = _MOST_OPTIONS[steps.model.memory_model]
        ways = threads * self._options
        if ways > _MOST_WAYS:
            raise UsageError(
                f"{steps.model!r}: too many threads for the compiled search; leave the choice to engine='auto'"
            )
        self._next = np.full((ways, self._locals), search.UNKNOWN, np.int64)
        self._opens = np.zeros((ways, self._locals), np.uint8)
        self._excluded = np.zeros((ways, self._locals), np.int64)
        self._held = np.zeros((threads, self._locals), np.int64)
        self._progress = np.zeros((threads, self._locals), np.int64)
        self._call_of = np.zeros((threads, self._locals), np.int64)
        self._moves = _Table()
        self._truths = _Table()
        self._move_rows = np.empty((64, search.MOVE_COLUMNS), np.int64)
        self._nr_moves = 0
        self._stats = np.zeros((1, len(steps.layout)), np.int64)
        self._known: set[tuple[int, int]] = set()
        self._arrays: search.Rules | None = None
        self._twins = {thread: group for group in steps.groups for thread in group}
        self._before, self._after = np.full((2, threads), search.EMPTY, np.int64)
        for group in steps.groups:
            self._before[list(group[1:])], self._after[list(group[:-1])] = group[:-1], group[1:]
        for thread, states in enumerate(steps.threads):
            self._add_local(thread, states.first)

    def arrays(self) -> search.Rules:
        """Return the tables as they are now."""
        if self._arrays is None:
            self._arrays = search.Rules(
                self._next,
                self._opens,
                self._held,
                self._excluded,
                self._progress,
                self._call_of,
                self._before,
                self._after,
                self._judged,
                self._is_reader,
                self._moves.keys,
                self._moves.values,
                self._move_rows,
                self._stats,
                self._truths.keys,
                self._truths.values,
            )
        return self._arrays

    def add_move(self, by: int, local: int, old: int) -> None:
        """Add what a thread makes of a value of the cell that it touches next, in one of its ways."""
        thread, option = divmod(by, self._options)
        move = self._steps.threads[thread].move(local, old, option)
        row = [search.EMPTY, 0, 0, 0, search.EMPTY, old]
        if move is not None:
            closes = move.closed is not None
            stats = search.EMPTY
            if move.statistics:
                stats = len(self._stats)
                change = np.zeros((1, len(self._steps.layout)), np.int64)
                for cell, pages in move.statistics:
                    change[0, cell] += pages
                self._stats = np.concatenate([self._stats, change])
            row = [move.local, move.value, int(closes), move.closed or 0, stats, old]
            for alike in self._twins.get(thread, (thread,)):
                self._add_local(alike, move.local)
        if self._nr_moves == len(self._move_rows):
            self._move_rows = np.concatenate([self._move_rows, np.empty_like(self._move_rows)])
        self._move_rows[self._nr_moves] = row
        self._moves.put(by << 56 | local << 32 | old & 0xFFFFFFFF, self._nr_moves)
        self._nr_moves += 1
        self._arrays = None

    def add_truth(self, question: int, locals_: list[int]) -> None:
        """Add what may be true of a question when the threads are in these states."""
        thread, call = self._questions[question]
        truth = self._steps.moments.attainable(thread, call, locals_)
        if truth.bit_length() > _MOST_VALUES:
            raise UsageError(
                f"{self._steps.model!r}: a reader's truth may be over {_MOST_VALUES}; fewer pages or threads"
            )
        key = question
        for number in starmap(self._steps.moments.progress_number, enumerate(locals_)):
            key = key * search.PROGRESS_BASE + number
        self._truths.put(key, truth)
        self._arrays = None

    def _add_local(self, thread: int, local: int) -> None:
        while local >= self._locals:
            self._next = np.concatenate([self._next, np.full_like(self._next, search.UNKNOWN)], axis=1)
            for name in ("_opens", "_held", "_excluded", "_progress", "_call_of"):
                values = getattr(self, name)
                setattr(self, name, np.concatenate([values, np.zeros_like(values)], axis=1))
            self._locals *= 2
        if (thread, local) in self._known:
            return
        self._known.add((thread, local))
        states = self._steps.threads[thread]
        progress = self._steps.moments.progress_number(thread, local)
        options = states.options(local)
        if progress >= search.PROGRESS_BASE or len(options) > self._options:
            raise UsageError(f"{self._steps.model!r}: a thread has too many calls, or ways to go on: fewer pages")
        self._progress[thread, local] = progress
        self._held[thread, local] = states.locals[local].held
        self._call_of[thread, local] = states.call_of(local)
        first = thread * self._options
        if states.is_over(local):
            self._next[first, local] = search.OVER
        for by, coming in enumerate(options, first):
            self._next[by, local] = search.NO_CELL if coming.cell == NO_CELL else coming.cell
            self._opens[by, local] = coming.opens
            self._excluded[by, local] = coming.excluded


class _Table:
    """An open-addressing table of numbers from 0 on."""

    def __init__(self) -> None:
        self.keys = np.full(256, search.EMPTY, np.int64)
        self.values = np.zeros(256, np.int64)
        self._held = 0

    def put(self, key: int, value: int) -> None:
        if 2 * (self._held + 1) > len(self.keys):
            old = self.keys, self.values
            self.keys = np.full(2 * len(old[0]), search.EMPTY, np.int64)
            self.values = np.zeros(2 * len(old[0]), np.int64)
            for at in np.flatnonzero(old[0] != search.EMPTY).tolist():
                search.put(self.keys, self.values, old[0][at], old[1][at])
        search.put(self.keys, self.values, np.int64(key), np.int64(value))
        self._held += 1


def _doubled(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.concatenate([values, np.empty_like(values)])
