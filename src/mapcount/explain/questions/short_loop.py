"""The question "Can the loop over pages stop early?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Says
from mapcount.explain.models import race, verdict_of
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

WHOLE_LOOP = "nr-pages-mapped/mapcount/much-mapped/2"


def evidence(_given: Given) -> Iterator[Part]:
    """Draw the loop that stops early, then judge the one that does not with the same writer."""
    yield race("A loop that stops after as many pages as were mapped when it began", "short-loop", "never-under")
    whole = verdict_of(WHOLE_LOOP)
    broken = ", ".join(one.property for one in whole.violations) or "nothing"
    yield Says(f"The loop over all pages, same writer, {whole.states} states: {broken} is violated.")


QUESTION = Question(
    id="short-loop",
    title="Can the loop over all pages stop early?",
    asked=(
        Asked(
            "Yes, that comment from Hugh primarily discusses how we could possibly optimize the loop, and if relying on "
            'folio_nr_pages_mapped() to reduce the iterations would be racy. As far as I can see, there are cases where "it '
            'would be certainly a bad idea" :)',
            "quoted in the thread",
            THE_10TH,
        ),
    ),
    answer=prose("""
        To learn how often a folio of 512 pages is mapped, kernels up to 6.9 read 512 counters. They also kept the number
        of pages that are mapped at all. So why not stop after that many pages with a count above zero were seen?

        Because the number may be old by then. Below, one page is mapped three times and nothing ever changes that. The
        reader learns that one page is mapped; another process maps the first page; the reader finds that one first, has
        seen its one page, and stops. It returns 1, and there were never fewer than 3. The loop over all pages
        returns a number that was true here.
        """),
    evidence=evidence,
    history=prose("""
        The loop was never shortened. 6.10 made it unnecessary: one counter, one read.
        """),
    sources=(THREAD, "mm/rmap.c folio_total_mapcount(), 6.5", LARGE_MAPCOUNT),
    words=("folio", "mapcount"),
    again=("mapcount check short-loop",),
)
