"""Wasted bytes beside what the LRU lists say: anon memory that is on a list and that nothing maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.survey.coverage import total_by
from mapcount.survey.stats import Reading
from mapcount.survey.verdict import Band, judge

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Metadata
    from mapcount.survey.facts import Facts
    from mapcount.survey.stats import Stats
    from mapcount.survey.types import Check

_NOTHING = Reading(0, 0)
_BATCHED_PAGES = 2 * 31
"""
New pages that a CPU holds back from the lists: two batches, lru_add (mm/swap.c) and that of new mlocked pages (mm/mlock.c),
of PAGEVEC_SIZE folios: 31 since Linux 9cecde80aae0 ("mm: increase folio batch size") (v6.9), 15 before. Small ones: a large
folio is passed on at once, with what waits before it (folio_batch_add_and_move, mlock_new_folio).
"""
_UNFLUSHED_PAGES = 2 * 64
"""
What memory.stat may lack per CPU: a reader flushes only above MEMCG_CHARGE_BATCH (64) updates per CPU, and each CPU keeps
fewer than 64 more to itself (memcg_vmstats_needs_flush and memcg_rstat_updated, mm/memcontrol.c; Linux 11192d9c124d
("memcg: flush stats only if updated") (v5.16)). That bounds the sum of all updates, and so any difference of counters. It
lasts two seconds at most (FLUSH_TIME).
"""
_COUNTERS = 4
_NOTE = (
    "The kernel's number is lower by mlocked, unevictable and lazily freed (MADV_FREE) memory and by pages not yet "
    "on a list, higher by unmapped swap cache and by processes that were not read; and what the CPUs counted last may "
    "be missing from it."
)


def waste_checks(facts: Facts, stats: Stats) -> list[Check]:
    """
    Return a check of the machine's waste and one for each cgroup that has some, against the LRU identity.

    The identity is active_anon + inactive_anon - shmem - anon. It does not hold with CONFIG_NO_PAGE_MAPCOUNT, where
    anon counts whole folios: no check then. LazyFree is known from smaps_rollup only, where that was read.
    """
    if facts.snapshot.meta.counts_are == "average":
        return []
    lazy = sum(
        reading.high
        for subject in stats.subjects("smaps_rollup")
        if (reading := stats.get("smaps_rollup", "LazyFree", subject))
    )
    page = facts.snapshot.meta.page_size
    cpus = _cpus(facts.snapshot.meta)
    checks = _machine(facts, stats, int(facts.wasted_pages.sum()) * page, lazy)
    names = facts.snapshot.cgroups
    charged = np.maximum(facts.snapshot.folios.charge_cgroup, 0)
    wasted = (total_by(charged, facts.wasted_pages, len(names)) * page).tolist()
    for name in names[1:]:
        anon = stats.get("memcg", "anon", name)
        # v2 counts the cgroups below too, v1 only where it says total_.
        below = f"{name.rstrip('/')}/"
        ours = sum(
            size for of, size in zip(names, wasted, strict=True) if of == name or (anon and of.startswith(below))
        )
        if ours:
            checks += _cgroup(stats, name, ours, lazy, cpus * page)
    return checks


def _cpus(meta: Metadata) -> int:
    """Return how many CPUs there are; where that was not recorded one per GiB of memory stands for them."""
    return meta.cpus or max(meta.mem_total_bytes >> 30, 1)


def drift_pages(cpus: int, mem_total_bytes: int) -> int:
    """
    Return by how much the CPUs together keep a counter of a node from its total, at most.

    Source: calculate_normal_threshold, mm/vmstat.c. That of the fullest zone holds, which is at most all memory.
    """
    return cpus * min(125, 2 * cpus.bit_length() * (1 + (mem_total_bytes >> 27).bit_length()))


def _machine(facts: Facts, stats: Stats, ours: int, lazy: int) -> list[Check]:
    lists = [stats.get("meminfo", name) for name in ("Active(anon)", "Inactive(anon)", "Shmem", "AnonPages")]
    if None in lists:
        return []
    active, inactive, shmem, anon = (reading or _NOTHING for reading in lists)
    kernel = active + inactive - shmem - anon
    unevictable = stats.get("meminfo", "Unevictable") or _NOTHING
    swapcache = stats.get("meminfo", "SwapCached") or _NOTHING
    meta = facts.snapshot.meta
    nodes = int(facts.snapshot.folios.node.max(initial=0)) + 1
    drift = nodes * _COUNTERS * drift_pages(_cpus(meta), meta.mem_total_bytes) * meta.page_size
    batched = _cpus(meta) * _BATCHED_PAGES * meta.page_size
    band = Band(kernel.low - swapcache.high - drift, kernel.high + unevictable.high + lazy + batched + drift)
    return [judge("wasted (LRU lists of meminfo)", ours, kernel, "bytes", band, _NOTE)]


def _cgroup(stats: Stats, name: str, ours: int, lazy: int, page_per_cpu: int) -> list[Check]:
    anon = stats.get("memcg", "anon", name) or stats.get("memcg", "rss", name)
    lists = [stats.get("memcg", part, name) for part in ("active_anon", "inactive_anon", "shmem")]
    if anon is None or None in lists:
        return []
    active, inactive, shmem = (reading or _NOTHING for reading in lists)
    kernel = active + inactive - shmem - anon
    unevictable = stats.get("memcg", "unevictable", name) or _NOTHING
    swapcache = stats.get("memcg", "swapcached", name) or _NOTHING
    drift, batched = page_per_cpu * _UNFLUSHED_PAGES, page_per_cpu * _BATCHED_PAGES
    band = Band(kernel.low - swapcache.high - drift, kernel.high + unevictable.high + lazy + batched + drift)
    return [judge(f"wasted in {name} (its LRU lists)", ours, kernel, "bytes", band, _NOTE)]
