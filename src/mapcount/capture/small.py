"""Order-0 folios, aggregated: per VMA, how many pages are alike in kind, cgroup, mappings, and mms that map them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mapcount.capture.frame_array import frame_array
from mapcount.capture.gathered import is_large, vma_of
from mapcount.capture.kpage import KIND_MASK, READ
from mapcount.capture.pagemap import as_index, spread
from mapcount.mapping import schema as tables
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.capture.gathered import Evidence, MmCapture
    from mapcount.capture.runs import RawRuns
    from mapcount.mapping.schema import U32, U64

_COLUMNS = 6
_Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""Columns of the table as rows of an array, the number of pages last."""
BATCH_PAGES = 1 << 16


def small_table(mms: list[MmCapture], joined: list[RawRuns], evidence: Evidence) -> tables.Small:
    """Return the aggregates of all order-0 pages in `joined` (runs of each mm), device memory beyond kpageflags included."""
    mapping_mms = _count_mms(joined, evidence)
    parts = [_of_mm(mm, runs, evidence, mapping_mms) for mm, runs in zip(mms, joined, strict=True)]
    parts += [_beyond(mm) for mm in mms if mm.pages.beyond]
    table = np.concatenate([*parts, np.empty((_COLUMNS + 1, 0), np.int64)], axis=1)
    return tables.Small(
        vma_id=table[0].astype(np.uint32),
        kind=table[1].astype(np.uint8),
        charge_cgroup=table[2].astype(np.int32),
        mappings=table[3].astype(np.uint32),
        found=table[4].astype(np.uint32),
        mms=table[5].astype(np.uint32),
        pages=table[6].astype(np.uint64),
    )


def _small_pages(runs: RawRuns, evidence: Evidence) -> tuple[U64, U64]:
    """Return page number and PFN of each order-0 page."""
    small = runs.take(~is_large(evidence.physical, runs))
    sizes = small.nr_pages.astype(np.uint64)
    if not len(small):
        return small.page, small.pfn
    return spread(small.page, sizes), spread(small.pfn, sizes)


def _count_mms(joined: list[RawRuns], evidence: Evidence) -> U32:
    """Return, by PFN, how many mms map an order-0 page; 0 where it was found mapped at most once."""
    mapping_mms = frame_array(evidence.physical.max_pfn + 1, np.uint32)
    for runs in joined:
        _, pfns = _small_pages(runs, evidence)
        pfns = pfns[evidence.mappings.found[as_index(pfns)] > 1]
        mapping_mms[pfns] += (
            1  # once for each frame, at however many places the mm maps it: numpy buffers repeated indices
        )
    return mapping_mms


def _of_mm(mm: MmCapture, runs: RawRuns, evidence: Evidence, mapping_mms: U32) -> _Rows:
    page, pfn = _small_pages(runs, evidence)
    parts = [np.empty((_COLUMNS + 1, 0), np.int64)]
    for at in range(0, len(page), BATCH_PAGES):
        batch = slice(at, at + BATCH_PAGES)
        parts.append(_of_pages(vma_of(mm, page[batch]), pfn[batch], evidence, mapping_mms))
    rows = np.concatenate(parts, axis=1)
    return _aggregate(rows[:-1], rows[-1])


def _of_pages(vma_ids: U32, pfns: U64, evidence: Evidence, mapping_mms: U32) -> _Rows:
    physical = evidence.physical
    at = as_index(pfns)
    classes, counts, found = physical.classes[at], physical.counts[at], evidence.mappings.found[at]
    columns = (vma_ids, classes, physical.cgroups[at], counts, found, mapping_mms[at])
    # Neighbours mostly are alike: what is looked at closer is the first page of each stretch.
    changes = np.ones(len(pfns), np.bool_)
    changes[1:] = False
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    first = np.flatnonzero(changes)
    vma, kind, cgroup, count, times, users = (column[first].astype(np.int64) for column in columns)
    counted = physical.has_counts & (kind & READ != 0) & (kind & KIND_MASK < Kind.ZERO)
    pages = np.diff(first, append=len(pfns))
    return np.stack(
        [vma, kind & KIND_MASK, cgroup, np.where(counted, count, times), times, np.maximum(users, 1), pages]
    )


def _beyond(mm: MmCapture) -> _Rows:
    rows = [(mm.vma_base + vma, Kind.DEVICE, 0, 1, 1, 1, pages) for vma, pages in sorted(mm.pages.beyond.items())]
    return np.array(rows, np.int64).T.reshape(_COLUMNS + 1, len(rows))


def _aggregate(columns: _Rows, pages: np.ndarray[tuple[int], np.dtype[np.int64]]) -> _Rows:
    """Add up `pages` of equal columns. Neighbours mostly are equal: they are joined before anything is sorted."""
    if not columns.shape[1]:
        return np.empty((_COLUMNS + 1, 0), np.int64)
    changes = np.flatnonzero((columns[:, 1:] != columns[:, :-1]).any(axis=0)) + 1
    first = np.concatenate(([0], changes))
    columns, pages = columns[:, first], np.add.reduceat(pages, first)
    order = np.lexsort(columns[::-1])
    columns, pages = columns[:, order], pages[order]
    first = np.concatenate(([0], np.flatnonzero((columns[:, 1:] != columns[:, :-1]).any(axis=0)) + 1))
    return np.concatenate([columns[:, first], np.add.reduceat(pages, first)[np.newaxis]])
