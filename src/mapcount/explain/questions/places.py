"""The question "Where do the counters lie, and does a new one cost a cache line?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, MM_IDS, PETER, THREAD
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.describe import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEMES = ("nr-pages-mapped", "total-mapcount", "large-mapcount", "mm-id")


def evidence(_given: Given) -> Iterator[Part]:
    """List the counters that a folio has once, with their places."""
    columns = (
        Heading("counted by", "text"),
        Heading("counter", "text"),
        Heading("struct page"),
        Heading("byte"),
        Heading("bits"),
    )
    rows = [
        (scheme, word.name, word.struct_page, word.offset, word.bits)
        for scheme in SCHEMES
        for word in describe(scheme).words
        if word.scope == "folio" and not word.flag_of
    ]
    yield Figures("Counters of a folio; struct page 0 is that of its first page", columns, tuple(rows))
    for scheme in SCHEMES:
        for order in sorted(find_scheme(scheme).scheme.unsupported_orders):
            yield Says(
                f"{scheme}: no folios of order {order}, {1 << order} pages: they have no struct page for all of it."
            )


QUESTION = Question(
    id="places",
    title="Where do the counters lie, and does a new one cost a cache line?",
    asked=(
        Asked(
            "Does moving _nr_pages_mapped to the next struct page cost a cache line?",
            PETER,
            "August 2023",
            verbatim=False,
        ),
        Asked(
            "Could the reference count of a tail page, which is unused, hold it?", PETER, "August 2023", verbatim=False
        ),
        Asked(
            "Is byte 24 not in the mapping of the tail page, which is poisoned?", PETER, "August 2023", verbatim=False
        ),
        Asked(
            "Freeing sets the counter to 0, though nobody is -1: is that right?",
            "Ryan Roberts",
            "August 2023",
            verbatim=False,
        ),
    ),
    answer=prose("""
        A folio has one struct page for each of its pages, but most fields matter only in the first. So those of the
        others, the tail pages, are used for what a large folio needs more: the second holds the counters. One struct page
        is one cache line, so counters that are changed together want to lie in the same.

        The thread's patch put its counter where _nr_pages_mapped was and moved that one to the third struct page: one more
        cache line for every page mapped by a PTE. Byte 24 is where tail pages have a poison in the field mapping, but the
        counters are set after that; and when the folio is freed it is memory again, which is zeroed. The reference count of
        a tail page is not free for use: code that meets a page by its number takes a reference if there is one, and must
        find 0 in a tail.
        """),
    evidence=evidence,
    history=prose("""
        It needed no other cache line in the end: 8 bytes of the second struct page became free before 6.10, and the
        counter went there, which folios of two pages have as well. 6.15 needed 16 more bytes for owners; the number of pages
        moved away for them.
        """),
    sources=(THREAD, "include/linux/mm_types.h, 6.5, 6.12 and 7.1", LARGE_MAPCOUNT, MM_IDS),
    words=("struct page", "folio", "refcount"),
    again=("mapcount schemes total-mapcount", "mapcount explain struct-page"),
)
