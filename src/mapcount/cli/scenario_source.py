"""A scenario where a snapshot is taken: its name or file in, the state on the model out, with the past that led to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from mapcount.cli.scenario_file import SUFFIX

if TYPE_CHECKING:
    from mapcount.mapping.log import Log
    from mapcount.mapping.snapshot import Snapshot


class ScenarioState(NamedTuple):
    """The state after the last step that leaves anything mapped, the log up to there, and the rows of its living folios."""

    snapshot: Snapshot
    log: Log
    folios: list[int]


def is_scenario(name: str) -> bool:
    """Tell whether an argument means a scenario: a file that ends so, or what is no file and ships under that name."""
    if name.endswith(SUFFIX):
        return True
    if os.path.exists(name) or os.sep in name:
        return False
    from mapcount.scenarios.library import names

    return name in names()


def run_scenario(name: str) -> ScenarioState:
    """
    Run a scenario on the model of this kernel.

    Raises ScenarioError for a file that is none or if nothing is ever mapped, KernelFeatureError for what is not modelled.
    """
    from dataclasses import replace

    from mapcount.cli.scenario_file import read_scenario
    from mapcount.kernels.backends import default_release
    from mapcount.machine.backend import ModelBackend
    from mapcount.machine.export import living, log, snapshot
    from mapcount.scenarios.run import leave_at

    backend = ModelBackend(default_release())
    where = leave_at(read_scenario(name), backend)
    state = snapshot(backend.machine)
    note = f"Not a machine: the {backend.name} after {where}."
    state = replace(state, meta=replace(state.meta, notes=[note]))
    return ScenarioState(state, log(backend.machine), living(backend.machine))
