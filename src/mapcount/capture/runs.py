"""From page-table entries to runs: consecutive pages of one folio at consecutive addresses in one page table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.capture.kpage import ROLE_MASK, SMALL, TAIL
from mapcount.capture.pagemap import PFN_MASK, TOP_MAPPED_ONCE, TOP_PRESENT, spread

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import U8, U32, U64, Bools

PAGE_SHIFT = 12
PMD_ORDER = 9
_ONE = np.uint64(1)


@dataclass(frozen=True)
class RawRuns:
    """Runs as they are read: by page number and PFN. Small pages that are neighbours and alike share a run."""

    page: U64
    """Page number of the address of the first page."""
    pfn: U64
    nr_pages: U32
    level: U8

    def __len__(self) -> int:
        return len(self.page)

    def take(self, rows: npt.NDArray[Any]) -> RawRuns:
        """Return the runs that a mask or an index array selects."""
        return RawRuns(self.page[rows], self.pfn[rows], self.nr_pages[rows], self.level[rows])

    @staticmethod
    def join(parts: list[RawRuns]) -> RawRuns:
        """Return all runs of `parts`, one after the other."""
        if not parts:
            none = np.empty(0, np.uint64)
            return RawRuns(none, none, np.empty(0, np.uint32), np.empty(0, np.uint8))
        return RawRuns(
            np.concatenate([p.page for p in parts]),
            np.concatenate([p.pfn for p in parts]),
            np.concatenate([p.nr_pages for p in parts]),
            np.concatenate([p.level for p in parts]),
        )


def keep_pages(runs: RawRuns, keep: Bools) -> RawRuns:
    """Return the runs less the pages that `keep`, one element a page of one run after the other, leaves out."""
    sizes = runs.nr_pages.astype(np.uint64)
    page, pfn = spread(runs.page, sizes)[keep], spread(runs.pfn, sizes)[keep]
    origin = np.repeat(np.arange(len(runs)), runs.nr_pages)[keep]
    if not len(page):
        return RawRuns.join([])
    begins = np.ones(len(page), np.bool_)
    begins[1:] = (origin[1:] != origin[:-1]) | (page[1:] != page[:-1] + _ONE)
    first = np.flatnonzero(begins)
    nr_pages = np.diff(first, append=len(page)).astype(np.uint32)
    return RawRuns(page[first], pfn[first], nr_pages, runs.level[origin[first]])


@dataclass(frozen=True)
class RawBits:
    """Bit 56 of PTE runs of large folios, run-length."""

    page: U64
    nr_pages: U32
    mapped_once: Bools

    @staticmethod
    def join(parts: list[RawBits]) -> RawBits:
        """Return all of `parts`, one after the other."""
        if not parts:
            return RawBits(np.empty(0, np.uint64), np.empty(0, np.uint32), np.empty(0, np.bool_))
        return RawBits(
            np.concatenate([p.page for p in parts]),
            np.concatenate([p.nr_pages for p in parts]),
            np.concatenate([p.mapped_once for p in parts]),
        )


def present_pages(pages: U64, entries: U64, top: U8) -> tuple[U64, U64, Bools]:
    """Return page number, PFN and bit 56 of the entries that are present; `top` are their highest bytes."""
    here = top >= TOP_PRESENT
    if not here.all():
        pages, entries, top = pages[here], entries[here], top[here]
    return pages, entries & PFN_MASK, top & TOP_MAPPED_ONCE != 0


def runs_of(pages: U64, pfns: U64, once: Bools, classes: U8, vma_starts: U64) -> tuple[RawRuns, RawBits]:
    """
    Cut present PTEs, sorted by page number, into maximal runs.

    `classes` are the class bytes of `pfns` (kpage.py). A run ends where address or PFN is not the next one, at a folio's
    head, between small pages of unlike class, at a page table's end and at every page number in `vma_starts`.
    """
    if not len(pages):
        return RawRuns.join([]), RawBits.join([])
    begins = np.empty(len(pages), np.bool_)
    begins[0] = True
    step = begins[1:]
    # Where both grow by one, their difference stays: one comparison for two.
    shift = pages - pfns
    np.not_equal(shift[1:], shift[:-1], out=step)
    step |= pages[1:] != pages[:-1] + _ONE
    tails = classes[1:] & ROLE_MASK == TAIL
    alike = (classes[1:] == classes[:-1]) & (classes[1:] & ROLE_MASK == SMALL)
    step |= ~(tails | alike)
    begins |= pages & np.uint64((1 << PMD_ORDER) - 1) == 0
    at = np.searchsorted(pages, vma_starts)
    begins[at[at < len(pages)]] = True
    first = np.flatnonzero(begins)
    nr_pages = np.diff(first, append=len(pages)).astype(np.uint32)
    runs = RawRuns(pages[first], pfns[first], nr_pages, np.zeros(len(first), np.uint8))
    return runs, _bits_of(pages, once, classes, begins)


def _bits_of(pages: U64, once: Bools, classes: U8, begins: Bools) -> RawBits:
    changes = begins.copy()
    changes[1:] |= once[1:] != once[:-1]
    first = np.flatnonzero(changes)
    nr_pages = np.diff(first, append=len(pages)).astype(np.uint32)
    role = classes[first] & ROLE_MASK
    large = (role != SMALL) & (role != 0)
    first, nr_pages = first[large], nr_pages[large]
    return RawBits(pages[first], nr_pages, once[first])
