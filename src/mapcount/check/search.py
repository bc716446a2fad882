"""The breadth-first search over packed states, compiled by numba once for all models: it knows numbers, not schemes.

What a thread does next and what comes of it are looked up in tables that Python fills (fast.py): where an entry is missing
the search returns, says which, and goes on when it is there. Importing this imports numba.

Inside, arrays are bare pointers (pointers.py): counting references took more time than the search itself. So rows are
reckoned by hand, and whoever calls `run` keeps the arrays alive and large enough.
"""

# numba's own types are none that mypy knows.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from mapcount.check.pointers import pointer

EMPTY = -1
DONE, MISSING_MOVE, MISSING_TRUTH, BOUND_REACHED, TOO_NARROW, TABLE_FULL, LIST_FULL = range(7)
"""Why the search returned: all states were looked at; a table lacks an entry; as many states as wanted were met; a value does
not fit its field; the hash table is too full; a list of finds is."""
HEAD, THREAD, MOVED, STATES, TRANSITIONS, FINALS, STUCK, ANSWERS = range(8)
"""Fields of `control`: the state that is looked at, the option whose turn it is, whether one could move; what was counted."""
NO_CELL, OVER, UNKNOWN = -1, -2, -3
"""In `next_cell`: a call that touches nothing; the thread has done everything; not filled in yet."""
LOCAL, VALUE, CLOSES, RESULT, STATS, OLD, MOVE_COLUMNS = range(7)
"""Columns of `moves`: LOCAL is EMPTY where the thread has to wait, STATS a row of `stat_rows` or EMPTY, OLD what the cell
held."""
ASKED_BY, ASKED, RETURNED, WINDOW, AT, BY, ANSWER_COLUMNS = range(7)
"""Columns of `answers`: thread, call, what it returned, what was true meanwhile, the state in which the last step was taken,
and by which option."""
PROGRESS_BASE = 256
"""What may be true depends on how far each thread has come: digits of a key in this base."""


class Space(NamedTuple):
    """The states: `states[n]` packed, `parent[n]` and `by[n]` how it was met first, `table` their hash table."""

    offsets: Any
    widths: Any
    """Bytes of each field, 8 at most, 0 for one that is always 0: cells, then numbers of the threads' states, then windows."""
    states: Any
    packed: Any
    """The same as bytes."""
    parent: Any
    by: Any
    table: Any


class Rules(NamedTuple):
    """
    What threads do, by (option of a thread, number of its state); moves by that and the value of the cell; truths by progress.

    Option o of thread t is number t * options + o. What is by thread alone says so.
    """

    next_cell: Any
    opens: Any
    held: Any
    """by thread: the locks that it holds between two accesses, as bits"""
    excluded: Any
    """what nobody else may hold when it does its next access"""
    progress: Any
    """by thread"""
    call_of: Any
    """by thread: the call that it is inside"""
    before: Any
    after: Any
    """by thread: the next one that is like it, or EMPTY; their states stand in ascending order"""
    judged: Any
    """by (thread, call): the number of a question whose truth is watched, else EMPTY"""
    is_reader: Any
    move_keys: Any
    move_rows: Any
    moves: Any
    stat_rows: Any
    truth_keys: Any
    truths: Any


class Finds(NamedTuple):
    """What was found: final and stuck states, and answers with a hash table of them."""

    finals: Any
    stuck: Any
    answers: Any
    answer_table: Any


class _Bare(NamedTuple):
    """All of these as pointers, and the numbers that go with them."""

    space: Any
    rules: Any
    finds: Any
    cells: Any
    threads: Any
    options: Any
    fields: Any
    words: Any
    locals_: Any
    calls: Any
    room: Any
    table_size: Any
    move_mask: Any
    truth_mask: Any
    nr_finals: Any
    nr_stuck: Any
    nr_answers: Any
    answer_mask: Any


@njit(cache=True, forceinline=True)
def _mix(value):
    h = np.uint64(value)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xFF51AFD7ED558CCD)
    h ^= h >> np.uint64(33)
    h *= np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@njit(cache=True, forceinline=True)
def _find(keys, values, mask, key):
    """Return the value of a key (from 0) in an open-addressing table, or EMPTY."""
    at = _mix(key) & mask
    while keys[at] != EMPTY:
        if keys[at] == key:
            return values[at]
        at = (at + np.uint64(1)) & mask
    return np.int64(EMPTY)


@njit(cache=True, forceinline=True)
def _find_move(b, key, old):
    """Return the row of a move, or EMPTY. A key has half of the cell's value: those that differ in the other half share it."""
    keys = b.rules.move_keys
    at = _mix(key) & b.move_mask
    while keys[at] != EMPTY:
        row = np.int64(b.rules.move_rows[at])
        if keys[at] == key and b.rules.moves[row * MOVE_COLUMNS + OLD] == old:
            return row
        at = (at + np.uint64(1)) & b.move_mask
    return np.int64(EMPTY)


@njit(cache=True)
def put(keys, values, key, value):
    """Put a key into a table that has room; one that is there already stays there, too."""
    mask = np.uint64(keys.size - 1)
    at = _mix(key) & mask
    while keys[at] != EMPTY:
        at = (at + np.uint64(1)) & mask
    keys[at] = key
    values[at] = value


@njit(cache=True, forceinline=True)
def _hash(states, number, words):
    h = np.uint64(0x9E3779B97F4A7C15)
    for word in range(words):
        h = (h ^ states[number * words + word]) * np.uint64(0xFF51AFD7ED558CCD)
        h ^= h >> np.uint64(32)
    return h


@njit(cache=True)
def fill_table(table, states, nr_states):
    """Put all states into a new hash table."""
    words = states.shape[1]
    flat = pointer(states)
    mask = np.uint64(table.size - 1)
    for number in range(nr_states):
        at = _hash(flat, np.int64(number), words) & mask
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = number


@njit(cache=True, forceinline=True)
def _unpack(space, number, fields, words, x):
    for field in range(fields):
        at, width = space.offsets[field], space.widths[field]
        value = np.int64(0)
        for i in range(width):
            value |= np.int64(space.packed[number * words * 8 + at + i]) << np.int64(8 * i)
        if 0 < width < 8:
            # The sign of a field of that width.
            shift = np.int64(64 - 8 * width)
            value = (value << shift) >> shift
        x[field] = value


@njit(cache=True, forceinline=True)
def _set(space, number, words, field, value):
    """Write one field of a state; return False if the value does not fit its width."""
    at, width = number * words * 8 + space.offsets[field], space.widths[field]
    if width < 8:
        half = np.int64(1) << np.int64(8 * width - 1)
        if value < -half or value >= half:
            return False
    for i in range(width):
        space.packed[at + i] = np.uint8((value >> np.int64(8 * i)) & np.int64(255))
    return True


@njit(cache=True)
def unpack(space, number, x):
    """Read the fields of a state into `x`."""
    bare = Space(pointer(space.offsets), pointer(space.widths), pointer(space.states), pointer(space.packed), 0, 0, 0)
    _unpack(bare, np.int64(number), space.offsets.size, space.states.shape[1], pointer(x))


@njit(cache=True)
def pack(space, number, x):
    """Write all fields of a state; return the first that does not fit its width, or EMPTY."""
    bare = Space(pointer(space.offsets), pointer(space.widths), pointer(space.states), pointer(space.packed), 0, 0, 0)
    words = space.states.shape[1]
    for word in range(words):
        space.states[number, word] = 0
    for field in range(space.offsets.size):
        if space.widths[field] > 0 and not _set(bare, np.int64(number), words, np.int64(field), x[field]):
            return np.int64(field)
    return np.int64(EMPTY)


@njit(cache=True, forceinline=True)
def _ask(b, question, x, miss):
    """Return what may be true of a question, as bits; EMPTY, and what is missing, if that is not known yet."""
    key = np.int64(question)
    for t in range(b.threads):
        key = key * np.int64(PROGRESS_BASE) + b.rules.progress[t * b.locals_ + x[b.cells + t]]
    truth = _find(b.rules.truth_keys, b.rules.truths, b.truth_mask, key)
    if truth == EMPTY:
        miss[0] = question
        for t in range(b.threads):
            miss[1 + t] = x[b.cells + t]
    return truth


@njit(cache=True, forceinline=True)
def _watch(b, t, v, after, x, open_, miss):
    """
    Open the window of a call that begins, and widen those that are open: by what may be true when thread t is `after`.

    v is the option that it takes.

    Returns False if a truth is missing.
    """
    before = x[b.cells + t]
    if b.rules.opens[v * b.locals_ + before]:
        question = b.rules.judged[t * b.calls + b.rules.call_of[t * b.locals_ + before]]
        if question != EMPTY:
            truth = _ask(b, question, x, miss)
            if truth == EMPTY:
                return False
            open_[t] = truth
    if b.rules.progress[t * b.locals_ + before] == b.rules.progress[t * b.locals_ + after]:
        return True
    for w in range(b.threads):
        if open_[w] != 0:
            question = b.rules.judged[w * b.calls + b.rules.call_of[w * b.locals_ + x[b.cells + w]]]
            x[b.cells + t] = after
            truth = _ask(b, question, x, miss)
            x[b.cells + t] = before
            if truth == EMPTY:
                return False
            open_[w] |= truth
    return True


@njit(cache=True, forceinline=True)
def _answer_hash(t, call, result, window):
    return _mix(_mix(np.uint64(t * 65536 + call) ^ _mix(result)) ^ np.uint64(window))


@njit(cache=True)
def fill_answers(table, answers, nr_answers):
    """Put all answers into a new hash table."""
    mask = np.uint64(table.size - 1)
    for n in range(nr_answers):
        row = answers[n]
        at = _answer_hash(row[ASKED_BY], row[ASKED], row[RETURNED], row[WINDOW]) & mask
        while table[at] >= 0:
            at = (at + np.uint64(1)) & mask
        table[at] = n


@njit(cache=True, forceinline=True)
def _note(b, control, v, call, result, window):
    """Note what a call returned and what was true meanwhile, if that is new; return False if there is no room."""
    answers, table = b.finds.answers, b.finds.answer_table
    t = v // b.options
    at = _answer_hash(t, call, result, window) & b.answer_mask
    while table[at] >= 0:
        row = np.int64(table[at]) * ANSWER_COLUMNS
        if (
            answers[row + ASKED_BY] == t
            and answers[row + ASKED] == call
            and answers[row + RETURNED] == result
            and answers[row + WINDOW] == window
        ):
            return True
        at = (at + np.uint64(1)) & b.answer_mask
    n = control[ANSWERS]
    if n >= b.nr_answers:
        return False
    table[at] = n
    row = n * ANSWER_COLUMNS
    answers[row + ASKED_BY] = t
    answers[row + ASKED] = call
    answers[row + RETURNED] = result
    answers[row + WINDOW] = window
    answers[row + AT] = control[HEAD]
    answers[row + BY] = v
    control[ANSWERS] = n + 1
    return True


@njit(cache=True, forceinline=True)
def _meet(b, control, v):
    """Keep the state that lies behind the last one, unless it was met before."""
    number, words, states, table = control[STATES], b.words, b.space.states, b.space.table
    mask = np.uint64(b.table_size - 1)
    at = _hash(states, number, words) & mask
    while table[at] >= 0:
        other = np.int64(table[at])
        same = True
        for word in range(words):
            same = same and states[other * words + word] == states[number * words + word]
        if same:
            return
        at = (at + np.uint64(1)) & mask
    table[at] = number
    b.space.parent[number] = control[HEAD]
    b.space.by[number] = v
    control[STATES] = number + 1


@njit(cache=True, forceinline=True)
def _in_order(b, t, local, x, number):
    """Move the states of threads that are like t aside; return the one in whose place t's new state comes."""
    place = np.int64(t)
    while b.rules.before[place] != EMPTY and x[b.cells + b.rules.before[place]] > local:
        other = b.rules.before[place]
        _set(b.space, number, b.words, b.cells + place, x[b.cells + other])
        place = other
    while b.rules.after[place] != EMPTY and x[b.cells + b.rules.after[place]] < local:
        other = b.rules.after[place]
        _set(b.space, number, b.words, b.cells + place, x[b.cells + other])
        place = other
    return place


@njit(cache=True, forceinline=True)
def _write(b, move, cell, t, x, open_, number, head):
    """Write what a move makes of the state that is looked at; return a field that is too narrow, or EMPTY."""
    space, words, windows = b.space, b.words, b.cells + b.threads
    for word in range(words):
        space.states[number * words + word] = space.states[head * words + word]
    row = move * MOVE_COLUMNS
    if cell != NO_CELL and not _set(space, number, words, cell, b.rules.moves[row + VALUE]):
        return np.int64(cell)
    stats = b.rules.moves[row + STATS]
    if stats != EMPTY:
        for c in range(b.cells):
            by = b.rules.stat_rows[stats * b.cells + c]
            if by != 0 and not _set(space, number, words, np.int64(c), x[c] + by):
                return np.int64(c)
    local = b.rules.moves[row + LOCAL]
    place = _in_order(b, t, local, x, number)
    if not _set(space, number, words, b.cells + place, local):
        return np.int64(b.cells + place)
    for w in range(b.threads):
        if open_[w] != x[windows + w]:
            _set(space, number, words, windows + w, open_[w])
    return np.int64(EMPTY)


@njit(cache=True, forceinline=True)
def _step(b, control, v, x, open_, miss):  # noqa: PLR0911 - one for each thing that can be missing
    """Let a thread do its next access in one of its ways; return DONE, or why that could not be told."""
    t = v // b.options
    local = x[b.cells + t]
    cell = b.rules.next_cell[v * b.locals_ + local]
    if cell in (OVER, UNKNOWN):
        return DONE
    excluded = b.rules.excluded[v * b.locals_ + local]
    if excluded != 0:
        for w in range(b.threads):
            if w != t and b.rules.held[w * b.locals_ + x[b.cells + w]] & excluded:
                return DONE
    old = np.int64(0)
    if cell != NO_CELL:
        old = x[cell]
    key = (v << np.int64(56)) | (local << np.int64(32)) | (old & np.int64(0xFFFFFFFF))
    move = _find_move(b, key, old)
    if move == EMPTY:
        miss[0], miss[1], miss[2] = v, local, old
        return MISSING_MOVE
    after = b.rules.moves[move * MOVE_COLUMNS + LOCAL]
    if after == EMPTY:
        return DONE
    number = control[STATES]
    if number >= b.room:
        return BOUND_REACHED
    if 2 * (number + 1) > b.table_size:
        return TABLE_FULL
    for w in range(b.threads):
        open_[w] = x[b.cells + b.threads + w]
    if not _watch(b, t, v, after, x, open_, miss):
        return MISSING_TRUTH
    if b.rules.moves[move * MOVE_COLUMNS + CLOSES]:
        call, result = b.rules.call_of[t * b.locals_ + local], b.rules.moves[move * MOVE_COLUMNS + RESULT]
        if b.rules.is_reader[t * b.calls + call] and not _note(b, control, v, call, result, open_[t]):
            return LIST_FULL
        open_[t] = 0
    narrow = _write(b, move, cell, t, x, open_, number, control[HEAD])
    if narrow != EMPTY:
        miss[0] = narrow
        return TOO_NARROW
    control[MOVED] = 1
    control[TRANSITIONS] += 1
    _meet(b, control, v)
    return DONE


@njit(cache=True, forceinline=True)
def _end(b, control, x):
    """Note a state in which nobody could move; return DONE, or LIST_FULL."""
    over = True
    for t in range(b.threads):
        over = over and b.rules.next_cell[t * b.options * b.locals_ + x[b.cells + t]] == OVER
    if over:
        if control[FINALS] >= b.nr_finals:
            return LIST_FULL
        b.finds.finals[control[FINALS]] = control[HEAD]
        control[FINALS] += 1
    else:
        if control[STUCK] >= b.nr_stuck:
            return LIST_FULL
        b.finds.stuck[control[STUCK]] = control[HEAD]
        control[STUCK] += 1
    return DONE


@njit(cache=True)
def run(control_array, space, rules, finds, cells, threads, options, room, miss_array):
    """
    Go on with the search; return why it stopped. `miss_array` then says what is missing.

    `room` is how many states may be met, at most as many as there is space for.
    """
    x_array = np.empty(space.offsets.size, np.int64)
    open_array = np.empty(threads, np.int64)
    control, miss, x, open_ = pointer(control_array), pointer(miss_array), pointer(x_array), pointer(open_array)
    b = _Bare(
        Space(
            pointer(space.offsets),
            pointer(space.widths),
            pointer(space.states),
            pointer(space.packed),
            pointer(space.parent),
            pointer(space.by),
            pointer(space.table),
        ),
        Rules(
            pointer(rules.next_cell),
            pointer(rules.opens),
            pointer(rules.held),
            pointer(rules.excluded),
            pointer(rules.progress),
            pointer(rules.call_of),
            pointer(rules.before),
            pointer(rules.after),
            pointer(rules.judged),
            pointer(rules.is_reader),
            pointer(rules.move_keys),
            pointer(rules.move_rows),
            pointer(rules.moves),
            pointer(rules.stat_rows),
            pointer(rules.truth_keys),
            pointer(rules.truths),
        ),
        Finds(pointer(finds.finals), pointer(finds.stuck), pointer(finds.answers), pointer(finds.answer_table)),
        np.int64(cells),
        np.int64(threads),
        np.int64(options),
        space.offsets.size,
        space.states.shape[1],
        rules.next_cell.shape[1],
        rules.judged.shape[1],
        np.int64(room),
        space.table.size,
        np.uint64(rules.move_keys.size - 1),
        np.uint64(rules.truth_keys.size - 1),
        finds.finals.size,
        finds.stuck.size,
        finds.answers.shape[0],
        np.uint64(finds.answer_table.size - 1),
    )
    while control[HEAD] < control[STATES]:
        _unpack(b.space, control[HEAD], b.fields, b.words, x)
        while control[THREAD] < threads * b.options:
            why = _step(b, control, control[THREAD], x, open_, miss)
            if why != DONE:
                return why
            control[THREAD] += 1
        if control[MOVED] == 0:
            why = _end(b, control, x)
            if why != DONE:
                return why
        control[HEAD] += 1
        control[THREAD] = 0
        control[MOVED] = 0
    return DONE
