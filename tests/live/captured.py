"""What a snapshot says of a workload's areas: as a View, as counts of small pages, and as a smaller snapshot to survey."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from live.view import PAGE, Entry, View
from mapcount.mapping.schema import Kind, Level

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot

Areas = dict[str, list[list[int]]]


def mm_of(snapshot: Snapshot, pid: int) -> int:
    """Return the mm_id of a process; fails unless exactly one mm has it."""
    rows = [int(mm) for mm, pids in zip(snapshot.mms.mm_id, snapshot.mms.pids, strict=True) if str(pid) in pids.split()]
    assert len(rows) == 1, (pid, rows)
    return rows[0]


def _inside(addresses: np.ndarray, areas: list[list[int]]) -> np.ndarray:
    inside = np.zeros(len(addresses), dtype=bool)
    for start, end in areas:
        inside |= (addresses >= start) & (addresses < end)
    return inside


def large_view(snapshot: Snapshot, pids: dict[str, int], areas: Areas) -> View:
    """Return who maps which page of large folios inside the areas."""
    folios = {
        int(key): (Kind(kind).name.lower(), int(order))
        for key, kind, order in zip(snapshot.folios.folio_id, snapshot.folios.kind, snapshot.folios.order, strict=True)
    }
    pages: dict[str, dict[int, Entry]] = {}
    for name, pid in pids.items():
        entries = pages[name] = {}
        runs = snapshot.runs.take(snapshot.runs.mm_id == mm_of(snapshot, pid))
        runs = runs.take(_inside(runs.address, areas[name]))
        for address, folio, first, count, level in zip(
            runs.address, runs.folio_id, runs.first_page, runs.nr_pages, runs.level, strict=True
        ):
            for i in range(int(count)):
                number = int(address) // PAGE + i
                assert number not in entries, f"{number * PAGE:#x} is mapped by two runs"
                entries[number] = Entry(int(folio), int(first) + i, Level(level).name.lower())
    used = {entry.folio for entries in pages.values() for entry in entries.values()}
    return View({key: folios[key] for key in used}, pages)


def _vmas(snapshot: Snapshot, pids: dict[str, int], areas: Areas) -> dict[int, str]:
    """Return vma_id -> process of the VMAs inside the areas."""
    result: dict[int, str] = {}
    for name, pid in pids.items():
        mine = (snapshot.vmas.mm_id == mm_of(snapshot, pid)) & _inside(snapshot.vmas.start, areas[name])
        result |= {int(vma): name for vma in snapshot.vmas.vma_id[mine]}
    return result


def small_counts(snapshot: Snapshot, pids: dict[str, int], areas: Areas, *, with_mappings: bool = True) -> Counter:
    """Count small pages as `view.small_counts` does."""
    vmas = _vmas(snapshot, pids, areas)
    counts: Counter[tuple] = Counter()
    small = snapshot.small
    for vma, kind, mappings, mms, pages in zip(
        small.vma_id, small.kind, small.mappings, small.mms, small.pages, strict=True
    ):
        if int(vma) in vmas:
            name, word = vmas[int(vma)], Kind(kind).name.lower()
            counts[(name, word, int(mappings), int(mms)) if with_mappings else (name, word)] += int(pages)
    return counts


def not_present(snapshot: Snapshot, pids: dict[str, int], areas: Areas) -> Counter[int]:
    """Count entries that map nothing inside the areas, by SwapKind."""
    vmas = _vmas(snapshot, pids, areas)
    counts: Counter[int] = Counter()
    for vma, kind, pages in zip(snapshot.swap.vma_id, snapshot.swap.kind, snapshot.swap.pages, strict=True):
        if int(vma) in vmas:
            counts[int(kind)] += int(pages)
    return counts


def only(snapshot: Snapshot, pids: dict[str, int], areas: Areas) -> Snapshot:
    """Return the snapshot with no large folios but those that the areas map, and no small pages outside them."""
    ids = np.array(sorted(large_view(snapshot, pids, areas).folios), dtype=np.uint32)
    tables = {}
    for name in ("runs", "unseen", "observed_counts"):
        table = getattr(snapshot, name)
        table = table.take(np.isin(table.folio_id, ids))
        tables[name] = replace(table, folio_id=np.searchsorted(ids, table.folio_id).astype(np.uint32))
    folios = replace(snapshot.folios.take(ids), folio_id=np.arange(len(ids), dtype=np.uint32))
    vmas = np.array(list(_vmas(snapshot, pids, areas)), dtype=np.uint32)
    small = snapshot.small.take(np.isin(snapshot.small.vma_id, vmas))
    return replace(snapshot, folios=folios, small=small, **tables)


def broken_rules(snapshot: Snapshot) -> list[str]:
    """Say which rules of the tables a snapshot breaks, whatever it is a snapshot of."""
    runs, folios = snapshot.runs, snapshot.folios
    found = []
    ends = runs.first_page.astype(np.int64) + runs.nr_pages
    if np.any(ends > 1 << folios.order[runs.folio_id].astype(np.int64)):
        found.append("a run goes beyond its folio")
    hugetlb = folios.kind[runs.folio_id] == Kind.HUGETLB
    last = runs.address + (runs.nr_pages.astype(np.uint64) - np.uint64(1)) * np.uint64(PAGE)
    if np.any(((runs.address >> np.uint64(21)) != (last >> np.uint64(21))) & ~hugetlb):
        found.append("a run crosses a page table")
    order = np.lexsort((runs.address, runs.mm_id))
    same = runs.mm_id[order][1:] == runs.mm_id[order][:-1]
    if np.any(same & (runs.address[order][1:] <= last[order][:-1])):
        found.append("two runs of one mm overlap")
    if np.any((runs.address < snapshot.vmas.start[runs.vma_id]) | (last >= snapshot.vmas.end[runs.vma_id])):
        found.append("a run lies outside its VMA")
    if np.any(snapshot.vmas.mm_id[runs.vma_id] != runs.mm_id):
        found.append("a run lies in the VMA of another mm")
    if not np.array_equal(folios.folio_id, np.arange(len(folios))):
        found.append("folio_id is not the row number")
    if sum(snapshot.meta.verdicts.values()) != len(folios):
        found.append(f"verdicts {snapshot.meta.verdicts} are not about {len(folios)} folios")
    return found
