"""How much a capture may cost: wall-clock and CPU seconds, looked at between bounded reads."""

from __future__ import annotations

import time

from mapcount.record import record


class BudgetSpentError(Exception):
    """The capture has used what it may. Internal: the session keeps what it has and says why it ended."""


@record(frozen=True)
class Budget:
    """Limits, and when counting began. None: no limit."""

    max_seconds: float | None
    max_cpu_s: float | None
    started_s: float
    started_cpu_s: float

    @staticmethod
    def start(max_seconds: float | None, max_cpu_s: float | None) -> Budget:
        """Start counting now."""
        return Budget(max_seconds, max_cpu_s, time.monotonic(), time.process_time())

    def check(self) -> None:
        """Raise BudgetSpentError, saying which limit, once one is reached."""
        if self.max_seconds is not None and time.monotonic() - self.started_s > self.max_seconds:
            raise BudgetSpentError(f"--max-seconds {self.max_seconds:g} was reached")
        if self.max_cpu_s is not None and time.process_time() - self.started_cpu_s > self.max_cpu_s:
            raise BudgetSpentError(f"--max-cpu {self.max_cpu_s:g} (seconds of CPU) was reached")
