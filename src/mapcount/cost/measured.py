"""What a benchmark measured: nanoseconds a page of each operation and folio size, round by round."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """One operation on folios of one order; of `hot-*` and `line-*` nanoseconds an access, the order means nothing."""

    name: str
    order: int
    ns: tuple[float, ...]
    """a page (or an access), one value a round"""

    @property
    def median(self) -> float:
        """The median of all rounds."""
        return statistics.median(self.ns)

    @property
    def spread(self) -> tuple[float, float]:
        """Return the first and the third quartile; of fewer than two rounds the value itself."""
        if len(self.ns) < 2:
            return self.ns[0], self.ns[0]
        first, _, third = statistics.quantiles(self.ns, n=4, method="inclusive")
        return first, third


@dataclass(frozen=True)
class Measured:
    """All of one machine."""

    release: str
    memory_mib: int
    rounds: int
    measurements: tuple[Measurement, ...]
