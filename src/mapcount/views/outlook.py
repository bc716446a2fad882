"""The question of 2026 in short: which numbers of a machine change if its kernel stops counting per page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.replay.histories import DEFAULT_HISTORY
from mapcount.schemes.eras import era_of
from mapcount.views.comparison import compare

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Metadata, Snapshot
    from mapcount.schemes.eras import Era

WITHOUT = "no-page-mapcount"


@dataclass(frozen=True)
class OutlookRow:
    """A number of /proc, summed over the machine, from the mappings seen."""

    name: str
    unit: str
    """`bytes`, `pages`, `folios` or `mappings`"""
    truth: int
    """from page tables alone"""
    now: int
    """as the kernel of the snapshot counts"""
    without: int
    """with CONFIG_NO_PAGE_MAPCOUNT"""


def outlook(snapshot: Snapshot) -> list[OutlookRow] | None:
    """
    Return the numbers now and without counts per page, after the usual past (replay/histories.py).

    None if there is nothing to count, if no design is known of that kernel, or if it has no counts per page already.
    """
    if snapshot.meta.tier == "no-pfn" or not len(snapshot.folios):
        return None
    try:
        now = era_of_snapshot(snapshot.meta).scheme
    except UsageError:
        return None
    if now == WITHOUT:
        return None
    found = compare(snapshot, numbers=[now, WITHOUT], answers=[], running=now, histories=[DEFAULT_HISTORY])
    return [OutlookRow(row.name, row.unit, row.truth, row.values[now], row.values[WITHOUT]) for row in found.numbers]


def era_of_snapshot(meta: Metadata) -> Era:
    """Return the era of the kernel that a snapshot is from; whether it counts per page was probed. Raises UsageError."""
    return era_of(meta.kernel_release, page_mapcount={"exact": True, "average": False}.get(meta.counts_are))
