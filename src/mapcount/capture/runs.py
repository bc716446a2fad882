"""From page-table entries to runs: consecutive pages of one folio at consecutive addresses in one page table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.capture.kpage import ROLE_MASK, SMALL, TAIL
from mapcount.capture.pagemap import MAPPED_ONCE, PFN_MASK, PRESENT, as_index, spread
from mapcount.record import record

if TYPE_CHECKING:
    import numpy.typing as npt

    from mapcount.mapping.schema import I64, U8, U32, U64, Bools

PAGE_SHIFT = 12
PMD_ORDER = 9
_ONE = np.uint64(1)


@record(frozen=True)
class RawRuns:
    """Runs as they are read: by page number and PFN. Small pages that are neighbours and alike share a run."""

    page: U64
    """Page number of the address of the first page."""
    pfn: U64
    nr_pages: U32
    level: U8

    def __len__(self) -> int:
        return len(self.page)

    def take(self, rows: npt.NDArray[Any] | slice) -> RawRuns:
        """Return the runs that a mask, an index array or a slice selects."""
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


@record(frozen=True)
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


@record(frozen=True)
class Pieces:
    """Present PTEs, sorted by page number: of a piece, page number and PFN go up by one and bit 56 stays. Not maximal."""

    page: U64
    pfn: U64
    nr_pages: U64
    once: Bools
    """Bit 56."""

    def take(self, rows: npt.NDArray[Any]) -> Pieces:
        """Return the pieces that a mask or an index array selects."""
        return Pieces(self.page[rows], self.pfn[rows], self.nr_pages[rows], self.once[rows])


def pieces_of(entries: U64, starts: U64, counts: U64) -> tuple[Pieces, Bools, U64]:
    """
    Cut pagemap entries, of `counts` pages from each page number in `starts` on, into pieces that go on alike.

    Whole entries are compared, so that one subtraction tells a piece's end: from here on work is by the piece, not by the
    page. Returns all pieces, which of them are present, and the first entry of each; what is not present is a piece for each
    page.
    """
    begins = np.empty(len(entries), np.bool_)
    np.not_equal(entries[1:] - entries[:-1], _ONE, out=begins[1:])
    at = np.cumsum(counts) - counts
    begins[as_index(at[counts > 0])] = True
    first = np.flatnonzero(begins)
    words = entries[first]
    if np.any((words < PRESENT) & (words > 0)):  # swap entries may look like a piece: type and offset are not a PFN
        first = np.flatnonzero(begins | (entries < PRESENT))
        words = entries[first]
    row = np.searchsorted(as_index(at), first, side="right") - 1
    pieces = Pieces(
        page=starts[row] + (first.view(np.uint64) - at[row]),
        pfn=words & PFN_MASK,
        nr_pages=np.diff(first, append=len(entries)).view(np.uint64),
        once=words & MAPPED_ONCE != 0,
    )
    return pieces, words >= PRESENT, words


def runs_of(pages: U64, pfns: U64, once: Bools, classes: U8, vma_starts: U64) -> tuple[RawRuns, RawBits]:
    """Cut present PTEs, sorted by page number, into maximal runs; `once` is bit 56 of each. See cut_runs."""
    return cut_runs(Pieces(pages, pfns, np.ones(len(pages), np.uint64), once), classes, vma_starts)


def cut_runs(pieces: Pieces, classes: U8, vma_starts: U64) -> tuple[RawRuns, RawBits]:
    """
    Cut present PTEs into maximal runs.

    `classes` are the class bytes of all their frames (kpage.py). A run ends where address or PFN is not the next one, at a
    folio's head, between small pages of unlike class, at a page table's end and at every page number in `vma_starts`.
    """
    if not len(pieces.page):
        return RawRuns.join([]), RawBits.join([])
    sizes = as_index(pieces.nr_pages)
    at = np.cumsum(sizes) - sizes
    begins = _unlike(classes)
    goes_on = pieces.page[1:] == pieces.page[:-1] + pieces.nr_pages[:-1]
    goes_on &= pieces.pfn[1:] == pieces.pfn[:-1] + pieces.nr_pages[:-1]
    begins[at[1:][~goes_on]] = True
    begins[_table_starts(as_index(pieces.page), sizes, at)] = True
    row = np.searchsorted(pieces.page, vma_starts, side="right") - 1
    inside = as_index(vma_starts - pieces.page[row])
    within = (row >= 0) & (inside < sizes[row])
    begins[(at[row] + inside)[within]] = True

    row, page, pfn, nr_pages = _cut(pieces, at, begins)
    runs = RawRuns(page, pfn, nr_pages, np.zeros(len(page), np.uint8))
    changes = at[1:][pieces.once[1:] != pieces.once[:-1]]
    if not begins[changes].all():
        begins[changes] = True
        row, page, pfn, nr_pages = _cut(pieces, at, begins)
    role = classes[begins] & ROLE_MASK
    large = (role != SMALL) & (role != 0)
    return runs, RawBits(page[large], nr_pages[large], pieces.once[row[large]])


def _unlike(classes: U8) -> Bools:
    """Tell which page is another folio than the one before it, or a small page unlike it; the first one is."""
    role = classes & np.uint8(ROLE_MASK)
    begins = np.ones(len(classes), np.bool_)
    np.not_equal(role[1:], TAIL, out=begins[1:])
    small = role[1:] == SMALL
    if small.any():
        begins[1:] &= ~(small & (classes[1:] == classes[:-1]))
    return begins


def _table_starts(pages: I64, sizes: I64, at: I64) -> I64:
    """Return where page tables begin within pieces; `at` is where each piece begins."""
    to_next = -pages % (1 << PMD_ORDER)
    times = np.maximum((sizes - to_next + (1 << PMD_ORDER) - 1) >> PMD_ORDER, 0)
    which = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    starts: I64 = np.repeat(at + to_next, times) + (which << PMD_ORDER)
    return starts


def _cut(pieces: Pieces, at: I64, begins: Bools) -> tuple[I64, U64, U64, U32]:
    """Return the piece, page number, PFN and pages of each stretch that begins where `begins` says."""
    first = np.flatnonzero(begins)
    row = np.searchsorted(at, first, side="right") - 1
    inside = (first - at[row]).view(np.uint64)
    nr_pages = np.diff(first, append=len(begins)).astype(np.uint32)
    return row, pieces.page[row] + inside, pieces.pfn[row] + inside, nr_pages
