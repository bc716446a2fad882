"""All interleavings of a model, one by one, on the scheme's plain Python; and what was true, by the definition.

Nothing here knows of bytecode, states or windows. A reader's value is explained if the calls can be put in one order, in
which a call that ended before another began comes first, such that the value is right where the reader stands.
"""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

from mapcount.check.baton import Baton


class Run(NamedTuple):
    """One complete interleaving."""

    schedule: tuple
    words: tuple
    results: tuple
    spans: dict
    """first and last step of each call, by (thread, number of the call)"""
    turns: tuple


def all_runs(model):
    """Yield every interleaving that ends: one run for each, which leaves the choices that it did not take for later."""
    waiting = [()]
    while waiting:
        run, others = _run(model, waiting.pop())
        waiting.extend(others)
        if run:
            yield run


def _run(model, prefix):
    """Run a prefix and on to the end; return (None, ...) if it wants a lock that is held, and what else could be tried."""
    spans, turns, schedule, others = {}, [], [], []
    threads = range(len(model.threads))
    with Baton(model) as baton:
        while able := [thread for thread in threads if baton.pending(thread)]:
            thread = prefix[len(schedule)] if len(schedule) < len(prefix) else able[0]
            if len(schedule) >= len(prefix):
                others += [(*schedule, other) for other in able[1:]]
            call = (thread, len(baton.results[thread]))
            try:
                turns.append(baton.step(thread))
            except AssertionError:
                return None, others
            # An operation lasts from where it counts first to where it counts last; what else it does does not prolong it.
            operation = call[1] < len(model.threads[thread]) and model.threads[thread][call[1]].is_operation
            beside = {"PG_partially_mapped"} if call in spans else {"_refcount"}
            if not operation or turns[-1].touch.word not in {*beside, "_refcount"}:
                spans[call] = (spans.get(call, (len(schedule),))[0], len(schedule))
            schedule.append(thread)
        words = {name: tuple(values) for name, values in baton.memory.words.items()}
        words["PG_partially_mapped"] = tuple(iter(baton.memory.partially_mapped))
        results = tuple(tuple(one) for one in baton.results)
        return Run(tuple(schedule), tuple(sorted(words.items())), results, spans, tuple(turns)), others


def is_explained(model, run, asked, right, before=None):
    """
    Return whether the value of the reader's call `asked` (thread, number) fits some order of all operations.

    `right(done, value)` says whether the value is right after the operations `done` and those of the start. With `before` the
    reader must stand before that operation.
    """
    operations = [
        key for key in run.spans if model.threads[key[0]][key[1]].is_operation and not _refused(model, run, key)
    ]
    value = run.results[asked[0]][asked[1]]
    for order in permutations([*operations, asked]):
        if before is not None and order.index(before) < order.index(asked):
            continue
        if all(not _before(run, later, earlier) for i, earlier in enumerate(order) for later in order[i + 1 :]):
            done = [model.threads[thread][call] for thread, call in order[: order.index(asked)]]
            if right([*model.start, *done], value):
                return True
    return False


def _before(run, one, other):
    """Whether a call was over before another began."""
    return run.spans[one][1] < run.spans[other][0]


def _refused(model, run, key):
    call = model.threads[key[0]][key[1]]
    return (call.name.startswith("dup_") or call.via == "reuse") and run.results[key[0]][key[1]]


def entries(done, order):
    """Count entries after some calls, by adding."""
    total = 0
    for call in done:
        sign = -1 if call.name.startswith("unmap") else 1
        if call.name.endswith("_ptes"):
            total += sign * call.nr
        elif call.name == "split_pmd":
            total += (1 << order) - 1
        else:
            total += sign
    return total


def entries_of_page(done, order, page):
    """Count the entries that map one page after some calls, by adding."""
    total = 0
    for call in done:
        sign = -1 if call.name.startswith("unmap") else 1
        if not call.name.endswith("_ptes"):
            total += sign if call.name != "split_pmd" else 0
        elif call.first <= page < call.first + call.nr:
            total += sign
    return total
