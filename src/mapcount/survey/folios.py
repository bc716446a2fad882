"""Single folios: those that hold most waste, then the largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Consistency, Kind
from mapcount.survey.sorting import order_of
from mapcount.survey.types import FolioRow

if TYPE_CHECKING:
    from mapcount.survey.facts import Facts

MAX_PIDS = 8
"""As many processes are named in a row."""


def folio_rows(facts: Facts, top: int | None = None) -> list[FolioRow]:
    """Return the large folios, most waste first, then largest, then by id; at most `top` of them."""
    snapshot, folios = facts.snapshot, facts.snapshot.folios
    ranked = np.lexsort((-folios.order.astype(np.int64), -facts.wasted_pages))[:top]
    mappings = facts.coverage.mappings_of_folios()
    by_folio = order_of(facts.pairs.folio)
    start = np.searchsorted(facts.pairs.folio[by_folio], ranked)
    rows = []
    for i, first in zip(ranked.tolist(), start.tolist(), strict=True):
        mms = facts.pairs.owner[by_folio[first : first + min(int(facts.mms[i]), MAX_PIDS)]]
        rows.append(
            FolioRow(
                folio_id=i,
                kind=Kind(folios.kind[i]).name.lower(),
                order=int(folios.order[i]),
                cgroup=snapshot.cgroups[max(int(folios.charge_cgroup[i]), 0)],
                node=int(folios.node[i]),
                mapped_pages=int(facts.mapped_pages[i]),
                mappings=int(mappings[i]),
                mms=int(facts.mms[i]),
                mapped="both" if facts.by_pmd[i] and facts.by_pte[i] else "pmd" if facts.by_pmd[i] else "pte",
                state="exclusive" if facts.exclusive[i] else "shared" if facts.shared[i] else "unknown",
                wasted_bytes=int(facts.wasted_pages[i]) * snapshot.meta.page_size,
                consistency=Consistency(folios.consistency[i]).name.lower(),
                pids=" ".join(str(pid) for pid in snapshot.mms.pid[mms].tolist()),
            )
        )
    return rows
