"""The per-size statistics nr_anon and nr_anon_partially_mapped. What the deferred split queue holds: replay/ranges.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot
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
