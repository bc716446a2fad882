"""Do the mappings found agree with kpagecount? Page tables and counts are read at different moments, without a lock.

A page of which the two tell different things is suspect, and so is its folio: it was mapped, unmapped, freed or reused
between the reads, or somebody maps it whom we did not see. Suspects are read a second time (session.py); what agrees then is
as good as the rest. Zero pages and device memory have no count and are left out; so are frames inferred from a PMD's head.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.frame_array import places_in, take_blocks, whole_blocks
from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SMALL
from mapcount.capture.pagemap import batches, merge_ranges, spread
from mapcount.capture.sets import distinct, is_in
from mapcount.capture.stretches import stretches_where, take_stretches
from mapcount.mapping.schema import Kind
from mapcount.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.capture.physical import PhysicalPages
    from mapcount.capture.runs import RawRuns
    from mapcount.mapping.schema import I32, U64, Bools

_ONE = np.uint64(1)
BATCH_PAGES = 1 << 16
"""Frames that are looked at together."""


@record(frozen=True)
class Mappings:
    """How often each frame was found mapped. Only frames in spans have been looked at."""

    starts: U64
    """Half-open PFN ranges, sorted and disjoint, that hold all mapped frames, their folios whole, and the frame after each."""
    ends: U64
    blocks: tuple[U64, U64]
    """Starts and lengths of the whole blocks that hold the spans, sorted."""
    found: I32
    """Of each frame in these blocks, one after the other; 0 beside the spans."""

    def of(self, frames: U64) -> I32:
        """Return how often each of some frames was found mapped; 0 where nothing was looked at."""
        starts, lengths = self.blocks
        row = np.searchsorted(starts, frames, side="right") - 1
        inside = np.flatnonzero((row >= 0) & (frames < (starts + lengths)[row])) if len(starts) else row[:0]
        found = np.zeros(len(frames), np.int32)
        found[inside] = self.found[places_in(starts, lengths, frames[inside])]
        return found

    def of_stretches(self, starts: U64, lengths: U64) -> I32:
        """Return it for stretches of frames within spans."""
        return take_stretches(self.found, places_in(*self.blocks, starts).view(np.uint64), lengths)

    def of_blocks(self, starts: U64, lengths: U64) -> I32:
        """Return it for ranges of whole blocks with spans."""
        return take_blocks(self.found, places_in(*self.blocks, starts).view(np.uint64), lengths)

    def batches(self) -> Iterator[tuple[U64, U64, I32]]:
        """Yield starts, lengths and `found` of the blocks, in batches, in order."""
        starts, lengths = self.blocks
        at = np.cumsum(lengths) - lengths
        for first, last in batches(lengths, BATCH_PAGES):
            size = int(lengths[first:last].sum())
            yield starts[first:last], lengths[first:last], self.found[int(at[first]) :][:size]

    def inside(self, starts: U64, lengths: U64) -> Bools:
        """Tell which frames of a batch are in spans, not just in a block with one."""
        rows = slice(np.searchsorted(self.starts, starts[0]), np.searchsorted(self.starts, starts[-1] + lengths[-1]))
        steps = np.zeros(int(lengths.sum()) + 1, np.int8)
        steps[places_in(starts, lengths, self.starts[rows])] = 1
        steps[places_in(starts, lengths, self.ends[rows] - _ONE) + 1] -= 1
        return np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_)


@record(frozen=True)
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
    joined = [_joined_frames(runs) for runs in parts]
    extents = [_extents(physical, *frames) for frames in joined]
    starts, ends = (_joined([extent[i] for extent in extents]) for i in range(2))
    order = np.argsort(starts)
    starts, ends = merge_ranges(starts[order], ends[order], 0)
    blocks = whole_blocks(starts, ends)
    found = np.zeros(int(blocks[1].sum()), np.int32)
    one = np.int32(1)  # of another type than the array it takes fifty times as long
    for first, end in joined:
        np.add.at(found, places_in(*blocks, first), one)
        np.subtract.at(found, places_in(*blocks, end), one)
    return Mappings(starts, ends, blocks, np.cumsum(found, out=found))


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
    for starts, lengths, found in mappings.batches():
        classes = take_blocks(physical.classes, starts, lengths)
        more = (classes == 0) & (found > 0)
        if physical.has_counts:
            counts = take_blocks(physical.counts, starts, lengths).view(np.int32)
            unlike = found != counts
            if unlike.any():
                unlike &= classes & np.uint8(READ) != 0
                unlike &= classes & np.uint8(KIND_MASK) < Kind.ZERO
                if not counts_exact:
                    unlike &= classes & np.uint8(ROLE_MASK) == SMALL
                more |= unlike & (found > counts)
                less = unlike & (found < counts)
                if less.any():
                    less &= mappings.inside(starts, lengths)
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
