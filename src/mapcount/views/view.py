"""All that user space would read of a snapshot's mappings under one way of counting; and the truth in the same shape."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mapcount.views.entries import bits, counts
from mapcount.views.kernel import kernel_reading
from mapcount.views.mthp import SizeStats, size_stats
from mapcount.views.smaps import Smaps, smaps
from mapcount.views.statistics import Statistics, statistics
from mapcount.views.truth import true_reading

if TYPE_CHECKING:
    from mapcount.mapping.schema import ObservedBits, ObservedCounts
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed
    from mapcount.schemes.eras import Quirks
    from mapcount.views.reading import Reading


@dataclass(frozen=True)
class View:
    """Each part is computed when it is first asked for."""

    snapshot: Snapshot
    reading: Reading

    @cached_property
    def by_vma(self) -> Smaps:
        """Smaps and numa_maps, by row of `vmas`."""
        return smaps(self.snapshot, self.reading)

    @cached_property
    def by_mm(self) -> Smaps:
        """smaps_rollup, by row of `mms`."""
        return self.by_vma.by_owner(self.snapshot.vmas.mm_id, len(self.snapshot.mms))

    @cached_property
    def bits(self) -> ObservedBits:
        """Bit 56 of pagemap."""
        return bits(self.snapshot, self.reading)

    @cached_property
    def kpagecount(self) -> ObservedCounts:
        """/proc/kpagecount."""
        return counts(self.snapshot, self.reading)

    @cached_property
    def by_cgroup(self) -> Statistics:
        """memory.stat, by row of `cgroups`; meminfo is its `machine()`."""
        return statistics(self.snapshot, self.reading)

    @cached_property
    def sizes(self) -> list[SizeStats]:
        """nr_anon and nr_anon_partially_mapped."""
        return size_stats(self.snapshot, self.reading)


def kernel_view(snapshot: Snapshot, replayed: Replayed, quirks: Quirks) -> View:
    """
    Return what a kernel that counts by `replayed.scheme` would print, in an era with `quirks`.

    The rows of `replayed.folios` must be those of `snapshot.folios`. Raises UsageError if the scheme does not answer what
    fs/proc of that era asks.
    """
    return View(snapshot, kernel_reading(snapshot, replayed, quirks))


def true_view(snapshot: Snapshot) -> View:
    """Return the truth, from the mappings alone (truth.py)."""
    return View(snapshot, true_reading(snapshot))
