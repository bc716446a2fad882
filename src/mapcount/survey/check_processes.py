"""Rss and Pss of each process beside the kernel's smaps_rollup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Consistency, Kind
from mapcount.survey.coverage import total_by
from mapcount.survey.facts import is_kind
from mapcount.survey.small import small_share_pages
from mapcount.survey.verdict import Band, judge

if TYPE_CHECKING:
    from mapcount.survey.facts import Facts
    from mapcount.survey.stats import Reading, Stats
    from mapcount.survey.types import Check, ProcessRow

_KIB = 1024
_PSS_SHIFT = 12
"""The kernel divides each page in units of 2^-12 byte (fs/proc/task_mmu.c) and drops the rest."""
_RSS_NOTE = "A process that goes on between the kernel's readings and ours makes it differ either way."
_PSS_NOTE = (
    "The kernel rounds down, so ours may be higher by 1 KiB; a process that goes on, and others that come or go and map "
    "the same files, make it differ either way."
)
_OWN_NOTE = "This is the capture itself: its memory comes and goes while it looks, its own last."
_AVERAGE_NOTE = "Without per-page counts the kernel's Pss is approximate by design (documented)."
_UNKNOWN_NOTE = "Mappings by processes that were not read are not known, so ours may be higher."


def process_checks(facts: Facts, stats: Stats, processes: list[ProcessRow]) -> list[Check]:
    """
    Return a check of Rss and one of Pss for every process whose smaps_rollup was read.

    Pss is compared in whole KiB, as the kernel prints it. The band is that of the two readings, wider on both sides by
    their difference and by the pages of folios that moved; for Pss also by what its pages of files would count for if
    each had one mapping less, where the readings of any process show that processes came or went.
    """
    snapshot, page = facts.snapshot, facts.snapshot.meta.page_size
    moved = ((snapshot.folios.consistency == Consistency.MOVED) & facts.in_rss)[snapshot.runs.folio_id]
    raced = (total_by(snapshot.runs.mm_id, snapshot.runs.nr_pages * moved, len(processes)) * page).tolist()
    pss_readings = {row.mm_id: stats.get("smaps_rollup", "Pss", f"mm {row.mm_id}") for row in processes}
    shared = _shared_slack(facts, pss_readings)
    checks = []
    for row in processes:
        who, slack = f"pid {row.pid} ({row.comm})", raced[row.mm_id]
        own = row.pid == snapshot.meta.capture_pid
        slack += snapshot.meta.peak_rss_bytes * own
        if rss := stats.get("smaps_rollup", "Rss", f"mm {row.mm_id}"):
            band = _band(row, rss, slack, slack)
            note = (_OWN_NOTE if own else _RSS_NOTE) + _incomplete(row)
            checks.append(judge(f"Rss of {who}", row.rss_bytes, rss, "bytes", band, note))
        if pss := pss_readings[row.mm_id]:
            rounding = _KIB + (row.rss_bytes // page >> _PSS_SHIFT)
            band = _band(row, pss, slack + shared[row.mm_id], slack + shared[row.mm_id] + rounding)
            note = _OWN_NOTE if own else _PSS_NOTE
            if snapshot.meta.counts_are == "average":
                band, note = Band(0, max(row.rss_bytes, band.high)), _AVERAGE_NOTE
            elif not facts.known[facts.in_rss].all():
                band, note = Band(band.low, max(row.rss_bytes, band.high)), _UNKNOWN_NOTE
            ours = row.pss_bytes // _KIB * _KIB
            checks.append(judge(f"Pss of {who}", ours, pss, "bytes", band, note + _incomplete(row)))
    return checks


def _shared_slack(facts: Facts, readings: dict[int, Reading | None]) -> list[int]:
    """Return by how many bytes one mapping less of each file page changes the Pss of each mm; 0 if all stood still."""
    if facts.snapshot.meta.exited == 0 and all(pss is None or pss.before == pss.after for pss in readings.values()):
        return [0] * len(readings)
    snapshot, runs, small = facts.snapshot, facts.snapshot.runs, facts.snapshot.small
    large = facts.coverage.share_pages(fewer=1) - facts.coverage.share_pages()
    large *= is_kind(snapshot.folios.kind, Kind.FILE)[runs.folio_id]
    little = (small_share_pages(snapshot, fewer=1) - small_share_pages(snapshot)) * is_kind(small.kind, Kind.FILE)
    more = np.bincount(runs.mm_id, weights=large, minlength=len(readings)) + np.bincount(
        snapshot.vmas.mm_id[small.vma_id], weights=little, minlength=len(readings)
    )
    return [int(pages * snapshot.meta.page_size) + 1 for pages in more.tolist()]


def _band(row: ProcessRow, reading: Reading, below: int, above: int) -> Band:
    change = reading.high - reading.low
    low = reading.low - change - below if row.complete else 0
    return Band(max(low, 0), reading.high + change + above)


def _incomplete(row: ProcessRow) -> str:
    return "" if row.complete else " Not all of it was read, so ours may be lower."
