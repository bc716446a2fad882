"""What a way of counting declares of itself: its words, operations, readers with their promises, variants, invariants."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mapcount.schemes.memory import Memory
    from mapcount.schemes.truth import FolioTruth
    from mapcount.schemes.words import Place

PTE_OPERATIONS = ("new_ptes", "map_ptes", "unmap_ptes", "dup_ptes")
"""Called with (m, folio, order, page, nr, mm): `page` is the number of the first of `nr` consecutive pages."""
PMD_OPERATIONS = ("new_pmd", "map_pmd", "unmap_pmd", "dup_pmd", "split_pmd")
"""Called with (m, folio, order, page, mm): `page` is the number of the folio's first page."""
HUGETLB_OPERATIONS = ("new_hugetlb", "map_hugetlb", "unmap_hugetlb", "dup_hugetlb")
"""Called like PMD_OPERATIONS, whatever the level of the entry."""
OPERATIONS = PTE_OPERATIONS + PMD_OPERATIONS + HUGETLB_OPERATIONS
REFUSED = 1
"""What dup_* returns when the folio may be pinned and must be copied instead; 0 when it was shared."""


class Quantity(enum.Enum):
    """What a reader's number is about. Two readers of different quantities are not comparable."""

    ENTRIES = "page-table entries that map the folio (a PMD or PUD entry counts one)"
    PAGE_ENTRIES = "page-table entries that map the page"
    MAPPED = "whether any entry maps the folio"
    PAGES_MAPPED = "pages of the folio that any entry maps"
    SHARED = "whether more than one address space maps the folio"
    PARTIAL = "whether some of its pages are mapped and some are not"
    ADDRESS_SPACES = "address spaces that map the folio"
    VMAS = "VMAs that map the folio"
    TABLE_PAIRS = "pairs of a VMA and a page table that map the folio"
    COMPLETE_MAPPINGS = "VMAs that map all of the folio's pages"
    EXTRA_REFERENCES = "references to the folio that are no mappings and not the page cache's"
    OTHERS = "whether another address space maps the folio, or something that is no mapping refers to it"


class Promise(enum.Enum):
    """What a reader promises when nobody changes anything meanwhile."""

    EXACT = "exact"
    NEVER_LESS = "never less"
    """one-sided: at least the truth (of a yes or no: no false no)"""
    NEVER_MORE = "never more"
    """one-sided: at most the truth"""
    BOUNDED = "bounded"
    """within the bounds that the reader states"""
    ESTIMATE = "estimate"
    """a guess that may be off in both directions without a bound"""


@dataclass(frozen=True)
class Reader:
    """A question that the scheme answers from its own words: a function (m, folio, order, page) of the module."""

    name: str
    quantity: Quantity
    promise: Promise
    says: str
    """What it reads and what may be off, in a sentence."""
    bounds: Callable[[FolioTruth], tuple[int, int]] | None = None
    """Of a BOUNDED reader: the least and the greatest value it may return for that truth."""
    per_page: bool = False
    """It is asked of a page (`page` is that page), not of the folio (`page` is its first)."""


@dataclass(frozen=True)
class Invariant:
    """What must hold of a folio's words and the truth whenever no operation is under way; `broken` returns what does not."""

    text: str
    broken: Callable[[Words, FolioTruth], str | None]


class Words:
    """The words of one folio in a Memory: `folio[name]` and `page(name, i)`, for invariants."""

    def __init__(self, m: Memory, folio: int) -> None:
        self._m, self._folio = m, folio
        self.order, self.kind = m.orders[folio], m.kind[folio]

    def __getitem__(self, name: str) -> int:
        """Return a folio word as it is stored."""
        return self._m.words[name][self._folio]

    def pages(self, name: str) -> list[int]:
        """Return a page word of all pages of the folio, as stored."""
        base = self._m.base[self._folio]
        return self._m.words[name][base : base + (1 << self.order)]

    def stat(self, *stats: int) -> int:
        """Return the folio's share of statistics, in pages."""
        return sum(self._m.stats[stat][self._folio] for stat in stats)


@dataclass(frozen=True)
class Variant:
    """A scheme with other constants: names of the module (or of what it calls) and their values."""

    constants: Mapping[str, int]
    says: str
    places: tuple[Place, ...] = ()
    """Its words, where they are not the scheme's."""
    invariants: tuple[Invariant, ...] = ()
    """What holds of them, where that is not what holds of the scheme's."""


@dataclass(frozen=True)
class Scheme:
    """A way of counting. Its operations and readers are functions of `module`; what is not there, it cannot do."""

    id: str
    title: str
    module: str
    places: tuple[Place, ...]
    readers: tuple[Reader, ...]
    when: str
    referee: str
    """Real kernels that its words were held against, or why there are none."""
    sources: tuple[str, ...]
    cannot: Mapping[str, str] = field(default_factory=dict)
    """Questions that it cannot answer, by the name of the reader, and why."""
    variants: Mapping[str, Variant] = field(default_factory=dict)
    invariants: tuple[Invariant, ...] = ()
    scalable: tuple[str, ...] = ()
    """Constants that only have to be larger than any count: a checker may make them small."""
    narrow: Mapping[str, int] = field(default_factory=dict)
    """Constants with which, in folios of up to four pages, no number has more than 31 bits, and nothing else differs."""
    refuses_pinned: bool = False
    """dup_* refuses a folio that may be pinned."""
    unsupported_orders: tuple[int, ...] = ()
    """Orders of folios that have no struct page where a word lies: no kernel of this scheme may map one."""
    stays: tuple[str, ...] = ()
    """Words and statistics, as Memory.state() names them, that need not be as at first when all is unmapped."""
    based_on: tuple[int, int] | None = None
    """Of a proposal, the release that it was made for: whether callers go page by page is that kernel's."""
    splits_at_once: bool = False
    """A folio of which a part is unmapped is split there and then: none stays partially mapped, so none is to be found."""
    anon_mixed_by_split_only: bool = False
    """It counts right only where no anon folio gets a PTE while a PMD maps it, or the reverse, but by split_pmd."""

    def function(self, name: str) -> Callable[..., Any] | None:
        """Return an operation or reader, or None if the scheme has none of that name."""
        found: Callable[..., Any] | None = getattr(sys.modules[self.module], name, None)
        return found
