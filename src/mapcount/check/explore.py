"""Every state that a model can be in, breadth first: what readers return, where it ends, and the shortest way to both.

Nothing is left out: no partial-order reduction. Two orders of accesses that lead to the same words are not the same to a
reader's window, and a reduction that takes them for the same loses violations.
"""

from __future__ import annotations

import importlib.util
import sys
from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mapcount.check.interval import explained, values_of
from mapcount.check.steps import Closed, State, Steps
from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mapcount.check.model import Model

    Condition: TypeAlias = Callable[[Mapping[str, tuple[int, ...]]], bool]
    Progress: TypeAlias = Callable[[int, int], None]
    """Is told how many states were met and how many steps were taken, a few times a second at most."""

DEFAULT_BOUND = 1_000_000
ENGINES = ("auto", "numba", "plain")
PLAIN_STATES = 50_000
"""So many states the plain search has met before numba is imported and has loaded what it compiled."""


class Answer(NamedTuple):
    """A value that a call can return, and the shortest way to that."""

    thread: int
    call: int
    value: int
    explained: bool | None
    """whether it keeps the reader's promise about some moment of its window; None: the promise claims nothing of that"""
    attainable: tuple[int, ...]
    """what was true at some moment of the window, on that way"""
    schedule: tuple[int, ...]
    own: tuple[int, ...] = ()
    """and what of that was true of the folio that it began with: the same, unless that one was freed meanwhile"""
    might: tuple[int, ...] = ()
    """in a model with histories: what it might have returned after `earlier`, on that way"""
    earlier: tuple[int, ...] = ()
    """in a model with histories: what the reader returned before"""


@dataclass(frozen=True)
class Explored:
    """
    What was found. Only if `complete` is this all there is: else the bound of states was reached.

    `finals` are the states in which every thread has done everything, `stuck` those in which none can go on and some have
    not. `seen` are the shortest schedules to a state that fulfils a condition, by its name; what is missing was not met.
    """

    steps: Steps
    states: int
    transitions: int
    depth: int
    """steps of the longest shortest way"""
    complete: bool
    finals: tuple[State, ...]
    stuck: tuple[tuple[int, ...], ...]
    """schedules that lead there"""
    answers: tuple[Answer, ...]
    """one for each value and verdict"""
    observed: tuple[Answer, ...]
    """one for each value and what was true meanwhile, not judged; those of readers that are watched (Steps.is_judged)"""
    seen: Mapping[str, tuple[int, ...]]
    ranges: Mapping[str, tuple[int, int]]
    """the least and the greatest value that each word has in any state, by its name; of a page's, over all pages"""

    @property
    def extent(self) -> str:
        """How much this says, in words."""
        if self.complete:
            return f"exhaustive: all {self.states:,} states, {self.transitions:,} steps"
        return f"bound reached: {self.states:,} states met, and not all that there are"

    @property
    def violations(self) -> tuple[Answer, ...]:
        """Values that break the reader's promise, the shortest way first."""
        return tuple(answer for answer in self.answers if answer.explained is False)

    def values(self, thread: int, call: int = 0) -> set[int]:
        """Return what a call can return."""
        return {answer.value for answer in self.answers if (answer.thread, answer.call) == (thread, call)}


def explore(
    model: Model,
    *,
    until: Mapping[str, Condition] | None = None,
    max_states: int = DEFAULT_BOUND,
    engine: str = "auto",
    progress: Progress | None = None,
    symmetry: bool = True,
) -> Explored:
    """
    Look at every state that a model can be in; stop, and say so, when more than `max_states` have been met.

    With `symmetry`, of states that differ by an exchange of three or more threads that are alike one is looked at
    (symmetry.py): the same values, verdicts and lengths of ways, fewer states, steps and `finals`; every schedule can happen
    as it is told.

    `until` are conditions on the words of a state (by name, one value per page or one), which `seen` tells the shortest
    way to. `engine` is `plain`, `numba`, or `auto`: plain as long as that is done before numba is imported; what is found is
    the same. Raises SchemeSourceError for a scheme that cannot be lowered, UsageError for an engine that is not there.
    """
    if engine not in ENGINES:
        raise UsageError(f"there is no engine {engine!r}; there are: {', '.join(ENGINES)}")
    steps, conditions = Steps(model, symmetry=symmetry), until or {}
    has_numba = importlib.util.find_spec("numba") is not None
    if engine == "numba" and not has_numba:
        raise UsageError("numba is not installed: pip install numba, or leave the choice to engine='auto'")
    if engine == "numba" and model.histories:
        raise UsageError("histories are judged by the plain search alone: leave the choice to engine='auto'")
    if engine == "plain" or not has_numba or model.histories:
        return _Search(steps, conditions, max_states).run()
    if engine == "auto" and not _is_loaded():
        found = _Search(steps, conditions, min(max_states, PLAIN_STATES)).run()
        if found.complete or max_states <= PLAIN_STATES:
            return found
    from mapcount.check.fast import explore_fast

    return explore_fast(steps, conditions, max_states, progress)


def _is_loaded() -> bool:
    return "mapcount.check.search" in sys.modules


def by_verdict(steps: Steps, answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """Judge answers, met in the order of the search; keep the first of each value and verdict, shortest way first."""
    kept: dict[tuple[int, int, int, bool | None], Answer] = {}
    for answer in answers:
        reader = steps.reader(answer.thread, answer.call)
        assert reader is not None
        verdict = explained(reader, answer.value, sum(1 << value for value in answer.attainable))
        kept.setdefault((answer.thread, answer.call, answer.value, verdict), answer._replace(explained=verdict))
    return tuple(sorted(kept.values(), key=lambda answer: len(answer.schedule)))


def ranges_by_word(steps: Steps, columns: Sequence[Sequence[int]]) -> dict[str, tuple[int, int]]:
    """Return the least and greatest value of each word, from the values of each cell in all states."""
    found: dict[str, tuple[int, int]] = {}
    for cell, values in zip(steps.layout.cells, columns, strict=True):
        least, greatest = found.get(cell.word.name, (int(min(values)), int(max(values))))
        found[cell.word.name] = (min(least, int(min(values))), max(greatest, int(max(values))))
    return found


@dataclass
class _Search:
    steps: Steps
    until: Mapping[str, Condition]
    max_states: int
    states: list[State] = field(default_factory=list)
    index: dict[State, int] = field(default_factory=dict)
    parent: array[int] = field(default_factory=lambda: array("l"))
    by: array[int] = field(default_factory=lambda: array("h"))
    transitions: int = 0
    finals: list[State] = field(default_factory=list)
    stuck: list[int] = field(default_factory=list)
    answers: dict[Closed, Answer] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def run(self) -> Explored:
        self._meet(self.steps.first, -1, -1)
        at = 0
        while at < len(self.states) and len(self.states) <= self.max_states:
            self._expand(at)
            at += 1
        complete = len(self.states) <= self.max_states
        return Explored(
            steps=self.steps,
            states=len(self.states),
            transitions=self.transitions,
            depth=len(self._way(len(self.states) - 1)),
            complete=complete,
            finals=tuple(self.finals),
            stuck=tuple(self._schedule(one) for one in self.stuck),
            answers=by_verdict(self.steps, self.answers.values()),
            observed=tuple(self.answers.values()),
            seen={name: self._schedule(one) for name, one in self.seen.items()},
            ranges=ranges_by_word(self.steps, list(zip(*map(self.steps.cells, self.states), strict=True))),
        )

    def _expand(self, at: int) -> None:
        state, moved = self.states[at], False
        for chosen in self.steps.choices(state):
            taken = self.steps.step(state, chosen)
            if taken is None:
                continue
            moved = True
            self.transitions += 1
            if taken.closed:
                self._close(taken.closed, at, chosen)
            after = self.steps.in_order(taken.state)
            if after not in self.index:
                self._meet(after, at, chosen)
        if not moved and self.steps.is_over(state):
            self.finals.append(state)
        elif not moved:
            self.stuck.append(at)

    def _meet(self, state: State, parent: int, by: int) -> None:
        self.index[state] = number = len(self.states)
        self.states.append(state)
        self.parent.append(parent)
        self.by.append(by)
        if len(self.seen) < len(self.until):
            words = self.steps.words(state)
            for name, condition in self.until.items():
                if name not in self.seen and condition(words):
                    self.seen[name] = number

    def _close(self, closed: Closed, at: int, chosen: int) -> None:
        reader = self.steps.reader(closed.thread, closed.call)
        if reader is None:
            return
        if closed not in self.answers:
            schedule = self.steps.as_taken((*self._way(at), chosen))
            true, own, might = map(values_of, (closed.attainable, closed.own, closed.might))
            self.answers[closed] = Answer(*closed[:3], None, true, schedule, own, might, closed.earlier)

    def _schedule(self, number: int) -> tuple[int, ...]:
        """Return the shortest way to a state."""
        return self.steps.as_taken(self._way(number))

    def _way(self, number: int) -> tuple[int, ...]:
        way: list[int] = []
        while self.parent[number] >= 0:
            way.append(self.by[number])
            number = self.parent[number]
        return tuple(reversed(way))
