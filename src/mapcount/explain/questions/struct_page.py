"""The question "What does it have to do with shrinking struct page?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import MATTHEW, NO_PAGE_MAPCOUNT, THE_10TH, THREAD
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.footprint import GIB, STRUCT_PAGE_SIZES, fit, footprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEMES = ("nr-pages-mapped", "large-mapcount", "mm-id", "no-page-mapcount", "total-mapped-pages")
PMD_ORDER = 9


def evidence(_given: Given) -> Iterator[Part]:
    """Say what struct pages of several sizes take, and which ways of counting leave room for them."""
    any_scheme = find_scheme(SCHEMES[0]).scheme
    sizes = ((size, memory := fit(any_scheme, size).memmap_bytes_per_gib, memory / GIB) for size in STRUCT_PAGE_SIZES)
    yield Figures(
        "What struct pages take of each GiB of memory",
        (Heading("bytes each"), Heading("of 1 GiB", "bytes"), Heading("share", "share")),
        tuple(sizes),
    )
    columns = (
        Heading("counted by", "text"),
        Heading("per page", "bytes"),
        Heading("of 2 MiB", "bytes"),
        Heading("room in 8 bytes", "text"),
    )
    rows = []
    for scheme in SCHEMES:
        smallest = fit(find_scheme(scheme).scheme, STRUCT_PAGE_SIZES[-1])
        total = footprint(find_scheme(scheme).scheme, PMD_ORDER).bytes_per_folio
        rows.append((scheme, smallest.page_bytes, total, "yes" if smallest.fits else "no"))
    yield Figures("Counters: in the struct page of every page, and of a folio of 2 MiB in all", columns, tuple(rows))


QUESTION = Question(
    id="struct-page",
    title="What does it have to do with shrinking struct page?",
    asked=(Asked("Also it's one of the things which stands in the way of shrinking struct page.", MATTHEW, THE_10TH),),
    answer=prose("""
        The kernel has 64 bytes for every page of 4 KiB: 1.6% of all memory, whatever it is used for. Most of it is the
        same for all pages of a folio. The plan is to keep that once, in an object of the folio, and to leave in each page
        little more than a pointer to it: 8 bytes.

        What differs from page to page cannot move there, and the count of how often this very page is mapped is just
        that. So counts per page must go before struct page can become that small. A counter of the whole folio, however
        wide, is no obstacle: it moves into the object.
        """),
    evidence=evidence,
    history=prose("""
        The goal of 2025 was 32 bytes, which still has room for a count. The form with 8 bytes needs kernels without counts
        per page everywhere; they can be built since 6.15, and are not the default in 7.1.
        """),
    sources=(
        THREAD,
        "linux-mm, Matthew Wilcox, January 2025 (struct page of 32 bytes)",
        "linux-mm, Matthew Wilcox, January 2023 (no state per page once a page is one pointer)",
        NO_PAGE_MAPCOUNT,
    ),
    words=("struct page", "folio", "mapcount"),
    again=("mapcount schemes mm-id", "mapcount explain removal"),
)
