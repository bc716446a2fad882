"""Golden traces: what a real kernel showed after each step of each scenario, recorded once and compared with ever after."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mapcount.errors import KernelFeatureError
from mapcount.scenarios.run import run
from mapcount.scenarios.steps import Expect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mapcount.scenarios.observation import Backend, Observation
    from mapcount.scenarios.scenario import Scenario

CONFIG_FACTS = (
    "DEBUG_VM",
    "HUGETLB_PAGE",
    "KSM",
    "LRU_GEN",
    "MEMCG",
    "MM_ID",
    "NO_PAGE_MAPCOUNT",
    "NUMA",
    "NUMA_BALANCING",
    "PAGE_MAPCOUNT",
    "PREEMPTION",
    "PT_RECLAIM",
    "SHMEM",
    "SMP",
    "SPARSEMEM_VMEMMAP",
    "SWAP",
    "THP_SWAP",
    "TRANSPARENT_HUGEPAGE",
)
"""Options of a kernel's configuration that may bear on what is recorded."""


@dataclass(frozen=True)
class Recorded:
    """A scenario, without expectations, and what was seen after each of its steps."""

    scenario: Scenario
    observations: tuple[Observation, ...]


@dataclass(frozen=True)
class Trace:
    """What one kernel showed."""

    kernel: str
    """The release, as `uname -r` has it."""
    page_mapcount: bool
    image_sha256: str
    """Of the bzImage; empty if it was none."""
    config: Mapping[str, bool]
    """CONFIG_FACTS that the configuration says; empty if there was none."""
    recorded: tuple[Recorded, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """By scenario, why this kernel could not run it."""

    @property
    def fields(self) -> list[str]:
        """The words of folios that are in it, sorted."""
        states = {state for one in self.recorded for seen in one.observations for state in _word_names(seen)}
        return sorted(states)

    @property
    def steps(self) -> int:
        """How many were recorded."""
        return sum(len(one.observations) for one in self.recorded)


def record(
    backend: Backend,
    scenarios: Iterable[Scenario],
    *,
    proc: Callable[[Scenario], bool] = lambda _scenario: False,
    image_sha256: str = "",
    config: str = "",
    progress: Callable[[str], None] = lambda _name: None,
) -> Trace:
    """
    Run scenarios and return what was seen. `proc` tells for which /proc is read; `config` is the text of a .config.

    What the machine lacks is skipped by name; anything else that it raises goes through.
    """
    recorded, skipped = [], {}
    for scenario in scenarios:
        progress(scenario.name)
        plain = without_expectations(scenario)
        try:
            seen = tuple(observation for _, observation in run(plain, backend, proc=proc(scenario)))
        except KernelFeatureError as lacks:
            skipped[scenario.name] = str(lacks)
            continue
        recorded.append(Recorded(plain, seen))
    return Trace(backend.release, backend.page_mapcount, image_sha256, config_facts(config), tuple(recorded), skipped)


def without_expectations(scenario: Scenario) -> Scenario:
    """Return a scenario as it is recorded: its steps, and no text that they were read from."""
    steps = tuple(step for step in scenario.steps if not isinstance(step, Expect))
    return replace(scenario, steps=steps, lines=())


def missing(trace: Trace, scenarios: Iterable[Scenario], *, proc: Callable[[Scenario], bool]) -> list[Scenario]:
    """Return the scenarios that are not in a trace with these steps and settings, or without /proc where `proc` asks for it."""
    return [one for one in scenarios if _found(trace, one, proc=proc(one)) is None]


def completed(trace: Trace, new: Trace, scenarios: Iterable[Scenario], *, proc: Callable[[Scenario], bool]) -> Trace:
    """Return `scenarios`, in their order, out of two traces of one kernel: what `new` has, else what `trace` has."""
    found = [_found(new, one, proc=proc(one)) or _found(trace, one, proc=proc(one)) for one in scenarios]
    return replace(new, recorded=tuple(one for one in found if one))


def _found(trace: Trace, scenario: Scenario, *, proc: bool) -> Recorded | None:
    plain = without_expectations(scenario)
    for one in trace.recorded:
        same = (one.scenario.steps, one.scenario.settings) == (plain.steps, plain.settings)
        if same and one.scenario.name == plain.name and (not proc or any(seen.proc for seen in one.observations)):
            return replace(one, scenario=plain)
    return None


def config_facts(text: str) -> dict[str, bool]:
    """Return CONFIG_FACTS that the text of a .config says; an option that it does not name at all is left out."""
    said = {name: value == "=y" for name, value in re.findall(r"^CONFIG_(\w+)(=[ym])$", text, re.MULTILINE)}
    said |= dict.fromkeys(re.findall(r"^# CONFIG_(\w+) is not set$", text, re.MULTILINE), False)
    return {name: said[name] for name in CONFIG_FACTS if name in said}


def _word_names(seen: Observation) -> set[str]:
    return {name for state in seen.folios.values() for name in state.words}
