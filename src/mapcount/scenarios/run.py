"""Running a scenario on a machine: step by step, what is seen after each, and what was expected of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import ExpectationError, KernelFeatureError, ScenarioError
from mapcount.scenarios.expectations import judge
from mapcount.scenarios.steps import Expect
from mapcount.scenarios.text import step_text
from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.scenarios.observation import Backend, Observation
    from mapcount.scenarios.scenario import Scenario
    from mapcount.scenarios.steps import Step


def run(scenario: Scenario, backend: Backend, *, proc: bool = False) -> Iterator[tuple[Step, Observation]]:
    """
    Yield each step with what was seen after it; an Expect, which is checked, with what was seen last.

    An expectation that this machine cannot answer is passed over (expectations.judge tells). `backend.end` is called in any
    case, also if a step raises or the caller stops early (use contextlib.closing). Raises KernelFeatureError if the machine is
    older than the scenario needs, ExpectationError if an expectation does not hold.
    """
    _check_release(scenario, backend)
    try:
        backend.begin(scenario.settings)
        observation: Observation | None = None
        for index, step in enumerate(scenario.steps):
            if not isinstance(step, Expect):
                observation = backend.observe(backend.do(step), proc=proc)
            assert observation is not None, "an expectation is about the step before it"
            if isinstance(step, Expect):
                _check(scenario, index, step, observation, backend.name)
            yield step, observation
    finally:
        backend.end()


def leave_at(scenario: Scenario, backend: Backend, nr_steps: int | None = None) -> str:
    """
    Bring a machine to the state after `nr_steps` steps (expectations are none) and leave it there; say where that is.

    By default after the last step that leaves anything mapped. It is the caller who ends the backend. Raises ScenarioError if
    there are fewer steps, or if nothing is ever mapped, and KernelFeatureError as `run` does.
    """
    _check_release(scenario, backend)
    name, steps = scenario.name or "the scenario", [step for step in scenario.steps if not isinstance(step, Expect)]
    if nr_steps is not None and nr_steps > len(steps):
        raise ScenarioError(f"{name} has {len(steps)} steps, not {nr_steps}: expectations are not counted")
    last = _last_mapped(scenario, backend, steps) if nr_steps is None else nr_steps
    if not last:
        raise ScenarioError(
            f"{name}: nothing is mapped after any of its {len(steps)} steps, so there is nothing to show"
        )
    backend.begin(scenario.settings)
    for step in steps[:last]:
        backend.do(step)
    return f"step {last} of {len(steps)} of {name}, `{step_text(steps[last - 1])}`"


def _last_mapped(scenario: Scenario, backend: Backend, steps: Sequence[Step]) -> int:
    """Return how many steps lead to the last state in which anything is mapped."""
    backend.begin(scenario.settings)
    return max((at for at, step in enumerate(steps, 1) if backend.observe(backend.do(step)).mappings), default=0)


def numbered(scenario: Scenario, index: int) -> str:
    """Return where a step stands, for people: `name:line` of the text, or `name, step 3`."""
    name = scenario.name or "scenario"
    return f"{name}:{scenario.lines[index]}" if scenario.lines else f"{name}, step {index + 1}"


def _check_release(scenario: Scenario, backend: Backend) -> None:
    if parse_release(backend.release) < scenario.needs:
        major, minor = scenario.needs
        name = scenario.name or "The scenario"
        raise KernelFeatureError(f"{name} needs Linux {major}.{minor} or later, and this is: {backend.name}")


def _check(scenario: Scenario, index: int, expect: Expect, observation: Observation, machine: str) -> None:
    verdict = judge(expect, observation)
    if verdict.holds is not False:
        return
    before = next(step for step in reversed(scenario.steps[:index]) if not isinstance(step, Expect))
    raise ExpectationError(
        f"{numbered(scenario, index)}: `{step_text(expect)}` does not hold after `{step_text(before)}`: "
        f"found {verdict.found} ({machine})"
    )
