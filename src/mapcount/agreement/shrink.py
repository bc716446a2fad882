"""From a scenario on which two machines differ to the shortest one found that still shows a difference of the same field."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.agreement.pair import Compared, compare_scenario
from mapcount.errors import MapcountError
from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.steps import Exit, Expect, Fallocate, Fork, Memfd, Mmap, Reclaim

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.scenarios.observation import Backend
    from mapcount.scenarios.steps import Step

TIME_LIMIT_S = 60.0


def shrink(compared: Compared, left: Backend, right: Backend, *, time_limit_s: float = TIME_LIMIT_S) -> Compared:
    """
    Return the shortest scenario found, compared up to its first difference.

    Steps are left out in halves, quarters, ... and one by one, then spans are cut, as long as the first difference is still
    one of the same field. Ends early, with the best so far, when the time is up. `compared` must have a difference.
    """
    return _Shrinker(compared, left, right, time.monotonic() + time_limit_s).run()


def possible(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps that can be done at all: by a process that lives, on a file that is open there; expectations go."""
    files: dict[str, set[str]] = {FIRST_PROCESS: set()}
    kept: list[Step] = []
    for step in steps:
        if isinstance(step, Expect):
            continue
        if not isinstance(step, Reclaim) and not _can(step, files):
            continue
        match step:
            case Fork():
                files[step.child] = set(files[step.process])
            case Exit():
                del files[step.process]
            case Memfd():
                files[step.process].add(step.file)
        kept.append(step)
    return tuple(kept)


def _can(step: Step, files: dict[str, set[str]]) -> bool:
    if step.process not in files:
        return False
    if isinstance(step, Fork) and step.child in files:
        return False
    if isinstance(step, Mmap | Fallocate) and step.file:
        return step.file in files[step.process]
    return True


class _Shrinker:
    def __init__(self, compared: Compared, left: Backend, right: Backend, deadline: float) -> None:
        self._best = compared
        self._field = compared.differences[0].field
        self._left, self._right, self._deadline = left, right, deadline

    def run(self) -> Compared:
        last = self._best.differences[0].step
        self._keep(self._best.scenario.steps[: last + 1])
        while self._leave_out() or self._cut_spans():
            pass
        return self._best

    def _leave_out(self) -> bool:
        steps = self._best.scenario.steps
        size = max(1, len(steps) // 2)
        while size:
            for at in range(0, len(steps), size):
                if self._keep(steps[:at] + steps[at + size :]):
                    return True
            size //= 2
        return False

    def _cut_spans(self) -> bool:
        steps = self._best.scenario.steps
        return any(
            self._keep((*steps[:at], shorter, *steps[at + 1 :]))
            for at, step in enumerate(steps)
            for shorter in _shorter(step)
        )

    def _keep(self, steps: tuple[Step, ...]) -> bool:
        """Take these steps if they are fewer, or smaller, and still show the difference."""
        if time.monotonic() > self._deadline:
            return False
        steps = possible(steps)
        if not steps or steps == self._best.scenario.steps:
            return False
        scenario = replace(self._best.scenario, steps=steps, lines=())
        try:
            compared = compare_scenario(scenario, self._left, self._right, proc=self._has_proc, first_only=True)
        except (MapcountError, KeyError):
            return False
        if not compared.differences or compared.differences[0].field != self._field:
            return False
        self._best = compared
        return True

    @property
    def _has_proc(self) -> bool:
        states = self._best.states
        return states is not None and bool(states[0].proc)


def _shorter(step: Step) -> Iterator[Step]:
    span = getattr(step, "span", None)
    if span is None or span.nr_pages < 2 or isinstance(step, Mmap):
        return
    half = span.nr_pages // 2
    for cut in (replace(span, end=span.first + half), replace(span, first=span.end - half)):
        yield replace(step, span=cut)
