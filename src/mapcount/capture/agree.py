"""Do the mappings found agree with kpagecount? Page tables and counts are read at different moments, without a lock.

A page of which the two tell different things is suspect, and so is its folio: it was mapped, unmapped, freed or reused
between the reads, or somebody maps it whom we did not see. Suspects are read a second time (session.py); what agrees then is
as good as the rest. Zero pages and device memory have no count and are left out; so are frames inferred from a PMD's head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.frame_array import frame_array
from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SMALL
from mapcount.capture.pagemap import as_index, batches, merge_ranges, spread
from mapcount.capture.runs import RawRuns
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.capture.physical import PhysicalPages
    from mapcount.mapping.schema import I32, U64, Bools

BATCH_PAGES = 1 << 16
"""Frames that are looked at together."""


@dataclass(frozen=True)
class Mappings:
    """How often each frame was found mapped. Only frames in spans have been looked at."""

    found: I32
    """By PFN."""
    starts: U64
    """Half-open PFN ranges, sorted and disjoint, that hold all mapped frames, their folios whole, and the frame after each."""
    ends: U64

    def frames(self) -> Iterator[U64]:
        """Yield the frames of the spans in batches, in order."""
        for first, last in batches(self.ends - self.starts, BATCH_PAGES):
            yield spread(self.starts[first:last], self.ends[first:last] - self.starts[first:last])


@dataclass(frozen=True)
class Disagreement:
    """Frames whose mappings and counts differ."""

    over: U64
    """More mappings found than the kernel counts, or a mapped frame of which nothing is known."""
    under: U64
    """Fewer: somebody maps it whom we did not see, or it was mapped after we had looked."""


def count_mappings(physical: PhysicalPages, parts: list[RawRuns]) -> Mappings:
    """Count how often each frame is mapped by the runs of all `parts`: +1 where a run begins, -1 where it ends, summed up."""
    found = frame_array(physical.max_pfn + 2, np.int32)
    for runs in parts:
        np.add.at(found, runs.pfn, 1)
        np.subtract.at(found, runs.pfn + runs.nr_pages, 1)
    starts, ends = _extents(physical, RawRuns.join(parts))
    mappings = Mappings(found, *merge_ranges(starts, ends, 0))
    for frames in mappings.frames():  # every span sums up to 0: nothing is carried from one to the next
        found[as_index(frames)] = np.cumsum(found[as_index(frames)], dtype=np.int32)
    return mappings


def _extents(physical: PhysicalPages, runs: RawRuns) -> tuple[U64, U64]:
    """Return, sorted, the range of each run's folio and of the run, and one frame more, where the run's -1 may stand."""
    heads = physical.heads_of(runs.pfn)
    sizes = np.left_shift(np.uint64(1), physical.orders_of(heads).astype(np.uint64))
    ends = np.maximum(heads + sizes, runs.pfn + runs.nr_pages) + np.uint64(1)
    order = np.argsort(heads)
    return heads[order], ends[order]


def disagreement(physical: PhysicalPages, mappings: Mappings, *, counts_exact: bool) -> Disagreement:
    """Compare mappings found with kpagecount, frame by frame; of large folios only if their counts are exact."""
    over, under = [], []
    for frames in mappings.frames():
        at = as_index(frames)
        classes = physical.classes[at]
        found = mappings.found[at]
        more = (classes == 0) & (found > 0)
        if physical.has_counts:
            told = (classes & READ != 0) & (classes & KIND_MASK < Kind.ZERO)
            if not counts_exact:
                told &= classes & ROLE_MASK == SMALL
            counts = physical.counts[at]
            unlike = told & (found != counts)
            if unlike.any():
                more |= unlike & (found > counts)
                under.append(frames[unlike & (found < counts)])
        if more.any():
            over.append(frames[more])
    return Disagreement(_joined(over), _joined(under))


def _joined(parts: list[U64]) -> U64:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def whole_folios(physical: PhysicalPages, pfns: U64) -> U64:
    """Return all frames of the folios that `pfns` belong to, sorted, each once."""
    heads = np.unique(physical.heads_of(pfns))
    sizes = np.left_shift(np.uint64(1), physical.orders_of(heads).astype(np.uint64))
    return np.unique(np.concatenate((spread(heads, sizes), pfns))) if len(heads) else pfns


def runs_with(frames: U64, runs: RawRuns) -> Bools:
    """Return which runs hold one of `frames` (sorted)."""
    if not len(frames):
        return np.zeros(len(runs), np.bool_)
    # The first of the frames at or after the run's first one: is it before the run's end?
    at = np.searchsorted(frames, runs.pfn)
    hit: Bools = frames[np.minimum(at, len(frames) - 1)] - runs.pfn < runs.nr_pages
    return hit & (at < len(frames))


def disagreement_at(physical: PhysicalPages, parts: list[RawRuns], frames: U64, *, counts_exact: bool) -> Disagreement:
    """Compare as `disagreement` does, of `frames` (sorted) alone: the runs that hold none of them are not looked at."""
    mappings = count_mappings(physical, [runs.take(runs_with(frames, runs)) for runs in parts])
    differs = disagreement(physical, mappings, counts_exact=counts_exact)
    return Disagreement(*(pfns[np.isin(pfns, frames)] for pfns in (differs.over, differs.under)))
