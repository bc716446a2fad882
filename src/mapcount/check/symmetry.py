"""Threads that do the same, each to an address space of its own: which of them stands where makes no difference.

Two threads are alike if their programs are the same but for the locks of their address spaces, if nobody else works on these
address spaces, holds their locks or asks about them, and if they mapped the same when the threads began. Then to exchange what
the two are doing leads from a state to one from which the same words, values and truths follow, step by step: the words stay
as they are, the truth counts an entry of one as it counts one of the other, and nobody waits for a lock that is the thread's
own. So of all states that differ by such an exchange one is looked at.

A scheme whose words name address spaces has no threads that are alike: their programs differ by the names. The words would
have to be exchanged with the threads, and which of them are names the programs do not say.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.check.bytecode import Code
from mapcount.check.locks import MMAP_LOCK, MOST_MMS, PAGE_TABLE
from mapcount.schemes.scheme import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mapcount.check.bytecode import Instruction, Program
    from mapcount.check.model import Call, Model
    from mapcount.check.steps import State
    from mapcount.check.thread_run import Local
    from mapcount.check.thread_states import ThreadStates

WORTH = 3
"""From so many threads on that are alike states are left out: of two it would be hardly half of them."""


def alike(model: Model, programs: Sequence[Program]) -> tuple[tuple[int, ...], ...]:
    """Return the threads that are alike, in groups of WORTH or more, each in ascending order."""
    groups: list[list[int]] = []
    for thread in range(len(programs)):
        if not model.threads[thread] or not _is_private(model, thread):
            continue
        group = next((one for one in groups if _same(model, programs, one[0], thread)), None)
        if group is None:
            groups.append([thread])
        else:
            group.append(thread)
    return tuple(tuple(group) for group in groups if len(group) >= WORTH)


def _is_private(model: Model, thread: int) -> bool:
    """Return whether a thread writes only, and nobody else has to do with its address spaces."""
    if not all(call.is_operation for call in model.threads[thread]):
        return False
    own = model.mms_of(thread)
    own_locks = {first + mm for mm in own for first in (PAGE_TABLE, MMAP_LOCK)}
    for other, calls in enumerate(model.threads):
        if other == thread:
            continue
        if own & model.mms_of(other) or any(own_locks.intersection(call.holds) for call in calls):
            return False
        if any(call.mm in own and _asks_about(model, call) for call in calls):
            return False
    return True


def _asks_about(model: Model, call: Call) -> bool:
    reader = model.reader(call.name)
    return reader is not None and reader.quantity is Quantity.OTHERS


def _same(model: Model, programs: Sequence[Program], one: int, other: int) -> bool:
    names = _renaming(model.threads[one], model.threads[other])
    if names is None or not _is_symmetric(model, names):
        return False
    told, theirs = programs[one].instructions, programs[other].instructions
    return len(told) == len(theirs) and all(
        _renamed(mine, names) == its for mine, its in zip(told, theirs, strict=True)
    )


def _renaming(one: Sequence[Call], other: Sequence[Call]) -> dict[int, int] | None:
    """Return the other's address space for each of the one's; None if their calls differ by more than that."""
    if len(one) != len(other):
        return None
    names: dict[int, int] = {}
    for mine, its in zip(one, other, strict=True):
        if replace(mine, mm=0, parent=0) != replace(its, mm=0, parent=0):
            return None
        for mm, theirs in ((mine.mm, its.mm), (mine.parent, its.parent)):
            if names.setdefault(mm, theirs) != theirs:
                return None
    return names if len(set(names.values())) == len(names) and names.pop(0, 0) == 0 else None


def _is_symmetric(model: Model, names: Mapping[int, int]) -> bool:
    """Return whether the first mappings are the same with these address spaces exchanged."""
    both = {**names, **{theirs: mine for mine, theirs in names.items()}}
    truth = model.truth()
    ptes = Counter({(both.get(mm, mm), *key): n for (mm, *key), n in truth.ptes.items()})
    huge = Counter({(both.get(mm, mm), *key): n for (mm, *key), n in truth.huge.items()})
    return ptes == truth.ptes and huge == truth.huge


def _renamed(one: Instruction, names: Mapping[int, int]) -> Instruction:
    """Return an instruction as the other thread would have it."""
    if one.code not in {Code.HOLD, Code.RELEASE} or not isinstance(one.a, int):
        return one
    return one._replace(a=_lock(one.a, names))


def _lock(lock: int, names: Mapping[int, int]) -> int:
    for first in (PAGE_TABLE, MMAP_LOCK):
        if first <= lock <= first + MOST_MMS:
            return first + names.get(lock - first, lock - first)
    return lock


class Twins:
    """
    The states of threads that are alike, numbered alike: what one of them can be in, each can, under the same number.

    `members` are their ThreadStates, which have met their first states alone; `names` the address spaces of each for those of
    the first.
    """

    def __init__(self, members: Sequence[ThreadStates], names: Sequence[Mapping[int, int]]) -> None:
        self._members = members
        self._names = names
        for member in members:
            member.twins = self

    def add(self, of: ThreadStates, state: Local) -> None:
        """Let every member have a state that one of them has come to."""
        number = next(i for i, member in enumerate(self._members) if member is of)
        back = {theirs: mine for mine, theirs in self._names[number].items()}
        as_first = state._replace(held=_renamed_bits(state.held, back))
        for member, names in zip(self._members, self._names, strict=True):
            member.add(as_first._replace(held=_renamed_bits(as_first.held, names)))


def _renamed_bits(held: int, names: Mapping[int, int]) -> int:
    """Return locks that are held, as bits, as another thread would hold them."""
    found = 0
    for lock in range(held.bit_length() // 2 + 1):
        ways = held >> 2 * lock & 3
        found |= ways << 2 * _lock(lock, names)
    return found


def twins(model: Model, threads: Sequence[ThreadStates]) -> tuple[tuple[int, ...], ...]:
    """Number the states of threads that are alike alike; return the groups."""
    groups = alike(model, [states.program for states in threads])
    for group in groups:
        names = [_renaming(model.threads[group[0]], model.threads[thread]) or {} for thread in group]
        Twins([threads[thread] for thread in group], names)
    return groups


def in_order(state: State, groups: Iterable[Sequence[int]], first: int) -> State:
    """Return the state that stands for all that differ by an exchange: `first` is the field of the first thread's."""
    if not groups:
        return state
    found = list(state)
    for group in groups:
        for thread, local in zip(group, sorted(state[first + thread] for thread in group), strict=True):
            found[first + thread] = local
    return tuple(found)
