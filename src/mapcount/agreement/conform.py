"""Model against kernel, or kernel against kernel, over many scenarios: how much was compared, what differs, what is allowed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.agreement.differences import Tally
from mapcount.agreement.shrink import TIME_LIMIT_S, shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mapcount.agreement.allowed import Allowance
    from mapcount.agreement.pair import Compared, Pair
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
    pair: Pair,
    *,
    shrink_limit_s: float = TIME_LIMIT_S,
    keep_going: bool = False,
    progress: Callable[[str], None] = lambda _text: None,
) -> Conformance:
    """
    Run scenarios on two machines and compare them after every step.

    A scenario ends at its first step that differs, unless `keep_going`. The first difference of each field is shrunk, within
    the limit; 0: not at all. Raises what a machine raises that is no lack of a feature.
    """
    found = Conformance(pair.left.name, pair.right.name)
    shown: set[str] = set()
    for scenario in scenarios:
        progress(scenario.name)
        compared = pair.compare(scenario, first_only=not keep_going)
        if compared.skipped:
            found.skipped[scenario.name] = compared.skipped
            continue
        found.scenarios += 1
        found.steps += compared.steps
        found.tally.add(compared.tally)
        found.allowed.update(compared.allowed)
        found.mismatches.update(one.field for one in compared.differences)
        if not compared.differences:
            continue
        found.differing.append(compared)
        if shrink_limit_s and compared.differences[0].field not in shown:
            shown.add(compared.differences[0].field)
            progress(f"{scenario.name}: looking for a shorter one")
            found.shortest.append(shrink(compared, pair, time_limit_s=shrink_limit_s))
    return found
