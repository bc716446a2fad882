"""The question "Will rmap be slower?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.costs import ERAS, operation_price
from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import DAVID, LARGE_MAPCOUNT, MM_IDS, PETER, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Cell, Part
    from mapcount.explain.given import Given

CASES = {
    "munmap by page": ("munmap", False),
    "munmap at once": ("munmap", True),
    "fork at once": ("fork", True),
    "copy a page": ("cow", True),
}


def evidence(_given: Given) -> Iterator[Part]:
    """Count LOCKed changes of a design's words for the same operations, design by design."""
    columns = (Heading("counted by", "text"), *map(Heading, CASES))
    rows: list[tuple[Cell, ...]] = []
    for scheme in ERAS:
        changed = [operation_price(scheme, name, at_once=at_once).locked for name, at_once in CASES.values()]
        rows.append((scheme, *changed))
    yield Figures("LOCKed changes of counters and flags, on a folio of 2 MiB that PTEs map", columns, tuple(rows))
    yield Says("fork also clears a flag of every page (512), in all of them: who may write to it without a copy.")


QUESTION = Question(
    id="slower",
    title="Will rmap be slower?",
    asked=(
        Asked(
            'Until we get there, also rmap code has to do eventually "more tracking" and might, unfortunately, end up slower.',
            DAVID,
            THE_10TH,
        ),
        Asked(
            "Were fewer loops for the reader held against more atomics for the writer?",
            PETER,
            "August 2023",
            verbatim=False,
        ),
    ),
    answer=prose("""
        It became faster, but not by the counter: one more counter is one more atomic change, and that costs. What paid for
        it is that the same code learnt to handle many pages in one call. The thread's counter is changed once a page: 1,536
        changes to unmap 2 MiB, at once or not. That of 6.10 is changed once a call, and since 6.12 so is the number of mapped
        pages: 514. But where pages go one by one, as in copy on write, each call pays for one more change.

        To know whose the mappings are (6.15) takes no more LOCKed changes than 6.12: it takes a lock around plain ones. What
        an uncontended operation costs hardly changed with that; with hundreds of CPUs on the same folios it did. Without
        counts per page nearly nothing is left to do.

        Counts of atomics are no times: they say what must be done, not how long other CPUs make one wait.
        """),
    evidence=evidence,
    history=prose("""
        Measured by those who sent the patches, on folios mapped by PTEs. The counter alone, one change a page: remapping
        13% and fork 14% slower on a Xeon 4210R, 24% and 26% on an EPYC 7313 (November 2023). After batching, as merged in
        6.10: mostly below 1%, fork of folios of 4 pages 4%, munmap at most 3%. Batching itself: fork up to 30%, munmap up to
        58% faster (6.9). Owners in 6.15: 0 to 4% slower munmap and fork; without counts per page 8 to 31% faster munmap. A
        test robot saw 7.8% less throughput with 256 threads that copy on write; partly since fewer THPs were allocated.
        """),
    sources=(
        THREAD,
        "20231124132626.235350-1-david@redhat.com (rmap IDs, measured step by step)",
        "20240125193227.444072-1-david@redhat.com (fork), 20240214204435.167852-1-david@redhat.com (zap)",
        LARGE_MAPCOUNT,
        MM_IDS,
        "202504152235.188dcce9-lkp@intel.com (kernel test robot)",
    ),
    words=("rmap", "LOCKed", "PTE", "THP"),
    again=("mapcount cost --operation fork,munmap,cow", "mapcount explain batching"),
)
