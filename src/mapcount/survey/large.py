"""Snapshots that were taken with order-0 folios as rows: the survey takes those from the aggregates in `small` alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot


def large_only(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot without rows about order-0 folios in any table but `small`; folio ids are the new row numbers."""
    large = snapshot.folios.order > 0
    if large.all():
        return snapshot
    ids = (np.cumsum(large) - 1).astype(np.uint32)
    tables = {"folios": replace(snapshot.folios.take(large), folio_id=ids[large])}
    for name in ("runs", "unseen", "observed_counts", "observed_words"):
        table = getattr(snapshot, name)
        table = table.take(large[table.folio_id])
        tables[name] = replace(table, folio_id=ids[table.folio_id])
    return replace(snapshot, **tables)
