"""Several reads of one reader, judged together: one order of all operations, in which each read has its moment.

A window (interval.py) says what was true at some moment of one read. Of two reads each may have such a moment and both
together none: a new value, then an old one. So where a model has histories, a state keeps beside the window what may have
happened: a set of possibilities, each of which says which operations that are under way have taken effect already, and what
the read that is under way returns if it had its moment. What has taken effect stays so; a read's end leaves the
possibilities in which it returns what it did. If none is left, no order explains the reads. This is linearizability as it is
defined (Herlihy and Wing, 1990), decided step by step as Wing and Gong (1993) and Lowe (2017) do for histories that are
recorded.

`interval`, `strict` and `pte` (interval.py) say when an operation may take effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mapcount.check.interval import HowFar, Moments, Operation
    from mapcount.check.model import Call

NOTHING = 0
"""The number of what is known before the first read and after the last one: nothing that matters."""


class Possible(NamedTuple):
    """One way in which it may have been: the operations under way that have taken effect, and what the read returns."""

    done: frozenset[Operation]
    read: int | None
    """None: it had no moment so far, or no read is under way"""


class Step(NamedTuple):
    """What one step is to the reads of one thread: how far all threads were before it and are then, by their states."""

    before: Sequence[int]
    after: Sequence[int]
    asked: Call | None
    """the read that is under way, or begins with this step"""
    begins: bool


class Histories:
    """What may have happened, as numbers that are part of a state. NOTHING is the first."""

    def __init__(self, moments: Moments) -> None:
        self._moments = moments
        self._number: dict[frozenset[Possible] | None, int] = {None: NOTHING}
        self._known: list[frozenset[Possible] | None] = [None]

    def after(self, number: int, step: Step) -> int:
        """Return what may have happened after a step that ends no read; NOTHING stays so until the first read begins."""
        if number == NOTHING and not step.begins:
            return NOTHING
        return self._intern(self._after(number, step))

    def closed(self, number: int, step: Step, value: int) -> tuple[int, int]:
        """Return what may have happened after a step that ends a read, and what it might have returned, as bits."""
        ways = self._after(number, step)
        might = sum(1 << read for read in {way.read for way in ways} if read is not None)
        return self._intern(frozenset(way._replace(read=None) for way in ways if way.read == value)), might

    def _after(self, number: int, step: Step) -> frozenset[Possible]:
        before, after = self._moments.how_far(step.before), self._moments.how_far(step.after)
        known = self._known[number]
        ways = frozenset({Possible(frozenset(), None)}) if known is None else known
        ways = self._further(ways, step.asked, before)
        ended = before.under_way - after.under_way
        # What had no effect yet has it as it ends. One that was refused has had none.
        refused = ended - after.over
        ways = frozenset(way._replace(done=way.done - ended) for way in ways if not way.done & refused)
        return self._further(ways, step.asked, after)

    def _further(self, ways: Iterable[Possible], asked: Call | None, at: HowFar) -> frozenset[Possible]:
        """Return these ways and all in which more of what is under way has taken effect, or the read has had its moment."""
        found: set[Possible] = set()
        waiting = list(ways)
        while waiting:
            way = waiting.pop()
            if way in found:
                continue
            found.add(way)
            waiting += [way._replace(done=way.done | {one}) for one in at.under_way - way.done]
            if asked is not None and way.read is None:
                waiting.append(way._replace(read=self._moments.value(asked, at.over | way.done)))
        return frozenset(found)

    def _intern(self, ways: frozenset[Possible]) -> int:
        if ways not in self._number:
            self._number[ways] = len(self._known)
            self._known.append(ways)
        return self._number[ways]
