"""The kernel's own numbers of a snapshot, looked up by source, subject and name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.record import record

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot


@record(frozen=True)
class Reading:
    """One number as it was before and after the capture."""

    before: int
    after: int

    @property
    def low(self) -> int:
        """The smaller of the two."""
        return min(self.before, self.after)

    @property
    def high(self) -> int:
        """The larger of the two."""
        return max(self.before, self.after)

    def __add__(self, other: Reading) -> Reading:
        return Reading(self.before + other.before, self.after + other.after)

    def __sub__(self, other: Reading) -> Reading:
        return Reading(self.before - other.before, self.after - other.after)


@record(frozen=True)
class Stats:
    """All numbers of a snapshot that could be read; one that was read only once stands for both times."""

    readings: dict[tuple[str, str, str], Reading]

    def get(self, source: str, name: str, subject: str = "") -> Reading | None:
        """Return a number, or None if it was not read."""
        return self.readings.get((source, subject, name))

    def subjects(self, source: str) -> list[str]:
        """Return whose numbers a source has, in the order they were read."""
        return list(dict.fromkeys(subject for of, subject, _ in self.readings if of == source))


def read_stats(snapshot: Snapshot) -> Stats:
    """Collect `observed_stats`; rows of -1 (could not be read) are left out."""
    rows = snapshot.observed_stats
    readings = {}
    columns = (rows.source, rows.subject, rows.name, rows.before, rows.after)
    for source, subject, name, before, after in zip(*(column.tolist() for column in columns), strict=True):
        known = [value for value in (before, after) if value != -1]
        if known:
            readings[source, subject, name] = Reading(known[0], known[-1])
    return Stats(readings)
