"""Rows by owner: processes, charge cgroups, programs and VMAs.

A process's partial view (it maps only a part of a folio that is mapped whole, by others too) is told apart from a
partially mapped folio (some page is mapped by nobody). hugetlb, zero pages and device memory are in none of the sums
but `hugetlb_bytes`. The waste of a folio is divided by the captured mms that map it (for VMAs: by the VMAs), rounded
down; a cgroup is charged for the whole folio.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mapcount.mapping.schema import Kind, Level, SwapKind
from mapcount.survey.coverage import total_by
from mapcount.survey.facts import is_kind
from mapcount.survey.pairs import Pairs, pair_up
from mapcount.survey.small import join_small, small_in_rss, small_share_pages
from mapcount.survey.sorting import order_of, starts_of
from mapcount.survey.types import OwnerRow, ProcessRow, VmaRow

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools
    from mapcount.survey.facts import Facts


def process_rows(facts: Facts) -> list[ProcessRow]:
    """Return one row per captured address space, in the order of `mms`."""
    snapshot, page, count = facts.snapshot, facts.snapshot.meta.page_size, len(facts.snapshot.mms)
    mms, runs, small, swap = snapshot.mms, snapshot.runs, snapshot.small, snapshot.swap
    of_run, of_small = runs.mm_id.astype(np.int64), snapshot.vmas.mm_id[small.vma_id].astype(np.int64)
    in_rss, counted = facts.in_rss[runs.folio_id], small_in_rss(snapshot)
    hugetlb = is_kind(snapshot.folios.kind, Kind.HUGETLB)[runs.folio_id]

    def large(pages: npt.NDArray[Any]) -> I64:
        return total_by(of_run, pages, count)

    def little(pages: npt.NDArray[Any]) -> I64:
        return total_by(of_small, pages, count)

    pages = runs.nr_pages * in_rss
    rss, anon = large(pages), large(runs.nr_pages * facts.anon[runs.folio_id])
    once = large(facts.coverage.once_pages() * in_rss) + little(small.pages * (counted & (small.mappings == 1)))
    share = np.bincount(of_run, weights=facts.coverage.share_pages() * in_rss, minlength=count) + np.bincount(
        of_small, weights=small_share_pages(snapshot) * counted, minlength=count
    )
    swapped = total_by(snapshot.vmas.mm_id[swap.vma_id], swap.pages * (swap.kind == SwapKind.SWAP), count)
    huge = large(runs.nr_pages * hugetlb) + little(small.pages * is_kind(small.kind, Kind.HUGETLB))
    folios = _folio_sums(facts, facts.pairs, count)
    columns = {
        "rss_bytes": (rss + little(small.pages * counted)) * page,
        "pss_bytes": np.rint(share * page).astype(np.int64),
        "uss_bytes": once * page,
        "swap_bytes": swapped * page,
        "hugetlb_bytes": huge * page,
        "anon_large_bytes": anon * page,
        "file_large_bytes": (rss - anon) * page,
        "pmd_mapped_bytes": large(pages * (runs.level != Level.PTE)) * page,
        "large_folios": folios["large_folios"],
        "partially_mapped": folios["partially_mapped"],
        "partial_view": folios["partial_view"],
        "wasted_bytes": folios["wasted_bytes"],
    }
    values = {name: column.tolist() for name, column in columns.items()}
    return [
        ProcessRow(
            mm_id=i,
            pid=int(mms.pid[i]),
            pids=mms.pids[i],
            comm=mms.comm[i],
            cgroup=mms.task_cgroup[i],
            complete=bool(mms.complete[i]),
            **{name: column[i] for name, column in values.items()},
        )
        for i in range(count)
    ]


def cgroup_rows(facts: Facts) -> list[OwnerRow]:
    """Return one row per memory cgroup that something captured is charged to; the empty name is `none or unknown`."""
    snapshot, page, count = facts.snapshot, facts.snapshot.meta.page_size, len(facts.snapshot.cgroups)
    small = join_small(snapshot)
    charged = np.maximum(snapshot.folios.charge_cgroup, 0)
    in_rss = np.flatnonzero(facts.in_rss & (facts.mapped_pages > 0))
    small_rss = is_kind(small.kind.astype(np.uint8), Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM)
    mapped = total_by(charged[in_rss], facts.mapped_pages[in_rss], count)
    mapped += total_by(np.maximum(small.cgroup, 0), small.pages * small_rss, count)

    pairs = facts.pairs
    mapping = facts.in_rss[pairs.folio]
    rows = snapshot.small.take(small_in_rss(snapshot))
    cgroup = np.concatenate((charged[pairs.folio[mapping]], np.maximum(rows.charge_cgroup, 0))).astype(np.int64)
    users = cgroup * len(snapshot.mms) + np.concatenate((pairs.owner[mapping], snapshot.vmas.mm_id[rows.vma_id]))
    users = users[order_of(users)]
    mms = np.bincount(users[starts_of(users)] // max(len(snapshot.mms), 1), minlength=count)

    # Each folio has one charge cgroup: as pairs of cgroup and folio nothing needs to be joined.
    whole = Pairs(charged[in_rss].astype(np.int64), in_rss, facts.mapped_pages[in_rss], facts.by_pmd[in_rss])
    sums = _folio_sums(facts, whole, count)
    sums["wasted_bytes"] = total_by(whole.owner, facts.wasted_pages[in_rss], count) * page
    return _owner_rows(snapshot.cgroups, mms, mapped * page, sums)


def program_rows(facts: Facts) -> list[OwnerRow]:
    """
    Return one row per name of process.

    Large folios are joined over its processes. Which small pages they share is not recorded: each group of small pages
    counts as often as it must at least be there, given the mappings found of each page and what each process maps.
    """
    snapshot, page = facts.snapshot, facts.snapshot.meta.page_size
    names, program = np.unique(snapshot.mms.comm.astype(str), return_inverse=True)
    count = len(names)
    pairs = facts.pairs
    if (np.diff(program) <= 0).any():  # else each process is a program of its own, in the same order
        pairs = pair_up(program[snapshot.runs.mm_id], snapshot.runs, facts.coverage.base)
    in_rss = facts.in_rss[pairs.folio]
    mapped = total_by(pairs.owner[in_rss], pairs.pages[in_rss], count) + _small_of_programs(facts, program, count)
    sums = _folio_sums(facts, pairs, count)
    share = _waste_share(facts, facts.pairs)
    sums["wasted_bytes"] = total_by(program[facts.pairs.owner], share, count)
    return _owner_rows(tuple(names.tolist()), np.bincount(program, minlength=count), mapped * page, sums)


def vma_rows(facts: Facts, top: int | None = None) -> list[VmaRow]:
    """Return the VMAs that map something, most waste first, then largest Rss; at most `top` of them."""
    snapshot, page, count = facts.snapshot, facts.snapshot.meta.page_size, len(facts.snapshot.vmas)
    vmas, runs, small = snapshot.vmas, snapshot.runs, snapshot.small
    in_rss, anon = facts.in_rss[runs.folio_id], facts.anon[runs.folio_id]
    pairs = pair_up(runs.vma_id.astype(np.int64), runs, facts.coverage.base)
    sums = _folio_sums(facts, pairs, count)

    def size(chosen: Bools) -> I64:
        return total_by(runs.vma_id, runs.nr_pages * (in_rss & chosen), count) * page

    everything = np.ones(len(runs), np.bool_)
    columns = {
        "rss_bytes": size(everything) + total_by(small.vma_id, small.pages * small_in_rss(snapshot), count) * page,
        "anon_large_bytes": size(anon),
        "file_large_bytes": size(~anon),
        "pmd_mapped_bytes": size(runs.level != Level.PTE),
        "large_folios": sums["large_folios"],
        "partially_mapped": sums["partially_mapped"],
        "partial_view": sums["partial_view"],
        "wasted_bytes": sums["wasted_bytes"],
    }
    ranked = np.lexsort((-columns["rss_bytes"], -columns["wasted_bytes"]))
    ranked = ranked[columns["rss_bytes"][ranked] > 0][:top]
    return [
        VmaRow(
            vma_id=i,
            pid=int(snapshot.mms.pid[vmas.mm_id[i]]),
            comm=snapshot.mms.comm[vmas.mm_id[i]],
            start=int(vmas.start[i]),
            end=int(vmas.end[i]),
            perms=vmas.perms[i],
            path=vmas.path[i],
            **{name: int(column[i]) for name, column in columns.items()},
        )
        for i in ranked.tolist()
    ]


def _waste_share(facts: Facts, pairs: Pairs) -> I64:
    """Return, for each pair, the waste of the folio in bytes divided by the owners that map it, rounded down."""
    owners = np.bincount(pairs.folio, minlength=len(facts.pages))
    share: I64 = (facts.wasted_pages * facts.snapshot.meta.page_size // np.maximum(owners, 1))[pairs.folio]
    return share


def _folio_sums(facts: Facts, pairs: Pairs, count: int) -> dict[str, I64]:
    """Add up, by owner, what each folio that it maps counts for; each folio once."""
    page, pages = facts.snapshot.meta.page_size, facts.pages[pairs.folio]
    in_rss = facts.in_rss[pairs.folio]
    whole_anon = (facts.anon & (facts.mapped_pages == facts.pages))[pairs.folio]
    mapped = total_by(pairs.owner, pairs.pages * in_rss, count)
    anon = total_by(pairs.owner, pairs.pages * facts.anon[pairs.folio], count)
    return {
        "anon_large_bytes": anon * page,
        "file_large_bytes": (mapped - anon) * page,
        "pmd_mapped_bytes": total_by(pairs.owner, pages * (in_rss & pairs.pmd), count) * page,
        "large_folios": total_by(pairs.owner, in_rss, count),
        "partially_mapped": total_by(pairs.owner, (facts.partial & facts.anon)[pairs.folio], count),
        "partial_view": total_by(pairs.owner, whole_anon & (pairs.pages < pages), count),
        "wasted_bytes": total_by(pairs.owner, _waste_share(facts, pairs), count),
    }


def _owner_rows(names: tuple[str, ...], mms: I64, mapped_bytes: I64, sums: dict[str, I64]) -> list[OwnerRow]:
    """Make the rows of all owners that map something, most waste first, then most mapped."""
    rows = [
        OwnerRow(
            name=names[i],
            mms=int(mms[i]),
            mapped_bytes=int(mapped_bytes[i]),
            **{name: int(column[i]) for name, column in sums.items() if name != "partial_view"},
        )
        for i in np.flatnonzero(mapped_bytes).tolist()
    ]
    return sorted(rows, key=lambda row: (-row.wasted_bytes, -row.mapped_bytes, row.name))


def _small_of_programs(facts: Facts, program: I64, count: int) -> I64:
    """Return the small pages that each program must at least have mapped."""
    snapshot = facts.snapshot
    joined, counted = join_small(snapshot), small_in_rss(snapshot)
    mm_of_row = snapshot.vmas.mm_id[snapshot.small.vma_id]
    by_program: dict[tuple[int, int], int] = defaultdict(int)
    by_mm: dict[tuple[int, int], int] = defaultdict(int)
    rows = zip(
        joined.group[counted].tolist(), mm_of_row[counted].tolist(), snapshot.small.pages[counted].tolist(), strict=True
    )
    for group, mm, pages in rows:
        by_program[int(program[mm]), group] += pages
        by_mm[mm, group] += pages
    most = dict.fromkeys(by_program, 0)
    for (mm, group), pages in by_mm.items():
        key = int(program[mm]), group
        most[key] = max(most[key], pages)
    total = np.zeros(count, np.int64)
    for (owner, group), pages in by_program.items():
        least = max(-(-pages // int(joined.found[group])), most[owner, group])
        total[owner] += min(least, int(joined.pages[group]))
    return total
