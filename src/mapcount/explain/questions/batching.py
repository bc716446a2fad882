"""The question "Should the counter come after rmap batching?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.costs import operation_price
from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, PETER, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEMES = ("nr-pages-mapped", "total-mapcount", "large-mapcount:unbatched", "large-mapcount", "no-page-mapcount")


def evidence(_given: Given) -> Iterator[Part]:
    """Unmap a folio of 512 pages page by page and at once, with each design; then the references, which all have."""
    columns = (Heading("what is changed", "text"), Heading("512 calls"), Heading("1 call"))
    rows = []
    for scheme in SCHEMES:
        by_page, at_once = (operation_price(scheme, "munmap", at_once=at_once) for at_once in (False, True))
        rows.append((f"words of {scheme}", by_page.locked, at_once.locked))
    rows.append(("references", by_page.references, at_once.references))
    yield Figures("LOCKed changes to unmap a folio of 2 MiB that PTEs map", columns, tuple(rows))


QUESTION = Question(
    id="batching",
    title="Should the counter come after rmap batching?",
    asked=(Asked("Should it come after batching of rmap?", PETER, "August 2023", verbatim=False),),
    answer=prose("""
        Whoever unmaps a stretch of memory used to call the reverse mapping for each page. Batching hands it all pages of a
        folio in one call. Counters of pages gain nothing, each still has to be changed. A counter of the whole folio
        gains all: one addition of 512 instead of 512 additions of 1. And so does the number of references.

        So it matters in which order the two come: without batching a counter of all mappings makes everything slower by one
        atomic change a page; after it, by one a call. The table shows both.
        """),
    evidence=evidence,
    history=prose("""
        In the thread the authors of both answered that the two do not depend on each other. In history batching went first:
        splitting (6.8), fork and unmapping (6.9); the counter followed in 6.10, and _nr_pages_mapped was batched in 6.12.
        Batching made fork up to 30% and munmap up to 58% faster: calls and references became fewer, not counters.
        """),
    sources=(
        THREAD,
        "20240125193227.444072-1-david@redhat.com (fork), 20240214204435.167852-1-david@redhat.com (zap)",
        LARGE_MAPCOUNT,
        '43c9074e6f09 ("mm/rmap: minimize folio->_nr_pages_mapped updates when batching PTE (un)mapping"), 6.12',
    ),
    words=("rmap", "LOCKed", "refcount"),
    again=("mapcount cost --operation munmap", "mapcount explain slower"),
)
