"""Do the mappings found agree with kpagecount? Page tables and counts are read at different moments, without a lock.

A page of which the two tell different things is suspect, and so is its folio: it was mapped, unmapped, freed or reused
between the reads, or somebody maps it whom we did not see. Suspects are read a second time (session.py); what agrees then is
as good as the rest. Zero pages and device memory have no count and are left out; so are frames inferred from a PMD's head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.frame_array import frame_array
from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SMALL
from mapcount.capture.pagemap import as_index, batches, merge_ranges, spread
from mapcount.capture.sets import distinct, is_in
from mapcount.capture.stretches import put_stretches, stretches_where, take_stretches
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.capture.physical import PhysicalPages
    from mapcount.capture.runs import RawRuns
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

    def spans(self) -> Iterator[tuple[U64, U64]]:
        """Yield starts and lengths of the spans in batches, in order."""
        for first, last in batches(self.ends - self.starts, BATCH_PAGES):
            yield self.starts[first:last], self.ends[first:last] - self.starts[first:last]


@dataclass(frozen=True)
class Disagreement:
    """Frames whose mappings and counts differ."""

    over: U64
    """More mappings found than the kernel counts, or a mapped frame of which nothing is known."""
    under_starts: U64
    """Fewer: somebody maps it whom we did not see, or it was mapped after we had looked. Sorted stretches: these may be all."""
    under_lengths: U64

    @staticmethod
    def of(over: U64, under: U64) -> Disagreement:
        """Return a disagreement about single frames."""
        return Disagreement(over, under, np.ones_like(under))

    @property
    def nr_under(self) -> int:
        """How many frames `under` has."""
        return int(self.under_lengths.sum())

    @cached_property
    def under(self) -> U64:
        """The frames with fewer mappings than counted, one by one."""
        return spread(self.under_starts, self.under_lengths)


def count_mappings(physical: PhysicalPages, parts: list[RawRuns]) -> Mappings:
    """Count how often each frame is mapped by the runs of all `parts`: +1 where a run begins, -1 where it ends, summed up."""
    found = frame_array(physical.max_pfn + 2, np.int32)
    starts, ends = np.empty(0, np.uint64), np.empty(0, np.uint64)
    for runs in parts:
        first, end = _joined_frames(runs)
        np.add.at(found, as_index(first), 1)
        np.subtract.at(found, as_index(end), 1)
        more_starts, more_ends = _extents(physical, first, end)
        starts, ends = np.concatenate((starts, more_starts)), np.concatenate((ends, more_ends))
    order = np.argsort(starts)
    mappings = Mappings(found, *merge_ranges(starts[order], ends[order], 0))
    for begins, lengths in mappings.spans():  # every span sums up to 0: nothing is carried from one to the next
        total = np.cumsum(take_stretches(found, begins, lengths), dtype=np.int32)
        put_stretches(found, begins, lengths, total, np.cumsum(lengths) - lengths)
    return mappings


def _joined_frames(runs: RawRuns) -> tuple[U64, U64]:
    """Return the first frame of runs, and the one after the last; runs of which the next goes on with the frames are one."""
    end = runs.pfn + runs.nr_pages
    stops = np.append(end[:-1] != runs.pfn[1:], np.ones(min(1, len(runs)), np.bool_))
    begins = np.append(np.ones(min(1, len(runs)), np.bool_), stops[:-1])
    return runs.pfn[begins], end[stops]


def _extents(physical: PhysicalPages, first: U64, end: U64) -> tuple[U64, U64]:
    """Return ranges widened to whole folios, and by one frame more, where the -1 of a range may stand."""
    heads = physical.heads_of(end - np.uint64(1))
    sizes = np.left_shift(np.uint64(1), physical.orders_of(heads).astype(np.uint64))
    return physical.heads_of(first), np.maximum(heads + sizes, end) + np.uint64(1)


def disagreement(physical: PhysicalPages, mappings: Mappings, *, counts_exact: bool) -> Disagreement:
    """Compare mappings found with kpagecount, frame by frame; of large folios only if their counts are exact."""
    over: list[U64] = []
    under_starts, under_lengths = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for starts, lengths in mappings.spans():
        classes = take_stretches(physical.classes, starts, lengths)
        found = take_stretches(mappings.found, starts, lengths)
        more = classes == 0
        if more.any():
            more &= found > 0
        if physical.has_counts:
            counts = take_stretches(physical.counts, starts, lengths).view(np.int32)
            unlike = found != counts
            if unlike.any():
                unlike &= classes & np.uint8(READ) != 0
                unlike &= classes & np.uint8(KIND_MASK) < Kind.ZERO
                if not counts_exact:
                    unlike &= classes & np.uint8(ROLE_MASK) == SMALL
                less = unlike & (found < counts)
                unlike &= ~less
                more |= unlike
                if less.any():
                    begins, sizes = stretches_where(less, starts, lengths)
                    under_starts.append(begins)
                    under_lengths.append(sizes)
        if more.any():
            over.append(spread(*stretches_where(more, starts, lengths)))
    return Disagreement(_joined(over), np.concatenate(under_starts), np.concatenate(under_lengths))


def _joined(parts: list[U64]) -> U64:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def whole_folios(physical: PhysicalPages, pfns: U64) -> U64:
    """Return all frames of the folios that `pfns` belong to, sorted, each once."""
    heads = distinct(physical.heads_of(pfns))
    sizes = np.left_shift(np.uint64(1), physical.orders_of(heads).astype(np.uint64))
    return distinct(spread(heads, sizes), pfns)


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
    return Disagreement.of(*(pfns[is_in(pfns, frames)] for pfns in (differs.over, differs.under)))
