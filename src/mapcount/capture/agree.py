"""Do the mappings found agree with kpagecount? Page tables and counts are read at different moments, without a lock.

A page of which the two tell different things is suspect, and so is its folio: it was mapped, unmapped, freed or reused
between the reads, or somebody maps it whom we did not see. Suspects are read a second time (session.py); what agrees then is
as good as the rest. Zero pages and device memory have no count and are left out; so are frames inferred from a PMD's head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.kpage import KIND_MASK, READ, ROLE_MASK, SMALL
from mapcount.capture.pagemap import spread
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.capture.physical import PhysicalPages
    from mapcount.capture.runs import RawRuns
    from mapcount.mapping.schema import I32, U64, Bools

BLOCK_SHIFT = 12
MAX_GROUP_BLOCKS = 64


@dataclass(frozen=True)
class Mappings:
    """How often each frame was found mapped. Only frames in `groups` have been looked at."""

    found: I32
    """By PFN."""
    groups: list[tuple[int, int]]
    """PFN ranges that hold all mapped frames, sorted, disjoint, of bounded size."""


@dataclass(frozen=True)
class Disagreement:
    """Frames whose mappings and counts differ."""

    over: U64
    """More mappings found than the kernel counts, or a mapped frame of which nothing is known."""
    under: U64
    """Fewer: somebody maps it whom we did not see, or it was mapped after we had looked."""


def count_mappings(max_pfn: int, parts: list[RawRuns]) -> Mappings:
    """Count how often each frame is mapped by the runs of all `parts`: +1 where a run begins, -1 where it ends, summed up."""
    found = np.zeros(max_pfn + 2, np.int32)
    touched = np.zeros((max_pfn >> BLOCK_SHIFT) + 2, np.bool_)
    for runs in parts:
        after = runs.pfn + runs.nr_pages
        np.add.at(found, runs.pfn, 1)
        np.subtract.at(found, after, 1)
        touched[runs.pfn >> np.uint64(BLOCK_SHIFT)] = True
        touched[after >> np.uint64(BLOCK_SHIFT)] = True
        for row in np.flatnonzero(runs.nr_pages > 1 << BLOCK_SHIFT).tolist():
            touched[int(runs.pfn[row]) >> BLOCK_SHIFT : int(after[row]) >> BLOCK_SHIFT] = True
    groups = []
    carried = 0
    for first, last in _neighbours(touched):
        part = found[first:last]
        part[:1] += carried
        np.cumsum(part, out=part)
        carried = int(part[-1])
        groups.append((first, min(last, max_pfn)))
    return Mappings(found, groups)


def _neighbours(touched: Bools) -> Iterator[tuple[int, int]]:
    """Yield PFN ranges of touched blocks, neighbours together up to a bound. What is carried into an untouched block is 0."""
    blocks = np.flatnonzero(touched)
    if not len(blocks):
        return
    cuts = np.flatnonzero(np.diff(blocks) != 1) + 1
    for part in np.split(blocks, cuts):
        for at in range(0, len(part), MAX_GROUP_BLOCKS):
            piece = part[at : at + MAX_GROUP_BLOCKS]
            yield int(piece[0]) << BLOCK_SHIFT, (int(piece[-1]) + 1) << BLOCK_SHIFT


def disagreement(physical: PhysicalPages, mappings: Mappings, *, counts_exact: bool) -> Disagreement:
    """Compare mappings found with kpagecount, frame by frame; of large folios only if their counts are exact."""
    over, under = [], []
    for first, last in mappings.groups:
        classes = physical.classes[first:last]
        found = mappings.found[first:last]
        unknown = (classes == 0) & (found > 0)
        more, less = unknown, None
        if physical.has_counts:
            told = (classes & READ != 0) & (classes & KIND_MASK < Kind.ZERO)
            if not counts_exact:
                told &= classes & ROLE_MASK == SMALL
            counts = physical.counts[first:last]
            more = unknown | told & (found > counts)
            less = told & (found < counts)
        if more.any():
            over.append(np.flatnonzero(more).astype(np.uint64) + np.uint64(first))
        if less is not None and less.any():
            under.append(np.flatnonzero(less).astype(np.uint64) + np.uint64(first))
    return Disagreement(_joined(over), _joined(under))


def _joined(parts: list[U64]) -> U64:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def whole_folios(physical: PhysicalPages, pfns: U64) -> U64:
    """Return all frames of the folios that `pfns` belong to, sorted, each once."""
    heads = np.unique(physical.heads_of(pfns))
    sizes = np.left_shift(np.uint64(1), physical.orders_of(heads).astype(np.uint64))
    return np.unique(np.concatenate((spread(heads, sizes), pfns))) if len(heads) else pfns


def runs_with(marked: Bools, runs: RawRuns) -> Bools:
    """Return which runs hold a frame that is marked; `marked` is indexed by PFN."""
    if not len(runs):
        return np.empty(0, np.bool_)
    hit: Bools = marked[runs.pfn]
    longer = np.flatnonzero(runs.nr_pages > 1)
    if len(longer):
        sizes = runs.nr_pages[longer].astype(np.uint64)
        begins = (np.cumsum(sizes) - sizes).astype(np.int64)
        hit[longer] |= np.logical_or.reduceat(marked[spread(runs.pfn[longer], sizes)], begins)
    return hit
