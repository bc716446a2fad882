"""The per-size statistics nr_anon and nr_anon_partially_mapped, and which folios the deferred split queue holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.mapping.schema import Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed
    from mapcount.views.reading import Reading


@dataclass(frozen=True)
class SizeStats:
    """/sys/kernel/mm/transparent_hugepage/hugepages-*/stats of one folio size (6.12), of folios that something maps."""

    order: int
    nr_anon: int
    nr_anon_partially_mapped: int


def size_stats(snapshot: Snapshot, reading: Reading) -> list[SizeStats]:
    """Return a row for each order, up to the one that a PMD maps, of which there are large anon folios."""
    order, anon = snapshot.folios.order, snapshot.folios.kind == Kind.ANON
    top = snapshot.meta.pmd_order + 1
    all_of = np.bincount(order[anon], minlength=top)[:top]
    partial = np.bincount(order[anon & reading.partially_mapped], minlength=top)[:top]
    return [SizeStats(i, int(all_of[i]), int(partial[i])) for i in range(1, top) if all_of[i]]


@dataclass(frozen=True, eq=False)
class Range:
    """What is true of each folio whatever happened before (`surely`), and what may be (`maybe`, these included)."""

    surely: Bools
    maybe: Bools

    @property
    def surely_not(self) -> Bools:
        """What is true of it after none of the histories."""
        return ~self.maybe


def deferred_split_queue(histories: Sequence[Replayed]) -> Range:
    """
    Tell which folios are on the deferred split queue because an unmapping found them partially mapped.

    A snapshot has no past: `histories` are replays of one scheme over several that lead to it, at least one. THPs that
    wait for the test of underuse since they were faulted in (6.12) are not meant.
    """
    return _over([replayed.deferred for replayed in histories])


def partially_mapped(histories: Sequence[Replayed]) -> Range:
    """Tell which folios have PG_partially_mapped, over several histories as for the queue."""
    return _over([replayed.partially_mapped for replayed in histories])


def _over(flags: list[Bools]) -> Range:
    return Range(np.logical_and.reduce(flags), np.logical_or.reduce(flags))
