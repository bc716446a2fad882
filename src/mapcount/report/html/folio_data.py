"""The folio map as plain columns for js/folios.js: folios, who maps how much of each, which pages, and the bins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.mapping.schema import Consistency, Kind
from mapcount.survey.states import STATES
from mapcount.units import format_address

if TYPE_CHECKING:
    from mapcount.survey.folio_map import Bins, FolioMap

LEVELS = ("PTE", "PMD", "both")


def data(found: FolioMap) -> dict[str, Any]:
    """Return the map as lists of integers and texts; the comment of js/folios.js says how they refer to each other."""
    snapshot, meta = found.snapshot, found.snapshot.meta
    used, vma_of_run = np.unique(snapshot.runs.vma_id[found.runs], return_inverse=True)
    return {
        "page_size": meta.page_size,
        "total": len(found.facts.pages),
        "kinds": [kind.name.lower() for kind in Kind],
        "states": STATES,
        "levels": LEVELS,
        "verdicts": [verdict.name.lower().replace("_", " ") for verdict in Consistency],
        "cgroups": snapshot.cgroups,
        "mms": _columns(pid=snapshot.mms.pid, comm=snapshot.mms.comm),
        "vmas": _vmas(found, used),
        "folios": _folios(found),
        "pairs": _columns(mm=found.pair_mm, pages=found.pair_pages),
        "runs": _runs(found, vma_of_run),
        "bins": _bins(found.bins),
    }


def _columns(**arrays: Any) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in arrays.items()}


def _folios(found: FolioMap) -> dict[str, list[Any]]:
    rows, folios, facts = found.rows, found.snapshot.folios, found.facts
    return _columns(
        id=rows,
        kind=folios.kind[rows],
        order=folios.order[rows],
        state=found.state,
        level=found.level,
        cgroup=np.maximum(folios.charge_cgroup[rows], 0),
        node=folios.node[rows],
        verdict=folios.consistency[rows],
        swapcache=folios.swapcache[rows].astype(np.uint8),
        mapped=facts.mapped_pages[rows],
        wasted=facts.wasted_pages[rows],
        mappings=facts.coverage.mappings_of_folios()[rows],
        unseen=facts.has_unseen[rows].astype(np.uint8),
        pairs=np.diff(found.pair_begin),
        runs=np.diff(found.run_begin),
    )


def _vmas(found: FolioMap, used: Any) -> dict[str, list[Any]]:
    """Return the VMAs that runs name; addresses as text, since a script's numbers end at 2^53."""
    vmas = found.snapshot.vmas.take(used)
    starts = [format_address(start) for start in vmas.start.tolist()]
    return {**_columns(mm=vmas.mm_id, perms=vmas.perms, path=vmas.path), "start": starts}


def _runs(found: FolioMap, vma: Any) -> dict[str, list[Any]]:
    runs, vmas = found.snapshot.runs.take(found.runs), found.snapshot.vmas
    page = (runs.address - vmas.start[runs.vma_id]) // found.snapshot.meta.page_size
    return _columns(vma=vma, page=page, first=runs.first_page, pages=runs.nr_pages, level=runs.level)


def _bins(bins: Bins) -> dict[str, list[Any]]:
    return _columns(
        kind=bins.kind, order=bins.order, state=bins.state, level=bins.level, mm=bins.mm, folios=bins.folios,
        mapped=bins.mapped_pages, wasted=bins.wasted_pages,
    )  # fmt: skip
