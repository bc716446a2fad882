"""A kernel out of a golden trace, as a machine for scenarios: it does what was recorded, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mapcount.errors import KernelFeatureError
from mapcount.scenarios.text import step_text

if TYPE_CHECKING:
    from mapcount.agreement.golden import Recorded, Trace
    from mapcount.scenarios.observation import Observation
    from mapcount.scenarios.scenario import Settings
    from mapcount.scenarios.steps import Step


class RecordedBackend:
    """
    Plays a trace back. What was recorded begins with the steps asked for, or `do` raises KernelFeatureError.

    Which scenario is played is known by its settings and steps alone, so that the beginning of a scenario can be played, too.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._left: list[Recorded] = []
        """Scenarios that begin with what was done."""
        self._done = 0

    @property
    def name(self) -> str:
        """The release, and that it was recorded."""
        return f"recorded {self.release}{'' if self.page_mapcount else ' without page mapcounts'}"

    @property
    def release(self) -> str:
        """The kernel release, as `uname -r` has it."""
        return self._trace.kernel

    @property
    def page_mapcount(self) -> bool:
        """Whether it keeps counts per page."""
        return self._trace.page_mapcount

    def begin(self, settings: Settings) -> None:
        """Begin one of the scenarios that were recorded under these settings. Raises KernelFeatureError if none was."""
        self._left = [one for one in self._trace.recorded if one.scenario.settings == settings]
        self._done = 0
        if not self._left:
            raise KernelFeatureError(f"{self.name}: no scenario was recorded under these settings")

    def do(self, step: Step) -> int:
        """Return the result that was recorded. Raises KernelFeatureError if this step was not recorded here."""
        at = self._done
        left = [one for one in self._left if at < len(one.scenario.steps) and one.scenario.steps[at] == step]
        if not left:
            raise KernelFeatureError(f"{self.name}: `{step_text(step)}` was not recorded after these steps")
        self._left, self._done = left, at + 1
        return left[0].observations[at].result

    def observe(self, result: int, *, proc: bool = False) -> Observation:
        """Return what was recorded; with `proc` also what /proc said, if it was read."""
        seen = self._left[0].observations[self._done - 1]
        assert result == seen.result
        return seen if proc else replace(seen, proc=(), kpagecount={})

    def end(self) -> None:
        """End the scenario."""
        self._left, self._done = [], 0
