"""The question "Should the counter come after rmap batching?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.counting import PMD_ORDER, unmap_in_calls
from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, PETER, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Cell, Part
    from mapcount.explain.given import Given

SCHEMES = ("nr-pages-mapped", "total-mapcount", "large-mapcount:unbatched", "large-mapcount", "no-page-mapcount")
CALLS = (1, 16, 512)
"""Pages of one call."""


def evidence(_given: Given) -> Iterator[Part]:
    """Unmap a folio of 512 pages in calls of one, 16 and 512 pages each."""
    columns = (
        Heading("counted by", "text"),
        *(Heading(f"{512 // nr:,} call{'s' if nr < 512 else ''} of {nr}") for nr in CALLS),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (scheme, *(unmap_in_calls(scheme, PMD_ORDER, nr).locked for nr in CALLS)) for scheme in SCHEMES
    )
    yield Figures("LOCKed changes of counters to unmap a folio of 512 pages that PTEs map", columns, rows)


QUESTION = Question(
    id="batching",
    title="Should the counter come after rmap batching?",
    asked=(Asked("Should it come after batching of rmap?", PETER, THE_10TH, verbatim=False),),
    answer=prose("""
        Whoever unmaps a stretch of memory used to call the reverse mapping for each page. Batching hands it all pages of a
        folio in one call. Counters of pages gain nothing, each still has to be changed. A counter of the whole folio
        gains all: one addition of 512 instead of 512 additions of 1.

        So it matters in which order the two come: without batching a counter of all mappings makes everything slower by one
        atomic change a page; after it, by one a call. The table shows both.
        """),
    evidence=evidence,
    history=prose("""
        In the thread the authors of both answered that the two do not depend on each other. In history batching went first:
        splitting (6.8), fork and unmapping (6.9); the counter followed in 6.10, and _nr_pages_mapped was batched in 6.12.
        """),
    sources=(THREAD, LARGE_MAPCOUNT, '43c9074e6f09 ("mm/rmap: minimize folio->_nr_pages_mapped updates ..."), 6.12'),
    words=("rmap", "LOCKed"),
    again=("mapcount schemes large-mapcount:unbatched", "mapcount explain slower"),
)
