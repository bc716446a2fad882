"""Words: the memory in which a way of counting keeps what it knows, and where in struct page each lies.

What a word means (scope, width, bias) is the same wherever it stands; its place differs between kernels and is given by
the scheme. Words are addressed by (word, index): a page word by the page's number in the array of all pages of large
folios, a folio word by the folio's number.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

STRUCT_PAGE_BYTES = 64
"""sizeof(struct page) on x86-64 of all kernels from 4.5 to 7.3: one cache line."""


class Scope(enum.Enum):
    """What a word belongs to: every page of a folio has its own, or the folio has one."""

    PAGE = "page"
    FOLIO = "folio"


@dataclass(frozen=True)
class Word:
    """
    A word, or (with `bit`) one flag of a word.

    `bias` is what an unused one holds: -1 for the kernel's counters that start at -1. `width_bits` is 1 for a flag, which
    wraps at nothing; integers are signed and wrap at their width.
    """

    name: str
    scope: Scope
    width_bits: int = 32
    bias: int = 0
    container: str = ""
    """Of a flag: the kernel's name of the word that holds it."""

    @property
    def is_flag(self) -> bool:
        """Whether it is a single bit."""
        return bool(self.container)

    def at(self, offset: int, *, page: int = 0, bit: int = 0, small_only: bool = False, anyhow: bool = False) -> Place:
        """Return the word in its place: bytes into struct page number `page` of the folio (0 for page words)."""
        if not 0 <= offset < STRUCT_PAGE_BYTES:
            raise ValueError(f"{self.name}: offset {offset} is not inside a struct page of {STRUCT_PAGE_BYTES} bytes")
        return Place(self, page, offset, bit, small_only, anyhow)


@dataclass(frozen=True)
class Place:
    """Where one kernel keeps a word: 64-bit layout."""

    word: Word
    page: int
    """Number of the struct page of the folio; 0 for page words, which lie in the struct page of their page."""
    offset: int
    """Bytes into that struct page."""
    bit: int = 0
    """Of a flag: its number in the word."""
    small_only: bool = False
    """Of a page word: folios of one page use it, the pages of large folios leave it as it is."""
    anyhow: bool = False
    """It is there in every design, as a reference count is: its bytes are not among what this one takes."""


def page_word(name: str, *, bias: int = 0, width_bits: int = 32) -> Word:
    """Declare a word that every page has."""
    return Word(name, Scope.PAGE, width_bits, bias)


def folio_word(name: str, *, bias: int = 0, width_bits: int = 32) -> Word:
    """Declare a word that a large folio has once."""
    return Word(name, Scope.FOLIO, width_bits, bias)


def page_flag(name: str) -> Word:
    """Declare a flag in the flags of every page."""
    return Word(name, Scope.PAGE, 1, 0, "flags")


def folio_flag(name: str, container: str) -> Word:
    """Declare a flag that a folio has once, in the word `container`."""
    return Word(name, Scope.FOLIO, 1, 0, container)


# Words that several schemes use. What each counts is said by the scheme.
_mapcount = page_word("_mapcount", bias=-1)
_entire_mapcount = folio_word("_entire_mapcount", bias=-1)
_nr_pages_mapped = folio_word("_nr_pages_mapped")
_large_mapcount = folio_word("_large_mapcount", bias=-1)
PG_anon_exclusive = page_flag("PG_anon_exclusive")
"""Of a page that a PTE maps: its own; of a folio that a PMD maps: the head's."""
