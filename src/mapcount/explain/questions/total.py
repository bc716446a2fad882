"""The question "What does a total mapcount fix, and what not?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.costs import reader_price
from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.models import verdicts
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import DAVID, LARGE_MAPCOUNT, PETER, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEMES = ("nr-pages-mapped", "total-mapcount", "large-mapcount")
CALLERS = ("mapcount/zap-fault", "kpagecount/zap-fault", "compaction/fork-zap", "madvise/hand-over")


def evidence(_given: Given) -> Iterator[Part]:
    """Judge callers without and with one counter, and count what one read takes."""
    yield verdicts("What callers see: without one counter, with the thread's, and with that of 6.10", SCHEMES, CALLERS)
    rows = []
    for scheme in SCHEMES:
        asked = reader_price(scheme, "folio_mapcount")
        rows.append((scheme, asked.loads, asked.struct_pages))
    columns = (Heading("counted by", "text"), Heading("loads"), Heading("struct pages"))
    yield Figures("One read of the mapcount of a folio of 2 MiB that two processes map by PTEs", columns, tuple(rows))


QUESTION = Question(
    id="total",
    title="What does a total mapcount fix, and what not?",
    asked=(
        Asked("Having a total mapcount does sound helpful if partial folio is common indeed.", PETER, THE_10TH),
        Asked("Right, so one current idea is to have a single total_mapcount", DAVID, THE_10TH),
    ),
    answer=prose("""
        It fixes the number of mappings of a folio. It is one word now: one read instead of one for each page, and never a
        sum of what belongs to different moments. Whether anybody maps the folio follows from it.

        It does not make the number last: it is old as soon as it was read. It does not help who compares it with another
        word, such as the number of users: two reads are two moments again, and a pin can hide between them (compaction,
        below). And it says how many, not whose: 16 mappings of 16 pages may be one process with all of them, or two
        with a half each. Who needs to know whether a folio is shared still has to guess (madvise, below).
        """),
    evidence=evidence,
    history=prose("""
        The thread's patch was not merged as it was. 6.10 has it as _large_mapcount, after fork, unmapping and splitting
        had learnt to count many pages in one call, so that the counter costs one change a call and not one a page. Whose
        the mappings are was answered in 6.15.
        """),
    sources=(THREAD, LARGE_MAPCOUNT),
    words=("folio", "mapcount", "torn", "stale", "pin"),
    again=("mapcount schemes large-mapcount", "mapcount explain refcount"),
)
