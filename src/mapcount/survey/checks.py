"""Self-checks: our numbers beside the kernel's own, and in which direction they may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Consistency
from mapcount.survey.check_processes import process_checks
from mapcount.survey.check_waste import waste_checks
from mapcount.survey.facts import saw_everything
from mapcount.survey.stats import Stats, read_stats
from mapcount.survey.verdict import Band, judge

if TYPE_CHECKING:
    from mapcount.survey.facts import Facts
    from mapcount.survey.types import Check, ProcessRow, SizeRow

_KIB = 1024


def check_rows(facts: Facts, sizes: list[SizeRow], processes: list[ProcessRow]) -> list[Check]:
    """
    Return every check that applies: of the machine if all processes were asked for, of kpagecount, of each process.

    `equal`: both readings of the kernel and ours are one number. `bounded`: within the band of the two readings and the
    terms that the note names, or off in the direction that the note names. `unexplained`: neither.
    """
    if facts.snapshot.meta.tier != "pfn":
        return []
    stats = read_stats(facts.snapshot)
    machine: list[Check] = []
    if facts.snapshot.meta.scope == "all":
        machine = _folio_checks(facts, stats, sizes) + _pmd_checks(facts, stats, sizes) + waste_checks(facts, stats)
    return machine + _count_checks(facts) + process_checks(facts, stats, processes)


def _folio_checks(facts: Facts, stats: Stats, sizes: list[SizeRow]) -> list[Check]:
    """Compare the folios of each size with nr_anon and nr_anon_partially_mapped (Linux 6.12, transhuge.rst)."""
    page, order = facts.snapshot.meta.page_size, facts.snapshot.folios.order
    moved = facts.anon & (facts.snapshot.folios.consistency == Consistency.MOVED)
    by_order = {row.order: row for row in sizes if row.kind == "anon"}
    swap = stats.get("meminfo", "SwapTotal")
    unflagged = facts.snapshot.meta.counts_are == "average" or (swap is not None and swap.high > 0)
    checks = []
    for size in stats.subjects("mthp"):
        k = (int(size.removesuffix("kB")) * _KIB // page).bit_length() - 1
        row, raced = by_order.get(k), int((moved & (order == k)).sum())
        if folios := stats.get("mthp", "nr_anon", size):
            checks.append(
                judge(
                    f"anon folios of {size}",
                    row.folios if row else 0,
                    folios,
                    "folios",
                    Band(0, folios.high + raced),
                    "The kernel counts a folio until it is freed, those that nothing maps and those of unseen "
                    "processes too, so its number may be higher.",
                )
            )
        if folios := stats.get("mthp", "nr_anon_partially_mapped", size):
            ours = row.partially_mapped if row else 0
            checks.append(
                judge(
                    f"partially mapped anon folios of {size}",
                    ours,
                    folios,
                    "folios",
                    Band(0, max(ours, folios.high) if unflagged else folios.high + raced),
                    "The kernel's flag stays until the folio is split or freed, so its number may be higher; it is "
                    "lower if folios were never flagged, as happens with swap and with CONFIG_NO_PAGE_MAPCOUNT.",
                )
            )
    return checks


def _pmd_checks(facts: Facts, stats: Stats, sizes: list[SizeRow]) -> list[Check]:
    """Compare folios mapped by a PMD with meminfo; NR_ANON_THPS and its like count a folio once (mm/rmap.c)."""
    raced = facts.snapshot.folios.consistency == Consistency.MOVED
    checks = []
    for kind, name in (("anon", "AnonHugePages"), ("shmem", "ShmemPmdMapped"), ("file", "FilePmdMapped")):
        reading = stats.get("meminfo", name)
        if reading is None:
            continue
        slack = int(facts.pages[raced & facts.by_pmd].sum()) * facts.snapshot.meta.page_size
        low = reading.low - slack if saw_everything(facts.snapshot) else 0
        checks.append(
            judge(
                f"PMD-mapped {kind} ({name})",
                sum(row.pmd_mapped_bytes for row in sizes if row.kind == kind),
                reading,
                "bytes",
                Band(low, reading.high + slack),
                "Processes that could not be read make the kernel's number higher; folios that moved make it differ.",
            )
        )
    return checks


def _count_checks(facts: Facts) -> list[Check]:
    """Compare the mappings found with kpagecount, over the folios all of whose pages were counted."""
    snapshot = facts.snapshot
    counts, runs, unseen, folios = snapshot.observed_counts, snapshot.runs, snapshot.unseen, len(facts.pages)
    if snapshot.meta.counts_are != "exact" or len(counts) == 0:
        return []
    # kpagecount of the zero page and of device memory is 0; a hugetlb table that is shared counts once for all its mms.
    chosen = facts.in_rss & (np.bincount(counts.folio_id, weights=counts.nr_pages, minlength=folios) == facts.pages)
    said = np.bincount(counts.folio_id, weights=counts.nr_pages * counts.count.astype(np.int64), minlength=folios)
    found = np.bincount(runs.folio_id, weights=runs.nr_pages, minlength=folios)
    hidden = np.bincount(unseen.folio_id, weights=unseen.nr_pages * unseen.mappings.astype(np.int64), minlength=folios)
    moved = chosen & (snapshot.folios.consistency == Consistency.MOVED)
    slack = int(np.abs(said - found - hidden)[moved].sum())
    kernel, ours = int(said[chosen].sum()), int(found[chosen].sum())
    low = kernel - int(hidden[chosen].sum()) - slack
    note = "Mappings by processes that were not read make kpagecount higher; folios that moved make it differ."
    return [judge("mappings of large folios (kpagecount)", ours, kernel, "mappings", Band(low, kernel + slack), note)]
