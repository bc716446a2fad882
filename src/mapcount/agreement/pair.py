"""A scenario on two machines side by side: step by step, what differs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.agreement.differences import Difference, Matcher, Tally
from mapcount.errors import KernelFeatureError
from mapcount.scenarios.steps import Expect
from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.scenarios.observation import Backend, Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step

    Watch = Callable[[Step, Observation | None, Observation], None]


@dataclass(frozen=True)
class Compared:
    """What came of one scenario on two machines."""

    scenario: Scenario
    steps: int
    """That were compared."""
    differences: tuple[Difference, ...]
    tally: Tally = field(default_factory=Tally)
    skipped: str = ""
    """Why it was not run: what one of the machines has not."""
    states: tuple[Observation, Observation] | None = None
    """After the first step that differs."""


def compare_scenario(
    scenario: Scenario,
    left: Backend,
    right: Backend,
    *,
    proc: bool = False,
    first_only: bool = False,
    watch: Watch = lambda _step, _before, _after: None,
) -> Compared:
    """
    Run a scenario on two machines in step; expectations are left out.

    With `first_only` it ends at the first step that differs. `watch` is told each step with what the left machine showed before
    and after it. What a machine lacks is `skipped`; anything else that a machine raises goes through.
    """
    for machine in (left, right):
        if parse_release(machine.release) < scenario.needs:
            needs = ".".join(map(str, scenario.needs))
            return Compared(scenario, 0, (), skipped=f"{machine.name} is older than {needs}")
    try:
        left.begin(scenario.settings)
        right.begin(scenario.settings)
        return _run(scenario, left, right, proc=proc, first_only=first_only, watch=watch)
    except KernelFeatureError as lacks:
        return Compared(scenario, 0, (), skipped=str(lacks))
    finally:
        try:
            left.end()
        finally:
            right.end()


def _run(scenario: Scenario, left: Backend, right: Backend, *, proc: bool, first_only: bool, watch: Watch) -> Compared:
    matcher, found, states, done = Matcher(), list[Difference](), None, 0
    before: Observation | None = None
    for index, step in enumerate(scenario.steps):
        if isinstance(step, Expect):
            continue
        here = left.observe(left.do(step), proc=proc)
        there = right.observe(right.do(step), proc=proc)
        watch(step, before, here)
        before = here
        done += 1
        differs = matcher.compare(index, here, there)
        if differs and states is None:
            states = here, there
        found += differs
        if differs and first_only:
            break
    return Compared(scenario, done, tuple(found), matcher.tally, states=states)
