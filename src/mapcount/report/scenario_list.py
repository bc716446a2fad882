"""The scenarios of the library: name, the first kernel they make sense on, and what they show."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.report.encoding import indented

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mapcount.scenarios.scenario import Scenario

LIST_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ScenarioListing:
    """A scenario of the library."""

    name: str
    says: str
    needs: str
    """The first kernel release it makes sense on; empty: any."""
    steps: int


@dataclass(frozen=True)
class ScenarioListings:
    """All of them."""

    schema_version: int
    scenarios: list[ScenarioListing]


def lines(scenarios: Sequence[Scenario], *, width: int) -> Iterator[str]:
    """Yield the list as lines of at most `width` columns."""
    for scenario in scenarios:
        needs = f" (Linux {needed(scenario)} and later)" if needed(scenario) else ""
        yield f"{scenario.name}{needs}"
        yield from textwrap.wrap(scenario.says, width, initial_indent="    ", subsequent_indent="    ")


def document(scenarios: Sequence[Scenario]) -> bytes:
    """Return the list as indented JSON."""
    rows = [
        ScenarioListing(scenario.name, scenario.says, needed(scenario), len(scenario.steps)) for scenario in scenarios
    ]
    return indented(ScenarioListings(LIST_SCHEMA_VERSION, rows))


def needed(scenario: Scenario) -> str:
    """Return the first release that a scenario makes sense on, such as `6.8`; empty for any."""
    return ".".join(map(str, scenario.needs)) if scenario.needs != (0, 0) else ""
