"""What is true of each large folio over all mms together; the other files of the survey only add this up.

`known` tells whether the captured mappings and `unseen` are all there are. Where they are not, one mm is not called
exclusive and no page is called unmapped: nothing is guessed.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Consistency, Kind, Level
from mapcount.record import record
from mapcount.survey.coverage import Coverage, cover
from mapcount.survey.pairs import Pairs, pair_up

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, U8, Bools
    from mapcount.mapping.snapshot import Snapshot

RSS_KINDS = (Kind.ANON, Kind.SHMEM, Kind.FILE, Kind.KSM)
"""What the kernel's Rss and Pss count: no zero page, no hugetlb, no device memory."""


def saw_everything(snapshot: Snapshot) -> bool:
    """Tell whether every address space of the machine was captured and read to its end."""
    meta = snapshot.meta
    return meta.scope == "all" and not meta.partial and not meta.unreadable and bool(snapshot.mms.complete.all())


def is_kind(codes: U8, *kinds: Kind) -> Bools:
    """Tell which of the kind codes are one of `kinds`."""
    wanted = np.zeros(256, np.bool_)
    wanted[list(kinds)] = True
    return wanted[codes]


@record(frozen=True)
class Facts:
    """Arrays over the large folios of one snapshot, each computed when it is first asked for. Units are pages."""

    snapshot: Snapshot

    @cached_property
    def coverage(self) -> Coverage:
        """Mappings of each page."""
        return cover(self.snapshot)

    @cached_property
    def pages(self) -> I64:
        """Pages of each folio."""
        return self.coverage.pages

    @cached_property
    def mapped_pages(self) -> I64:
        """Pages that somebody maps, unseen mms included."""
        return self.coverage.mapped_pages()

    @cached_property
    def pairs(self) -> Pairs:
        """Each (mm, folio) once."""
        return pair_up(self.snapshot.runs.mm_id.astype(np.int64), self.snapshot.runs, self.coverage.base)

    @cached_property
    def mms(self) -> I64:
        """Captured mms that map each folio."""
        return np.bincount(self.pairs.folio, minlength=len(self.pages))

    @cached_property
    def has_unseen(self) -> Bools:
        """Folios that an mm which was not captured maps too."""
        seen = np.zeros(len(self.pages), np.bool_)
        seen[self.snapshot.unseen.folio_id[self.snapshot.unseen.mappings > 0]] = True
        return seen

    @cached_property
    def known(self) -> Bools:
        """Folios all of whose mappings are known: every mm was captured, or kpagecount gave an exact count of it."""
        if saw_everything(self.snapshot):
            return np.ones(len(self.pages), np.bool_)
        if self.snapshot.meta.counts_are != "exact":
            return np.zeros(len(self.pages), np.bool_)
        counted: Bools = self.snapshot.folios.consistency != Consistency.UNCHECKED
        return counted

    @cached_property
    def shared(self) -> Bools:
        """Folios that at least two mms map, one of them perhaps unseen."""
        shared: Bools = self.mms + self.has_unseen > 1
        return shared

    @cached_property
    def exclusive(self) -> Bools:
        """Folios all of whose mappings belong to one mm, surely."""
        exclusive: Bools = (self.mms == 1) & ~self.has_unseen & self.known
        return exclusive

    @cached_property
    def unmapped_pages(self) -> I64:
        """Pages that nobody maps; 0 where that is not known."""
        return np.where(self.known, self.pages - self.mapped_pages, 0)

    @cached_property
    def partial(self) -> Bools:
        """Folios of which some page is mapped and some page surely is not."""
        partial: Bools = (self.unmapped_pages > 0) & (self.mapped_pages > 0)
        return partial

    @cached_property
    def anon(self) -> Bools:
        """Anonymous folios."""
        return is_kind(self.snapshot.folios.kind, Kind.ANON)

    @cached_property
    def in_rss(self) -> Bools:
        """Folios that the kernel's Rss counts."""
        return is_kind(self.snapshot.folios.kind, *RSS_KINDS)

    @cached_property
    def wasted_pages(self) -> I64:
        """Pages of anon folios that nobody maps and that are not in the swap cache."""
        return np.where(self.anon & ~self.snapshot.folios.swapcache, self.unmapped_pages, 0)

    @cached_property
    def by_pte(self) -> Bools:
        """Folios that some PTE maps."""
        return self._mapped_by(self.snapshot.runs.level == Level.PTE)

    @cached_property
    def by_pmd(self) -> Bools:
        """Folios that some PMD or PUD maps."""
        return self._mapped_by(self.snapshot.runs.level != Level.PTE)

    def _mapped_by(self, chosen: Bools) -> Bools:
        found = np.zeros(len(self.pages), np.bool_)
        found[self.snapshot.runs.folio_id[chosen]] = True
        return found
