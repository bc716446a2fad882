"""What was true at a moment, while operations are under way: three meanings.

`interval`, the fair one: an operation may take effect at any moment from its first access to its last one to a counter.
So at any moment the truth is what all operations that are over have done, and any subset of those under way.
`strict`: it takes effect at its first access to a counter.
`pte`: the entries that are installed. The kernel counts a mapping before it sets the entry, and clears the entry before it
uncounts; here the entry is set with the last access, and cleared with the first: the closest that they can be to it. Every
counter counts more than that at times; what it may never do is count less.

A reader's
value is explainable if it was such a truth at some moment of the reader's window, which is also from its first access to
its last. For the one call of a reader this is linearizability: each operation takes effect once, and any choice of moments
within their intervals is possible, since one call of one reader looks at one moment only. Several calls of one reader are
judged together by histories.py.

A dup that is refused in the end counts as possible while it runs.

Where a folio is freed while somebody reads, and its memory becomes another folio's, a window keeps apart what was true of
which.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mapcount.check.model import apply_to_truth
from mapcount.errors import UsageError
from mapcount.schemes.scheme import Promise, Quantity
from mapcount.schemes.truth import truth_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mapcount.check.model import Call, Model
    from mapcount.check.thread_states import Progress, ThreadStates
    from mapcount.schemes.scheme import Reader
    from mapcount.schemes.truth import FolioTruth


NEXT_FOLIO = 31
"""Is added to what is true of the folio that has the memory after the first one was freed, in models where that may be."""
Operation: TypeAlias = "tuple[int, int]"
"""Its thread, and its number among the thread's calls."""


class HowFar(NamedTuple):
    """What the operations have done: those that have taken effect, without refused ones, and those that may have."""

    over: frozenset[Operation]
    under_way: frozenset[Operation]


class Moments:
    """What the truth may be at a moment, by how far each thread has come."""

    def __init__(self, model: Model, threads: Sequence[ThreadStates]) -> None:
        self._model = model
        self._threads = threads
        self._numbers: list[dict[Progress, int]] = [{} for _ in threads]
        self._progress: list[list[int]] = [[] for _ in threads]
        self._known: dict[tuple[int, int, tuple[int, ...]], int] = {}
        self._values: dict[tuple[Call, frozenset[Operation]], int] = {}
        self._how_far: dict[tuple[int, ...], HowFar] = {}

    def attainable(self, thread: int, call: int, locals_: Sequence[int]) -> int:
        """Return what may be true of what a reader's call asks about, as a set of bits: bit v stands for the value v."""
        key = (thread, call, tuple(map(self.progress_number, range(len(locals_)), locals_)))
        if key not in self._known:
            self._known[key] = self._attainable(self._model.threads[thread][call], locals_)
        return self._known[key]

    def settled(self, locals_: Sequence[int]) -> FolioTruth:
        """Return who maps the folio by what the operations that are over have done."""
        return self._truth(self._over(locals_)[0])

    def progress_number(self, thread: int, local: int) -> int:
        """Return a number for how far a thread has come in one of its states; what may be true depends on these alone."""
        known = self._progress[thread]
        while len(known) <= local:
            progress = self._threads[thread].progress(len(known))
            known.append(self._numbers[thread].setdefault(progress, len(self._numbers[thread])))
        return known[local]

    def how_far(self, locals_: Sequence[int]) -> HowFar:
        """Return which operations have taken effect by now, and which may have."""
        key = tuple(map(self.progress_number, range(len(locals_)), locals_))
        if key not in self._how_far:
            self._how_far[key] = HowFar(*map(frozenset, self._over(locals_)))
        return self._how_far[key]

    def _attainable(self, asked: Call, locals_: Sequence[int]) -> int:
        over, under_way = self._over(locals_)
        values = 0
        for size in range(len(under_way) + 1):
            for done in combinations(under_way, size):
                values |= 1 << self.value(asked, frozenset((*over, *done)))
        # As soon as the next folio is counted the memory is its own, whatever has taken effect.
        is_next = any(self._model.threads[by][number].renews for by, number in (*over, *under_way))
        if self._model.renews and values >> NEXT_FOLIO:
            raise UsageError(f"{self._model!r}: a truth is {NEXT_FOLIO} or more, where a folio is freed: fewer pages")
        return values << NEXT_FOLIO * is_next

    def value(self, asked: Call, done: frozenset[Operation]) -> int:
        """Return what is true of what a call asks about when these calls, (thread, number), have taken effect."""
        key = (asked, done)
        if key not in self._values:
            reader = self._model.reader(asked.name)
            assert reader is not None
            place = asked.mm if reader.quantity is Quantity.OTHERS else asked.first
            self._values[key] = truth_of(reader.quantity, self._truth(done), place)
        return self._values[key]

    def _over(self, locals_: Sequence[int]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the calls that are over, without refused ones, and the operations that are under way: (thread, number)."""
        over: list[tuple[int, int]] = []
        under_way: list[tuple[int, int]] = []
        for thread, local in enumerate(locals_):
            progress = self._threads[thread].progress(local)
            calls = self._model.threads[thread]
            refused = _refused(calls, self._threads[thread].kept, progress)
            over += [(thread, number) for number in range(progress.over) if number not in refused]
            if progress.inside is not None and calls[progress.inside].is_operation:
                done = self._takes_effect_early(calls[progress.inside])
                if done is None:
                    under_way.append((thread, progress.inside))
                elif done:
                    over.append((thread, progress.inside))
        return over, under_way

    def _takes_effect_early(self, call: Call) -> bool | None:
        """Return whether an operation that is under way has taken effect; None: both may be."""
        if self._model.truth_kind == "interval":
            return None
        return self._model.truth_kind == "strict" or call.by < 0

    def _truth(self, done: Iterable[tuple[int, int]]) -> FolioTruth:
        truth = self._model.truth()
        for thread, number in sorted(done):
            apply_to_truth(self._model.threads[thread][number], truth)
        return truth


def _refused(calls: Sequence[Call], kept: frozenset[int], progress: Progress) -> set[int]:
    """Return the operations that are over and did nothing."""
    results = zip(sorted(kept), progress.returned, strict=False)
    return {number for number, result in results if calls[number].may_refuse and result}


def claims(reader: Reader) -> bool:
    """Return whether the reader's promise is a claim about some moment of its window."""
    return reader.promise in {Promise.EXACT, Promise.NEVER_LESS, Promise.NEVER_MORE}


def explained(reader: Reader, value: int, attainable: int) -> bool | None:
    """
    Return whether a value keeps the reader's promise about some moment of its window; None if it claims nothing.

    `attainable` are the values that were true at some moment, as bits.
    """
    least, greatest = (attainable & -attainable).bit_length() - 1, attainable.bit_length() - 1
    match reader.promise:
        case Promise.EXACT:
            return value >= 0 and bool(attainable >> value & 1)
        case Promise.NEVER_LESS:
            return value >= least
        case Promise.NEVER_MORE:
            return value <= greatest
    return None


def told_apart(window: int, *, renews: bool) -> tuple[int, int]:
    """
    Return what was true at some moment of a window of whichever folio had the memory; and of the one that had it first.

    Both as bits. A model `renews` if a folio may be freed in it; else the two are the same.
    """
    if not renews:
        return window, window
    own, following = window & ((1 << NEXT_FOLIO) - 1), window >> NEXT_FOLIO
    return own | following, own or following


def values_of(attainable: int) -> tuple[int, ...]:
    """Return the values that a set of bits stands for."""
    return tuple(value for value in range(attainable.bit_length()) if attainable >> value & 1)
