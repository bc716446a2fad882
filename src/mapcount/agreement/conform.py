"""Model against kernel, or kernel against kernel, over many scenarios: how much was compared, what differs, what is allowed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.agreement.allowed import Allowance, allowance_for
from mapcount.agreement.differences import Difference, Tally
from mapcount.agreement.pair import Compared, compare_scenario
from mapcount.agreement.shrink import shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapcount.agreement.pair import Watch
    from mapcount.scenarios.observation import Backend
    from mapcount.scenarios.scenario import Scenario


@dataclass
class Conformance:
    """What came of all scenarios on two machines, named as they name themselves."""

    left: str
    right: str
    scenarios: int = 0
    steps: int = 0
    tally: Tally = field(default_factory=Tally)
    mismatches: Counter[str] = field(default_factory=Counter)
    """By field; allowed ones are not among them."""
    allowed: Counter[Allowance] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    """By scenario, why it was not run."""
    differing: list[Compared] = field(default_factory=list)
    """Scenarios that differ; in `shortest` the first of each field, shrunk."""
    shortest: list[Compared] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Nothing differs but what is allowed."""
        return not self.mismatches


def conform(
    scenarios: Iterable[Scenario],
    left: Backend,
    right: Backend,
    *,
    proc: bool = False,
    shrinks: bool = True,
    keep_going: bool = False,
    watch: Watch = lambda _step, _before, _after: None,
    progress: Callable[[str], None] = lambda _text: None,
) -> Conformance:
    """
    Run scenarios on two machines and compare them after every step.

    A scenario ends at its first step that differs, unless `keep_going`. The first difference of each field is shrunk. Raises
    what a machine raises that is no lack of a feature.
    """
    found = Conformance(left.name, right.name)
    for scenario in scenarios:
        progress(scenario.name)
        compared = compare_scenario(scenario, left, right, proc=proc, first_only=not keep_going, watch=watch)
        if compared.skipped:
            found.skipped[scenario.name] = compared.skipped
            continue
        found.scenarios += 1
        found.steps += compared.steps
        found.tally.add(compared.tally)
        differences = _not_allowed(found, compared, right.release)
        if differences:
            new = differences[0].field not in {one.differences[0].field for one in found.differing}
            found.differing.append(compared)
            if shrinks and new:
                found.shortest.append(shrink(compared, left, right))
    return found


def _not_allowed(found: Conformance, compared: Compared, release: str) -> list[Difference]:
    kept = []
    for difference in compared.differences:
        allowance = allowance_for(difference, release)
        if allowance is not None:
            found.allowed[allowance] += 1
        else:
            found.mismatches[difference.field] += 1
            kept.append(difference)
    return kept
