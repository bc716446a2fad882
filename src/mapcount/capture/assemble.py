"""From what was read to the tables of a Snapshot. PFNs end here: folios get ids in random order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mapcount.capture.agree import BATCH_PAGES
from mapcount.capture.frame_array import places_in, take_blocks, whole_blocks
from mapcount.capture.gathered import Evidence, MmCapture, runs_to_keep, settled_runs, vma_of
from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SWAPCACHE, TAIL
from mapcount.capture.pagemap import as_index, batches, merge_ranges, spread
from mapcount.capture.runs import PAGE_SHIFT, PMD_ORDER, RawBits, RawRuns
from mapcount.capture.sets import distinct, is_in
from mapcount.capture.small import small_table
from mapcount.mapping import schema as tables
from mapcount.mapping.schema import Consistency, Kind, Level
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from mapcount.capture.physical import PhysicalPages
    from mapcount.mapping.schema import I64, U8, U32, U64, Bools

_Stretches: TypeAlias = "tuple[U32, U32, U32, U32]"
"""Folio id, first page, pages and value of stretches of pages."""


@record(frozen=True)
class _FolioIndex:
    """The folios that become rows, in PFN order, and the id of each."""

    heads: U64
    orders: U8
    ids: U32


def assemble(
    mms: list[MmCapture], evidence: Evidence, *, keep_pfns: bool, keep_small: bool = False
) -> tuple[dict[str, tables.Table], list[str]]:
    """
    Return the truth tables and observed_counts and observed_bits by name, and the names of the cgroup codes.

    With `keep_small` order-0 folios are rows of folios, runs, unseen and observed_counts too; `small` is as it is without.
    """
    base = 0
    for mm in mms:
        mm.vma_base = base
        base += len(mm.vmas)
    joined = [settled_runs(mm, evidence.physical) for mm in mms]
    kept = [runs_to_keep(runs, evidence.physical, keep_small=keep_small) for runs in joined]
    index = _folio_index(evidence.physical, kept, keep_small=keep_small)
    counts, unseen = _page_tables(index, evidence)
    result: dict[str, tables.Table] = {
        "mms": _mms_table(mms),
        "vmas": _vmas_table(mms),
        "folios": _folios_table(index, evidence, unseen, keep_pfns=keep_pfns),
        "runs": _runs_table(mms, kept, index, evidence.physical),
        "swap": _swap_table(mms),
        "unseen": unseen,
        "observed_counts": counts,
        "observed_bits": _bits_table(mms),
        "small": small_table(mms, joined, evidence),
    }
    names = [evidence.cgroup_name(inode) for inode in evidence.physical.cgroup_inodes]
    return result, names


def _folio_index(physical: PhysicalPages, kept: list[RawRuns], *, keep_small: bool) -> _FolioIndex:
    heads = distinct(*(physical.heads_of(runs.pfn) for runs in kept))
    heads = heads[physical.classes[heads] & ROLE_MASK != TAIL]
    orders = physical.orders_of(heads)
    if not keep_small:
        # A head without a tail: its folio was torn while it was read.
        heads, orders = heads[orders > 0], orders[orders > 0]
    # The ranks of random numbers: a random order without numpy.random, whose import takes longer than a small capture.
    ids = np.argsort(np.frombuffer(os.urandom(8 * len(heads)), np.uint64)).astype(np.uint32)
    return _FolioIndex(heads, orders, ids)


def _locate(index: _FolioIndex, pfns: U64) -> tuple[U32, U32, Bools]:
    """Return the row in the index, the page within the folio, and whether there is such a folio, of each frame."""
    row = np.searchsorted(index.heads, pfns, side="right") - 1
    page = pfns - index.heads[row] if len(index.heads) else pfns
    inside: Bools = (row >= 0) & (page < _sizes(index.orders)[row]) if len(index.heads) else row >= 0
    return row.astype(np.uint32), page.astype(np.uint32), inside


def _mms_table(mms: list[MmCapture]) -> tables.Mms:
    leaders = [mm.space.leader for mm in mms]
    return tables.Mms(
        mm_id=np.arange(len(mms), dtype=np.uint32),
        pid=np.array([p.pid for p in leaders], np.int32),
        pids=_texts(" ".join(str(p.pid) for p in mm.space.processes) for mm in mms),
        comm=_texts(p.comm for p in leaders),
        task_cgroup=_texts(mm.task_cgroup for mm in mms),
        start_time=np.array([p.start_time for p in leaders], np.uint64),
        complete=np.array([mm.complete for mm in mms], np.bool_),
    )


def _texts(words: Iterable[str]) -> tables.Texts:
    listed = list(words)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def _vmas_table(mms: list[MmCapture]) -> tables.Vmas:
    total = sum(len(mm.vmas) for mm in mms)
    sizes = [len(mm.vmas) for mm in mms]
    return tables.Vmas(
        vma_id=np.arange(total, dtype=np.uint32),
        mm_id=np.repeat(np.arange(len(mms), dtype=np.uint32), sizes),
        start=_joined([mm.vmas.start for mm in mms], np.uint64),
        end=_joined([mm.vmas.end for mm in mms], np.uint64),
        perms=_texts(p for mm in mms for p in mm.vmas.perms),
        offset=np.array([o for mm in mms for o in mm.vmas.offset], np.uint64),
        dev=_texts(d for mm in mms for d in mm.vmas.dev),
        inode=np.array([i for mm in mms for i in mm.vmas.inode], np.uint64),
        path=_texts(p for mm in mms for p in mm.vmas.path),
    )


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _folios_table(index: _FolioIndex, evidence: Evidence, unseen: tables.Unseen, *, keep_pfns: bool) -> tables.Folios:
    physical = evidence.physical
    classes = physical.classes[index.heads]
    kind = (classes & KIND_MASK).astype(np.uint8)
    comparable = (classes & READ != 0) & (kind < Kind.ZERO) & evidence.counts_exact & physical.has_counts
    verdict = np.where(comparable, Consistency.CHECKED, Consistency.UNCHECKED).astype(np.uint8)
    has_unseen = np.zeros(len(index.ids), np.bool_)
    has_unseen[unseen.folio_id] = True
    verdict[has_unseen[index.ids]] = Consistency.UNSEEN_MAPPER
    verdict[is_in(index.heads, distinct(physical.heads_of(evidence.differs.over)))] = Consistency.MOVED
    folios = tables.Folios(
        folio_id=index.ids,
        order=index.orders,
        kind=kind,
        charge_cgroup=physical.cgroups[index.heads].astype(np.int32),
        node=evidence.nodes.of(index.heads),
        swapcache=classes & SWAPCACHE != 0,
        consistency=verdict,
        pfn=index.heads if keep_pfns else None,
    )
    by_id = np.empty(len(index.ids), np.int64)
    by_id[index.ids] = np.arange(len(by_id))
    result: tables.Folios = folios.take(by_id)
    return result


def _runs_table(mms: list[MmCapture], kept: list[RawRuns], index: _FolioIndex, physical: PhysicalPages) -> tables.Runs:
    parts = []
    for mm_id, (mm, all_runs) in enumerate(zip(mms, kept, strict=True)):
        row, first_page, inside = _locate(index, all_runs.pfn)
        runs = all_runs
        if not inside.all():  # a tail that has no head: its folio was torn while it was read
            runs, row, first_page = runs.take(inside), row[inside], first_page[inside]
        order, kind = index.orders[row], physical.classes[index.heads[row]] & KIND_MASK
        level = runs.level.copy()
        level[(level == Level.PMD) & (kind == Kind.HUGETLB) & (order >= 2 * PMD_ORDER)] = Level.PUD
        parts.append(
            tables.Runs(
                mm_id=np.full(len(runs), mm_id, np.uint32),
                vma_id=vma_of(mm, runs.page),
                address=runs.page << np.uint64(PAGE_SHIFT),
                folio_id=index.ids[row],
                first_page=first_page,
                nr_pages=runs.nr_pages,
                level=level,
            )
        )
    names = tables.Runs.__dataclass_fields__
    if not parts:
        empty: tables.Runs = tables.Runs.empty()
        return empty
    return tables.Runs(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _swap_table(mms: list[MmCapture]) -> tables.Swap:
    rows = [(mm.vma_base + vma, kind, pages) for mm in mms for (vma, kind), pages in sorted(mm.pages.swap.items())]
    return tables.Swap(
        vma_id=np.array([r[0] for r in rows], np.uint32),
        kind=np.array([r[1] for r in rows], np.uint8),
        pages=np.array([r[2] for r in rows], np.uint64),
    )


def _bits_table(mms: list[MmCapture]) -> tables.ObservedBits:
    joined = [RawBits.join(mm.pages.bits) for mm in mms]
    return tables.ObservedBits(
        mm_id=np.repeat(np.arange(len(mms), dtype=np.uint32), [len(bits.page) for bits in joined]),
        address=_joined([bits.page << np.uint64(PAGE_SHIFT) for bits in joined], np.uint64),
        nr_pages=_joined([bits.nr_pages for bits in joined], np.uint32),
        mapped_once=_joined([bits.mapped_once for bits in joined], np.bool_),
    )


def _page_tables(index: _FolioIndex, evidence: Evidence) -> tuple[tables.ObservedCounts, tables.Unseen]:
    """Go over the frames in groups: counts run-length, and mappings that the kernel counts beyond ours."""
    counted: list[_Stretches] = []
    unseen: list[_Stretches] = []
    if evidence.physical.has_counts:
        sizes = _sizes(index.orders)
        for first, last in batches(sizes, BATCH_PAGES):
            _batch_tables(index, evidence, slice(first, last), sizes[first:last], counted, unseen)
    return tables.ObservedCounts(*_sorted(counted)), tables.Unseen(*_sorted(unseen))


def _sorted(parts: list[_Stretches]) -> list[U32]:
    """Order rows by folio id, then page: PFN order must not show. Those of a folio follow one another, by page, already."""
    columns = [_joined([part[i] for part in parts], np.uint32) for i in range(4)]
    ids = columns[0]
    first = np.flatnonzero(np.diff(ids, prepend=ids[:1] + np.uint32(1)))
    rows = np.zeros(int(ids.max(initial=0)) + 1, np.int64)
    rows[ids[first]] = np.diff(first, append=len(ids))
    begin = np.zeros(len(rows), np.int64)
    begin[ids[first]] = first
    have = np.flatnonzero(rows)
    order = as_index(spread(begin[have].view(np.uint64), rows[have].view(np.uint64)))
    return [column[order] for column in columns]


def _sizes(orders: U8) -> U64:
    return np.left_shift(np.uint64(1), orders.astype(np.uint64))


def _batch_tables(
    index: _FolioIndex,
    evidence: Evidence,
    rows: slice,
    sizes: U64,
    counted: list[_Stretches],
    unseen: list[_Stretches],
) -> None:
    physical, heads = evidence.physical, index.heads[rows]
    frames = whole_blocks(*merge_ranges(heads, heads + sizes, 0))
    begins = places_in(*frames, heads)
    ends = begins + as_index(sizes)
    known = take_blocks(physical.classes, *frames) & np.uint8(READ) != 0
    counts = take_blocks(physical.counts, *frames)
    counted.append(_stretches(index.ids[rows], begins, ends, known, counts))
    if evidence.counts_exact and evidence.differs.nr_under:
        lacking = counts.view(np.int32) - evidence.mappings.of_blocks(*frames)
        known &= lacking > 0
        for row in np.flatnonzero(physical.classes[as_index(heads)] & KIND_MASK >= Kind.ZERO).tolist():
            known[begins[row] : ends[row]] = False  # zero pages and device memory: nobody counts them
        if known.any():
            unseen.append(_stretches(index.ids[rows], begins, ends, known, lacking.view(np.uint32)))


def _stretches(ids: U32, begins: I64, ends: I64, wanted: Bools, values: U32) -> _Stretches:
    """
    Return (folio id, first page, pages, value) of the maximal stretches of equal value within a folio, where wanted.

    The folios are `[begin, end)` of the elements, in order; between them may be others.
    """
    changes = np.empty(len(values) + 1, np.bool_)
    np.not_equal(values[1:], values[:-1], out=changes[1:-1])
    if not wanted.all():
        changes[1:-1] |= wanted[1:] != wanted[:-1]
    changes[begins] = changes[ends] = True
    changes[0] = changes[-1] = True
    at = np.flatnonzero(changes)
    at, lengths = at[:-1], np.diff(at).astype(np.uint32)
    row = np.maximum(np.searchsorted(begins, at, side="right") - 1, 0)
    keep = wanted[at] & (at >= begins[row]) & (at < ends[row])
    at, row = at[keep], row[keep]
    return ids[row], (at - begins[row]).astype(np.uint32), lengths[keep], values[at]
