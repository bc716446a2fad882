"""Order-0 folios, aggregated: per VMA, how many pages are alike in kind, cgroup, mappings, and mms that map them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from mapcount.capture.frame_array import frame_array
from mapcount.capture.gathered import is_large, vma_of
from mapcount.capture.kpage import KIND_MASK, READ
from mapcount.capture.pagemap import as_index, batches, spread
from mapcount.capture.stretches import stretches_where, take_stretches
from mapcount.mapping import schema as tables
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.capture.gathered import Evidence, MmCapture
    from mapcount.capture.runs import RawRuns
    from mapcount.mapping.schema import U32

_COLUMNS = 6
_Rows: TypeAlias = np.ndarray[tuple[int, int], np.dtype[np.int64]]
"""Columns of the table as rows of an array, the number of pages last."""
BATCH_PAGES = 1 << 16


def small_table(mms: list[MmCapture], joined: list[RawRuns], evidence: Evidence) -> tables.Small:
    """Return the aggregates of all order-0 pages in `joined` (runs of each mm), device memory beyond kpageflags included."""
    smalls = [_small_runs(runs, evidence) for runs in joined]
    mapping_mms = _count_mms(smalls, evidence)
    parts = [_of_mm(mm, runs, evidence, mapping_mms) for mm, runs in zip(mms, smalls, strict=True)]
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


def _small_runs(runs: RawRuns, evidence: Evidence) -> RawRuns:
    return runs.take(~is_large(evidence.physical, runs))


def _count_mms(smalls: list[RawRuns], evidence: Evidence) -> U32 | None:
    """Return, by PFN, how many mms map an order-0 page; 0 where found at most once. None: nowhere more than one."""
    if len(smalls) < 2:
        return None
    mapping_mms = frame_array(evidence.physical.max_pfn + 1, np.uint32)
    for runs in smalls:
        frames = runs.pfn, runs.nr_pages.astype(np.uint64)
        several = evidence.mappings.of_stretches(*frames) > 1
        if several.any():  # once for each frame, at however many places the mm maps it: numpy buffers repeated indices
            mapping_mms[as_index(spread(*stretches_where(several, *frames)))] += 1
    return mapping_mms


def _of_mm(mm: MmCapture, runs: RawRuns, evidence: Evidence, mapping_mms: U32 | None) -> _Rows:
    parts = [np.empty((_COLUMNS + 1, 0), np.int64)]
    for first, last in batches(runs.nr_pages.astype(np.uint64), BATCH_PAGES):
        parts.append(_of_runs(mm, runs.take(slice(first, last)), evidence, mapping_mms))
    rows = np.concatenate(parts, axis=1)
    return _aggregate(rows[:-1], rows[-1])


def _of_runs(mm: MmCapture, runs: RawRuns, evidence: Evidence, mapping_mms: U32 | None) -> _Rows:
    physical = evidence.physical
    frames = runs.pfn, runs.nr_pages.astype(np.uint64)
    arrays: list[npt.NDArray[Any]] = [physical.classes, physical.cgroups, physical.counts]
    columns = [take_stretches(array, *frames) for array in arrays] + [evidence.mappings.of_stretches(*frames)]
    if mapping_mms is not None:
        columns.append(take_stretches(mapping_mms, *frames))
    # Neighbours mostly are alike: what is looked at closer is the first page of each stretch.
    begins = as_index(np.cumsum(frames[1]) - frames[1])
    changes = np.zeros(len(columns[0]), np.bool_)
    for column in columns:
        changes[1:] |= column[1:] != column[:-1]
    changes[begins] = True
    first = np.flatnonzero(changes)
    kind, cgroup, count, times, *users = (column[first].astype(np.int64) for column in columns)
    vma = vma_of(mm, runs.page)[np.searchsorted(begins, first, side="right") - 1]  # runs end where VMAs do
    counted = physical.has_counts & (kind & READ != 0) & (kind & KIND_MASK < Kind.ZERO)
    return np.stack(
        [
            vma,
            kind & KIND_MASK,
            cgroup,
            np.where(counted, count, times),
            times,
            np.maximum(users[0], 1) if users else np.ones_like(times),
            np.diff(first, append=len(changes)),
        ]
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
