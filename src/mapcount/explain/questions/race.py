"""The question "What is the race, exactly?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.properties import TRUTH_MOVES
from mapcount.explain.evidence import Says
from mapcount.explain.models import race, verdict_of
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import FIX_2022, LARGE_MAPCOUNT, MATTHEW, PETER, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

ONE_COUNTER = "large-mapcount/mapcount/pmd-and-ptes/2"


def evidence(_given: Given) -> Iterator[Part]:
    """Draw a reader that is told 0 of a folio that was always mapped; then the same with one counter."""
    yield race("Torn: a folio of two pages that somebody maps all the time", "false-zero", "no-false-unmapped")
    one = verdict_of(ONE_COUNTER)
    never = "none" if one.status == "holds" else "some"
    changes = "some" if one.sometimes and one.sometimes[TRUTH_MOVES] else "none"
    yield Says(
        f"With one counter (6.10), same writers, same reader: {one.states} states, which are all, and in {never} does it "
        f"return what was never true. Yet in {changes} the truth changes while it looks: what it returns may be old."
    )


QUESTION = Question(
    id="race",
    title="What is the race, exactly?",
    asked=(
        Asked("Is the race described about mapcount being changed right after it's read?", PETER, THE_10TH),
        Asked(
            "The problem is that people check the mapcount while holding no locks; not the PTL, not the page lock. So it's "
            "an unfixable race.",
            MATTHEW,
            THE_10TH,
        ),
    ),
    answer=prose("""
        There are two. The first: processes map and unmap a folio while somebody reads how often it is mapped, and nothing
        stops them. The number was right when it was read and is old when it is used: stale. No way of counting cures
        that, only a lock that keeps all of them out.

        The second: up to 6.9 the number was no word in memory. The reader added up one counter for PMDs and one for each
        page. While it walks from one to the next, a mapping may move from where it has not looked yet to where it has
        looked already. It then misses both, and returns a number that was true at no moment: torn. That one can be cured,
        by a single counter. Below, CPU 2 reads the count of PMDs before CPU 1 maps one, and the number of pages mapped by
        PTEs after CPU 0 has unmapped them.
        """),
    evidence=evidence,
    history=prose("""
        6.10 gave large folios a counter of all their mappings: torn is gone for the mapcount, stale is left. 6.15 put a
        lock around that counter, and the one reader that must be right, copy on write, takes it.
        """),
    sources=(THREAD, LARGE_MAPCOUNT, FIX_2022, "mm/rmap.c folio_total_mapcount(), 6.5"),
    words=("folio", "PTE", "PMD", "mapcount", "page-table lock"),
    again=("mapcount check false-zero", "mapcount explain trust"),
)
