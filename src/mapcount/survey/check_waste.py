"""Wasted bytes beside what the LRU lists say: anon memory that is on a list and that nothing maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.survey.coverage import total_by
from mapcount.survey.stats import Reading
from mapcount.survey.verdict import Band, judge

if TYPE_CHECKING:
    from mapcount.survey.facts import Facts
    from mapcount.survey.stats import Stats
    from mapcount.survey.types import Check

_NOTHING = Reading(0, 0)
_BATCHED = 2048
"""
Each CPU holds up to 31 new pages back from the lists (PAGEVEC_SIZE, mm/swap.c); how many CPUs there are is not recorded, so
a share of MemTotal stands for them: 1/2048, four CPUs per GiB.
"""
_NOTE = (
    "The kernel's number is lower by mlocked, unevictable and lazily freed (MADV_FREE) memory and by pages not yet "
    "on a list, higher by unmapped swap cache and by processes that were not read."
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
    checks = _machine(stats, int(facts.wasted_pages.sum()) * page, lazy)
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
            checks += _cgroup(stats, name, ours, lazy)
    return checks


def _machine(stats: Stats, ours: int, lazy: int) -> list[Check]:
    lists = [stats.get("meminfo", name) for name in ("Active(anon)", "Inactive(anon)", "Shmem", "AnonPages")]
    if None in lists:
        return []
    active, inactive, shmem, anon = (reading or _NOTHING for reading in lists)
    kernel = active + inactive - shmem - anon
    unevictable = stats.get("meminfo", "Unevictable") or _NOTHING
    swapcache = stats.get("meminfo", "SwapCached") or _NOTHING
    total = stats.get("meminfo", "MemTotal") or _NOTHING
    band = Band(kernel.low - swapcache.high, kernel.high + unevictable.high + lazy + total.high // _BATCHED)
    return [judge("wasted (LRU lists of meminfo)", ours, kernel, "bytes", band, _NOTE)]


def _cgroup(stats: Stats, name: str, ours: int, lazy: int) -> list[Check]:
    anon = stats.get("memcg", "anon", name) or stats.get("memcg", "rss", name)
    lists = [stats.get("memcg", part, name) for part in ("active_anon", "inactive_anon", "shmem")]
    if anon is None or None in lists:
        return []
    active, inactive, shmem = (reading or _NOTHING for reading in lists)
    kernel = active + inactive - shmem - anon
    unevictable = stats.get("memcg", "unevictable", name) or _NOTHING
    swapcache = stats.get("memcg", "swapcached", name) or _NOTHING
    band = Band(kernel.low - swapcache.high, kernel.high + unevictable.high + lazy)
    return [judge(f"wasted in {name} (its LRU lists)", ours, kernel, "bytes", band, _NOTE)]
