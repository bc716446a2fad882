"""What the kernel says of the page frames that are mapped: read for the first process that maps them, not for each.

Seven bytes a frame (class, count, cgroup), in arrays over all PFNs of which only the touched parts take memory: 0.17 % of
the memory that is mapped (0.3 % with the mappings found, agree.py). A frame's three words come from three read calls;
nothing orders them with the page tables, so every folio is held against the mappings found (agree.py).

One thread reads: a second one for kpagecount and kpagecgroup cost 7 % more CPU in interleaved runs at 4 GiB. Without it a
capture takes longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.capture.frame_array import frame_array
from mapcount.capture.frame_words import FrameWords, plan
from mapcount.capture.kpage import HEAD, KIND_MASK, READ, ROLE_MASK, SMALL, TAIL, KpageFiles, classify
from mapcount.capture.pagemap import as_index, batches, merge_ranges
from mapcount.capture.stretches import put_stretches, stretches_where, take_stretches
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.mapping.schema import U8, U16, U32, U64

JOIN_GAP_PFNS = 8
"""Frames between two mapped runs that are read along: each costs 0.15 us a file, another read call half a microsecond."""
HEAD_GAP_PFNS = 4
"""Heads this close are read as one range of kpagecgroup: an entry costs 0.1 us, another read call half a microsecond."""
MAX_ORDER = 18
"""A 1 GiB hugetlb folio of 4 KiB pages."""
CHUNK_PFNS = 1 << 16
"""Frames whose words are held at a time."""
_ONE = np.uint64(1)
_NO_CGROUP = 0


class PhysicalPages:
    """Class, count and cgroup of page frames, read on demand. Needs the descriptors of kpage.py; not thread-safe."""

    def __init__(self, files: KpageFiles) -> None:
        self._files = files
        self.max_pfn = files.max_pfn
        # One frame more than there is: a look one past the end finds "not known".
        self.classes: U8 = frame_array(self.max_pfn + 1, np.uint8)
        self.counts: U32 = frame_array(self.max_pfn + 1, np.uint32)
        self.cgroups: U16 = frame_array(self.max_pfn + 1, np.uint16)
        self.cgroup_inodes: list[int] = [0]
        """Inode of each cgroup code; code 0: none."""
        self._codes = {0: _NO_CGROUP}
        self._words = FrameWords()

    @property
    def reads(self) -> int:
        """Read calls on the kpage files so far."""
        return self._words.reads

    @property
    def bytes_read(self) -> int:
        """Bytes read from the kpage files so far."""
        return self._words.bytes_read

    @property
    def has_counts(self) -> bool:
        """Whether kpagecount can be read."""
        return self._files.count_fd >= 0

    def learn(self, pfns: U64) -> None:
        """Read what is not known of `pfns` (all below max_pfn, any order) and of the folios that they belong to, whole."""
        if not len(pfns):
            return
        breaks = np.flatnonzero(pfns[1:] != pfns[:-1] + _ONE) + 1
        starts = pfns[np.concatenate(([0], breaks))]
        self.learn_stretches(starts, np.diff(breaks, prepend=0, append=len(pfns)).astype(np.uint64))

    def learn_stretches(self, starts: U64, lengths: U64) -> None:
        """Read as `learn` does, of stretches of frames (in any order, of no length 0)."""
        starts, ends = self._not_known(starts, lengths)
        if not len(starts):
            return
        order = np.argsort(starts)
        starts, ends = merge_ranges(starts[order], ends[order], JOIN_GAP_PFNS)
        step = 16
        while len(starts):
            starts, ends = self._read_ranges(starts, ends, step)
            step *= 2

    def _not_known(self, starts: U64, lengths: U64) -> tuple[U64, U64]:
        """Return the starts and ends of what has not been read of some stretches."""
        unknown = take_stretches(self.classes, starts, lengths) & np.uint8(READ) == 0
        starts, lengths = stretches_where(unknown, starts, lengths)
        return starts, starts + lengths

    def learn_pmd(self, pfn: int, nr_pages: int, *, all_counts: bool) -> None:
        """
        Read the first frame of a range that a PMD maps, and take the others for its folio's tails.

        `all_counts`: read kpagecount of the others too. Without it they are inferred, and nothing is said of who else
        maps a part of them. A range that starts in the middle of a folio (of more than `nr_pages` pages) is all tails.
        """
        self.learn_pmds({pfn: (nr_pages, all_counts)})

    def learn_pmds(self, ranges: dict[int, tuple[int, bool]]) -> None:
        """Do as `learn_pmd` does, of many ranges: pages and `all_counts` by PFN."""
        ranges = {pfn: rest for pfn, rest in ranges.items() if not self.classes[pfn] & READ}
        if not ranges:
            return
        firsts = np.array(list(ranges), np.uint64)
        first_frames, at = plan(firsts, np.ones_like(firsts)), as_index(firsts)
        heads = classify(self._words.read(self._files.flags_fd, first_frames))
        self.cgroups[at] = self._cgroup_codes(self._words.read(self._files.cgroup_fd, first_frames))
        self.classes[at] = heads | np.uint8(READ)
        for (pfn, (nr_pages, _)), head in zip(ranges.items(), heads.tolist(), strict=True):
            role, kind = head & ROLE_MASK, head & KIND_MASK
            if role in (HEAD, TAIL):
                rest = self.classes[pfn + 1 : pfn + nr_pages]
                rest[rest == 0] = TAIL | (kind if kind in (Kind.ZERO, Kind.DEVICE) else 0)
        if self.has_counts:
            counted = [nr_pages if all_counts else 1 for nr_pages, all_counts in ranges.values()]
            self._read_counts(firsts, np.array(counted, np.uint64))

    def _read_counts(self, starts: U64, lengths: U64) -> None:
        """Read kpagecount alone, of frames whose classes follow from a PMD's first one."""
        counts = self._words.read(self._files.count_fd, plan(starts, lengths)).astype(np.uint32)
        read = take_stretches(self.classes, starts, lengths) | np.uint8(READ)
        put_stretches(starts, lengths, np.cumsum(lengths) - lengths, (self.counts, counts), (self.classes, read))

    def heads_of(self, pfns: U64) -> U64:
        """
        Return the PFN of the head of each page's folio; a page that is no tail, or a tail without a head, is its own.

        A folio lies at a multiple of its size, so the head is the first multiple of 2, 4, 8 ... below that is a head.
        """
        heads = pfns.copy()
        open_rows = np.flatnonzero(self.classes[as_index(pfns)] & ROLE_MASK == TAIL)
        for order in range(1, MAX_ORDER + 1):
            if not len(open_rows):
                break
            candidates = pfns[open_rows] & ~np.uint64((1 << order) - 1)
            found = self.classes[as_index(candidates)] & ROLE_MASK == HEAD
            # In a folio that was torn while it was read, a head further down may be that of another one.
            found[found] = candidates[found] + self._sizes(candidates[found]) > pfns[open_rows[found]]
            heads[open_rows[found]] = candidates[found]
            open_rows = open_rows[~found]
        return heads

    def kinds_of(self, pfns: U64) -> U8:
        """Return the kind of each page's folio (tails do not show it themselves)."""
        return self.classes[self.heads_of(pfns)] & np.uint8(KIND_MASK)

    def _sizes(self, heads: U64) -> U64:
        return np.left_shift(np.uint64(1), self.orders_of(heads).astype(np.uint64))

    def orders_of(self, heads: U64) -> U8:
        """Return the order of the folio at each head: how often its size doubles before the page after it is no tail."""
        orders = np.zeros(len(heads), np.uint8)
        growing = np.flatnonzero(self.classes[as_index(heads)] & ROLE_MASK == HEAD)
        for order in range(MAX_ORDER):
            after = np.minimum(as_index(heads[growing]) + (1 << order), self.max_pfn)
            growing = growing[self.classes[after] & ROLE_MASK == TAIL]
            if not len(growing):
                break
            orders[growing] = order + 1
        return orders

    def forget(self, pfns: U64) -> None:
        """Drop what is known of `pfns`, so that the next `learn` reads it again."""
        self.classes[pfns] = 0
        self.counts[pfns] = 0

    def _read_ranges(self, starts: U64, ends: U64, step: int) -> tuple[U64, U64]:
        """Read ranges; return the ranges, aligned to `step`, that hold the rest of the folios at their ends."""
        more_starts, more_ends = [], []
        # One frame further than asked for shows whether the last folio goes on.
        read_ends = np.minimum(ends + _ONE, np.uint64(self.max_pfn))
        for first, last in batches(read_ends - starts, CHUNK_PFNS):
            begin, end, read_end = starts[first:last], ends[first:last], read_ends[first:last]
            lengths = read_end - begin
            classes = self._read_batch(begin, end, lengths)
            after = as_index(np.cumsum(lengths))
            # A range that extends a folio touches what was read of it already: there it need not be extended again.
            starts_inside = classes[after - as_index(lengths)] & ROLE_MASK == TAIL
            before = self.classes[as_index(begin - (begin > 0))]
            starts_inside &= (before & READ == 0) | (before & ROLE_MASK == SMALL)
            goes_on = (classes[after - 1] & ROLE_MASK == TAIL) & (read_end > end)
            goes_on &= self.classes[as_index(end)] & (READ | ROLE_MASK) != READ | TAIL
            align = np.uint64(step)
            below, above = begin[starts_inside & (begin > 0)], end[goes_on]
            more_starts += [(below - _ONE) // align * align, above]
            more_ends += [below, np.minimum((above // align + _ONE) * align, np.uint64(self.max_pfn))]
        begin, end = np.concatenate(more_starts), np.concatenate(more_ends)
        order = np.argsort(begin)
        return merge_ranges(begin[order], end[order], 0)

    def _read_batch(self, starts: U64, ends: U64, lengths: U64) -> U8:
        """
        Read the words of `[start, start + length)` and keep those of `[start, end)`, of which at most one is left out.

        Returns the classes of all that was read. The three words of a frame are of three moments: in a batch of CHUNK_PFNS
        frames these lie some 15 ms apart.
        """
        words, what = self._words, plan(starts, lengths)
        classes = classify(words.read(self._files.flags_fd, what))
        counts = words.read(self._files.count_fd, what).astype(np.uint32)
        codes = self._codes_of(classes, starts, ends, lengths)
        read = classes | np.uint8(READ)
        if self.has_counts:
            # Free or unrelated frames that were read along: who maps them later must read them anew.
            uncounted = counts == 0
            if uncounted.any():
                read[uncounted & (classes & ROLE_MASK == SMALL) & (classes & KIND_MASK < Kind.ZERO)] = 0
            # vdso pages are reserved, yet mapped and counted like any file page; what has no count is PFNMAP or the like.
            device = classes == SMALL | Kind.DEVICE
            if device.any():
                read[device & ~uncounted] = SMALL | Kind.FILE | READ
        kept, at = ends - starts, np.cumsum(lengths) - lengths
        put_stretches(starts, kept, at, (self.classes, read), (self.counts, counts), (self.cgroups, codes))
        return classes

    def _codes_of(self, classes: U8, starts: U64, ends: U64, lengths: U64) -> U16:
        """
        Return the cgroup code of each frame of some ranges, read for one frame of each folio: a folio has one cgroup.

        The first frame of a range is read too: the head of its folio may lie before. What was read behind `ends` only shows
        where a folio ends, so it gets a code that nobody looks at.
        """
        if self._files.cgroup_fd < 0:
            return np.zeros(len(classes), np.uint16)
        at = as_index(np.cumsum(lengths) - lengths)
        wanted = classes & np.uint8(ROLE_MASK) != TAIL
        wanted[(at + as_index(lengths) - 1)[lengths > ends - starts]] = False
        wanted[at] = True
        first = np.flatnonzero(wanted)
        of_range = np.diff(np.searchsorted(first, at), append=len(first))
        pfns = first.view(np.uint64) + np.repeat(starts - at.view(np.uint64), of_range)
        codes = self._cgroup_codes(self._words.read_apart(self._files.cgroup_fd, pfns, HEAD_GAP_PFNS))
        return np.repeat(codes, np.diff(first, append=len(classes)))

    def _cgroup_codes(self, inodes: U64) -> U16:
        """Return the code of each inode."""
        changes = np.flatnonzero(inodes[1:] != inodes[:-1]) + 1
        if not len(changes):
            return np.full(len(inodes), self._code(int(inodes[0])), np.uint16)
        # Neighbours mostly are charged alike: one look-up for each stretch.
        begins = np.concatenate(([0], changes))
        distinct, which = np.unique(inodes[begins], return_inverse=True)
        codes = np.array([self._code(inode) for inode in distinct.tolist()], np.uint16)
        return np.repeat(codes[which], np.diff(begins, append=len(inodes)))

    def _code(self, inode: int) -> int:
        code = self._codes.get(inode)
        if code is None:
            code = self._codes[inode] = len(self.cgroup_inodes)
            self.cgroup_inodes.append(inode)
        return code
