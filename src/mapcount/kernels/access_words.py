"""Where a kernel keeps the words of a folio, from its BTF: byte and bit of which struct page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.kernels.layout import Layout

FLAG_WORDS = {"PG_anon_exclusive": None, "PG_double_map": 1, "PG_partially_mapped": 1}
"""Flags with a meaning for mappings, and the struct page that has them; None: each page has its own."""
CONTAINERS = {"PG_anon_exclusive": "flags", "PG_double_map": "flags", "PG_partially_mapped": "flags"} | dict.fromkeys(
    ("_mm_id[0]", "_mm_id[1]", "FOLIO_MM_IDS_LOCK", "FOLIO_MM_IDS_SHARED"), "_mm_ids"
)
"""The kernel's name of the bytes that a word shares with others."""
_ID_BITS = 31
_COUNTERS = ("compound_mapcount", "_large_mapcount", "_entire_mapcount", "_nr_pages_mapped")
_LRU = 8
"""Where the list pointers of a page lie, in all kernels from 4.5 on."""


@dataclass(frozen=True)
class WordBits:
    """A word: `width` bits from bit `low` of struct page number `page` on; of every page if that is None."""

    name: str
    page: int | None
    low: int
    width: int = 32
    signed: bool = True

    def value(self, struct_page: bytes) -> int:
        """Return the word out of the bytes of its struct page."""
        value = int.from_bytes(struct_page, "little") >> self.low & (1 << self.width) - 1
        return value - (1 << self.width) if self.signed and value >> (self.width - 1) else value

    def overlaps(self, page: int, first: int, end: int) -> bool:
        """Tell whether bytes `[first, end)` of struct page `page` hold any of it."""
        return self.page in {None, page} and self.low < end * 8 and first * 8 < self.low + self.width


def words_of(layout: Layout, *, page_mapcount: bool) -> tuple[WordBits, ...]:
    """
    Return the words that count mappings in this kernel, _refcount, and flags that concern them.

    Without `page_mapcount` what is left of the fields of counts per page is no word.
    """
    words = [WordBits("_refcount", 0, 8 * layout.page["_refcount"])]
    words.append(WordBits("_mapcount", None, 8 * layout.page["_mapcount"]))
    for name, page in FLAG_WORDS.items():
        bit = layout.flags.get(name.removeprefix("PG_"))
        # The number of PG_double_map stayed in use for others when the flag was gone.
        if bit is not None and ("compound_mapcount" in layout.folio or name != "PG_double_map"):
            words.append(WordBits(name, page, bit, 1, signed=False))
    names = [name for name in _COUNTERS if page_mapcount or name != "_nr_pages_mapped"]
    words += [_in_folio(name, layout.folio[name]) for name in names if name in layout.folio]
    return (*words, *_mm_id_words(layout))


def rest_of(layout: Layout) -> dict[int, tuple[str, int]]:
    """Return other members of struct page by their byte offset, (name, width), to tell of accesses to no word."""
    members = {
        offset: (name, 4 if name in {"_mapcount", "_refcount"} else 8)
        for name, offset in layout.page.items()
        if not name.startswith("compound")
    }
    return members | {_LRU: ("lru", 16)}


def _in_folio(name: str, offset: int, bit: int = 0, width: int = 32, *, signed: bool = True) -> WordBits:
    page, byte = divmod(offset, STRUCT_PAGE_BYTES)
    return WordBits(name, page, 8 * byte + bit, width, signed)


def _mm_id_words(layout: Layout) -> Iterator[WordBits]:
    ids = layout.folio.get("_mm_ids")
    if ids is None:
        return
    for slot in (0, 1):
        name = f"_mm_id_mapcount[{slot}]"
        yield _in_folio(name, layout.folio[name])
        yield _in_folio(f"_mm_id[{slot}]", ids + 4 * slot, 0, _ID_BITS, signed=False)
    yield _in_folio("FOLIO_MM_IDS_LOCK", ids, _ID_BITS, 1, signed=False)
    yield _in_folio("FOLIO_MM_IDS_SHARED", ids, 63, 1, signed=False)
