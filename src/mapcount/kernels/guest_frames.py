"""What a guest's struct pages say of its page frames, in the form in which a capture keeps what /proc/kpage* says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from mapcount.capture.kpage import HEAD, READ, SMALL, SWAPCACHE, TAIL, KpageFiles
from mapcount.capture.physical import PhysicalPages
from mapcount.kernels.folio_words import read_folio, state_of
from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.kernels.folio_words import RawFolio
    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.mapping.schema import I64, Bools
    from mapcount.scenarios.observation import FolioState, Runs

_NO_FILES = -1


class GuestFrames(PhysicalPages):
    """Filled by `add` from a guest's memory; nothing is read of files."""

    def __init__(self, memory: GuestMemory, mm_names: Mapping[int, str], *, page_mapcount: bool) -> None:
        """`mm_names` are names of address spaces by the ids that their folios' slots hold (folio_words.py)."""
        super().__init__(KpageFiles(_NO_FILES, _NO_FILES, _NO_FILES, memory.nr_frames))
        self._memory = memory
        self._mm_names = mm_names
        self._page_mapcount = page_mapcount
        self.states: dict[int, FolioState] = {}
        """The folios by the frame of their first page, with all their words."""

    @property
    def has_counts(self) -> bool:
        """Whether there are counts: those that the words imply."""
        return True

    def add(self, pfns: npt.NDArray[np.integer], *, hugetlb: Bools, kernels_own: Bools) -> None:
        """
        Learn of the folios of some frames, whole.

        `hugetlb` tells which of them are mapped as such; `kernels_own` which are mapped where the kernel shows data of its
        own ([vvar]): a reserved page there is no zero page.
        """
        heads = self._memory.heads(pfns.astype(np.int64))
        for head, at in zip(*np.unique(heads, return_index=True), strict=True):
            if int(head) not in self.states:
                folio = read_folio(self._memory, int(head), hugetlb=bool(hugetlb[at]))
                self._put(folio, kernels_own=bool(kernels_own[at]))

    def _put(self, folio: RawFolio, *, kernels_own: bool) -> None:
        state = state_of(self._memory, folio, self._mm_names, page_mapcount=self._page_mapcount)
        pages, counts = slice(folio.head, folio.head + (1 << folio.order)), kpagecounts(state)
        kind = folio.kind
        if folio.is_zero and (counts is None or not counts.any()):
            kind = Kind.DEVICE if kernels_own else Kind.ZERO
        self.states[folio.head] = state
        self.classes[pages] = TAIL | (kind if kind >= Kind.ZERO else 0)
        self.classes[folio.head] = (HEAD if folio.order else SMALL) | kind | (SWAPCACHE if self._swaps(folio) else 0)
        if counts is not None:
            self.classes[pages] |= READ
            self.counts[pages] = counts

    def _swaps(self, folio: RawFolio) -> bool:
        """Tell whether a folio is in the swap cache: one bit is that only for what is backed by swap."""
        layout, first = self._memory.layout, folio.pages[0].tobytes()
        flags = int.from_bytes(first[layout.page["flags"] :][:8], "little")
        return all(name in layout.flags and flags >> layout.flags[name] & 1 for name in ("swapbacked", "swapcache"))


def kpagecounts(state: FolioState) -> I64 | None:
    """
    Return what kpagecount has to say of each page of a folio, by its words; None where words of pages are not kept.

    A page's mappings are those that it counts by itself and those of the whole folio. Up to 6.1 a page of a file folio counts
    the latter too, and one of an anon folio that both levels map counts one too many (mm/util.c, __page_mapcount()).
    """
    words = state.words
    whole = cast("int", words.get("_entire_mapcount", words.get("compound_mapcount", -1))) + 1
    if state.kind is Kind.HUGETLB:
        return np.full(1 << state.order, whole)
    if "_mapcount" not in words:
        return None
    values, lengths = np.array(cast("Runs", words["_mapcount"]), np.int64).T
    own = np.repeat(values + 1, lengths)
    if not state.order:
        return own
    if "compound_mapcount" in words and state.kind is not Kind.ANON:
        return own
    return own + whole - cast("int", words.get("PG_double_map", 0))
