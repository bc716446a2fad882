"""What a way of counting takes: bytes of counters per folio and per GiB, and what it means for a smaller struct page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.schemes.words import STRUCT_PAGE_BYTES, Scope

if TYPE_CHECKING:
    from collections.abc import Container

    from mapcount.schemes.scheme import Scheme

PAGE_BYTES = 4096
GIB = 1 << 30
STRUCT_PAGE_SIZES = (STRUCT_PAGE_BYTES, 32, 16, 8)
"""Today's size and the goals: 32 bytes, 16, and one tagged word of 8 (Matthew Wilcox, memdescs)."""


@dataclass(frozen=True)
class Footprint:
    """Memory that the counters of folios of one order take; flags and locks inside other words are not counted."""

    order: int
    bytes_per_folio: int
    bytes_per_gib: int


@dataclass(frozen=True)
class Fit:
    """One size of struct page."""

    struct_page_bytes: int
    memmap_bytes_per_gib: int
    """Memory that the array of struct pages takes, per GiB of RAM of 4 KiB pages."""
    page_bytes: int
    """Bytes that the scheme needs in the struct page of every page of a large folio."""
    fits: bool
    says: str


def page_bytes(scheme: Scheme, without: Container[str] = ()) -> int:
    """Return the bytes of counters that every page of a large folio needs for itself; words of `without` are left out."""
    return sum(
        place.word.width_bits // 8
        for place in scheme.places
        if place.word.scope is Scope.PAGE and not place.word.is_flag and not place.small_only
        if not place.anyhow and place.word.name not in without
    )


def folio_bytes(scheme: Scheme, without: Container[str] = ()) -> int:
    """Return the bytes of counters that a large folio has once; words of `without` are left out."""
    return sum(
        place.word.width_bits // 8
        for place in scheme.places
        if place.word.scope is Scope.FOLIO and not place.word.is_flag and place.word.name not in without
    )


def footprint(scheme: Scheme, order: int, without: Container[str] = ()) -> Footprint:
    """Return what the counters of folios of one order (1 or higher) take; words of `without` are left out."""
    bytes_per_folio = folio_bytes(scheme, without) + (page_bytes(scheme, without) << order)
    return Footprint(order, bytes_per_folio, bytes_per_folio * (GIB // PAGE_BYTES >> order))


def fit(scheme: Scheme, struct_page_bytes: int) -> Fit:
    """Return whether the scheme leaves struct page that small, and what it takes of it."""
    per_page = page_bytes(scheme)
    memmap = GIB // PAGE_BYTES * struct_page_bytes
    if struct_page_bytes == STRUCT_PAGE_BYTES:
        return Fit(struct_page_bytes, memmap, per_page, fits=True, says="today's struct page")
    if struct_page_bytes == 8:
        if per_page:
            return Fit(
                struct_page_bytes, memmap, per_page, fits=False, says="one tagged word: no room for a count per page"
            )
        return Fit(
            struct_page_bytes, memmap, per_page, fits=True, says="the counts move into a descriptor of the folio"
        )
    if per_page:
        words = f"every page keeps {per_page} of {struct_page_bytes} bytes for its count"
    else:
        words = "no count per page stands in the way"
    return Fit(struct_page_bytes, memmap, per_page, fits=True, says=words)
