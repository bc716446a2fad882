"""A scenario on two machines side by side: step by step, what differs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mapcount.agreement.differences import Difference, Matcher, Tally
from mapcount.errors import KernelFeatureError
from mapcount.scenarios.steps import Expect
from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.agreement.allowed import Allowance
    from mapcount.scenarios.observation import Backend, Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step

    Watch = Callable[[Step, Observation | None, Observation], None]
    Allows = Callable[[Difference], Allowance | None]


@dataclass(frozen=True)
class Compared:
    """What came of one scenario on two machines."""

    scenario: Scenario
    steps: int
    """That were compared."""
    differences: tuple[Difference, ...]
    """Those that are not allowed, and were not there in the same way after the step before."""
    tally: Tally = field(default_factory=Tally)
    allowed: Counter[Allowance] = field(default_factory=Counter)
    skipped: str = ""
    """Why it was not run: what one of the machines has not."""
    states: tuple[Observation, Observation] | None = None
    """After the first step that differs."""


@dataclass(frozen=True)
class Pair:
    """Two machines that are to agree, and how they are compared. `proc` also reads /proc after each step."""

    left: Backend
    right: Backend
    proc: bool = False
    allows: Allows = lambda _difference: None
    watch: Watch = lambda _step, _before, _after: None
    """Is told each step with what the left machine showed before and after it."""

    def compare(self, scenario: Scenario, *, first_only: bool = True) -> Compared:
        """
        Run a scenario on both machines in step; expectations are left out.

        With `first_only` it ends at the first step that differs. What a machine lacks is `skipped`; anything else that a
        machine raises goes through.
        """
        for machine in (self.left, self.right):
            if parse_release(machine.release) < scenario.needs:
                needs = ".".join(map(str, scenario.needs))
                return Compared(scenario, 0, (), skipped=f"{machine.name} is older than Linux {needs}")
        try:
            self.left.begin(scenario.settings)
            self.right.begin(scenario.settings)
            return self._run(scenario, first_only=first_only)
        except KernelFeatureError as lacks:
            return Compared(scenario, 0, (), skipped=str(lacks))
        finally:
            try:
                self.left.end()
            finally:
                self.right.end()

    def _run(self, scenario: Scenario, *, first_only: bool) -> Compared:
        matcher, found, states, done = Matcher(), list[Difference](), None, 0
        # Of 262144 pages each, /proc of a guest is read for minutes.
        proc = self.proc and not scenario.settings.gigantic_pages
        allowed: Counter[Allowance] = Counter()
        before: Observation | None = None
        last: set[Difference] = set()
        for index, step in enumerate(scenario.steps):
            if isinstance(step, Expect):
                continue
            here = self.left.observe(self.left.do(step), proc=proc)
            there = self.right.observe(self.right.do(step), proc=proc)
            self.watch(step, before, here)
            before = here
            done += 1
            differs = []
            for difference in matcher.compare(index, here, there):
                allowance = self.allows(difference)
                if allowance is None:
                    differs.append(difference)
                else:
                    allowed[allowance] += 1
            new = [one for one in differs if replace(one, step=0) not in last]
            last = {replace(one, step=0) for one in differs}
            if new and states is None:
                states = here, there
            found += new
            if new and first_only:
                break
        return Compared(scenario, done, tuple(found), matcher.tally, allowed, states=states)
