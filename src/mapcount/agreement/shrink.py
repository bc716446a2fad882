"""From a scenario on which two machines differ to the shortest one found that still shows a difference of the same field."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.errors import MapcountError
from mapcount.scenarios.standing import Standing
from mapcount.scenarios.steps import (
    Access,
    Expect,
    Fallocate,
    Madvise,
    Migrate,
    Mmap,
    Mprotect,
    Mremap,
    Munmap,
    Span,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.agreement.pair import Compared, Pair
    from mapcount.scenarios.steps import Step

TIME_LIMIT_S = 60.0


def shrink(compared: Compared, pair: Pair, *, time_limit_s: float = TIME_LIMIT_S) -> Compared:
    """
    Return the shortest scenario found, compared up to its first difference.

    Steps are left out in halves, quarters, ... and one by one, then ranges are cut in the same way, as long as the first step
    that differs still does so in the same field. Ends early, with the best so far, when the time is up. `compared` must have a
    difference.
    """
    return _Shrinker(compared, pair, time.monotonic() + time_limit_s).run()


def possible(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps that make sense one after the other: by a process that lives, on its files; expectations go."""
    standing = Standing()
    kept = []
    for step in steps:
        if isinstance(step, Expect) or standing.missing(step):
            continue
        standing.apply(step)
        kept.append(step)
    return tuple(kept)


class _Shrinker:
    def __init__(self, compared: Compared, pair: Pair, deadline: float) -> None:
        self._best = compared
        self._field = compared.differences[0].field
        self._pair, self._deadline = pair, deadline

    @property
    def _steps(self) -> tuple[Step, ...]:
        return self._best.scenario.steps

    def run(self) -> Compared:
        self._keep(self._steps[: self._best.differences[0].step + 1])
        while self._leave_out() or self._cut_ranges():
            pass
        return self._best

    def _leave_out(self) -> bool:
        """Leave out steps, from the last one on: what depends on it goes before what it depends on."""
        found, size = False, max(1, len(self._steps) // 2)
        while size:
            end = len(self._steps)
            while end > 0:
                first = max(0, end - size)
                found |= self._keep(self._steps[:first] + self._steps[end:])
                end = min(first, len(self._steps))
            size //= 2
        return found

    def _cut_ranges(self) -> bool:
        found = False
        at = 0
        while at < len(self._steps):
            shorter = (
                self._keep((*self._steps[:at], step, *self._steps[at + 1 :])) for step in _shorter(self._steps[at])
            )
            if any(shorter):
                found = True
            else:
                at += 1
        return found

    def _keep(self, steps: tuple[Step, ...]) -> bool:
        """Take these steps if they still show the difference."""
        if time.monotonic() > self._deadline:
            return False
        steps = possible(steps)
        if not steps or steps == self._steps:
            return False
        scenario = replace(self._best.scenario, steps=steps, lines=())
        try:
            compared = self._pair.compare(scenario)
        except MapcountError:
            return False
        if not any(one.field == self._field for one in compared.differences):
            return False
        shown = replace(scenario, steps=steps[: compared.differences[0].step + 1])
        self._best = replace(compared, scenario=shown)
        return True


def _shorter(step: Step) -> Iterator[Step]:
    """Yield a step on less of its range: without half of it, a quarter, ... a page, at the end or at the start."""
    if isinstance(step, Fallocate):
        first, end = step.first, step.end
    elif isinstance(step, Mmap | Access | Munmap | Madvise | Mprotect | Mremap | Migrate):
        first, end = step.span.first, step.span.end
    else:
        return
    size = (end - first) // 2
    while size:
        yield _cut(step, first, end - size)
        yield _cut(step, first + size, end)
        size //= 2


def _cut(step: Step, first: int, end: int) -> Step:
    match step:
        case Fallocate():
            return replace(step, first=first, end=end)
        case Mmap():
            file_page = step.file_page + first - step.span.first if step.file else 0
            return replace(step, span=Span(step.span.area, first, end), file_page=file_page)
        case Mremap():
            to_page = step.to_page + first - step.span.first
            return replace(step, span=Span(step.span.area, first, end), to_page=to_page)
        case Access() | Munmap() | Madvise() | Mprotect() | Migrate():
            return replace(step, span=Span(step.span.area, first, end))
        case _:
            raise AssertionError(step)
