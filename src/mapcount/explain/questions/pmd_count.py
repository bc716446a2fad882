"""The question "Why is entire_mapcount really a count of PMDs?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import play
from mapcount.explain.sources import MATTHEW, RFC_2026, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

RELEASE = "6.5"
STEPS = """
p: mmap a 2M huge
p: touch a[0]
p: fork c
c: mprotect a[5] ro
p: munmap a[0]
"""


def evidence(_given: Given) -> Iterator[Part]:
    """Run two processes that share a folio of 2 MiB; the child's PMD is split, then the parent's."""
    columns = (
        Heading("after", "text"),
        Heading("p maps"),
        Heading("c maps"),
        Heading("entire"),
        Heading("page 5"),
        Heading("page 0"),
    )
    rows = [
        (
            seen.step,
            seen.pages_of("p"),
            seen.pages_of("c"),
            seen.word("_entire_mapcount") + 1,
            seen.page_counts()[5],
            seen.page_counts()[0],
        )
        for seen in play(STEPS, RELEASE)
        if seen.observation.folios
    ]
    title = f"Pages that two processes map, entire_mapcount, and the counts of two pages (model of {RELEASE})"
    yield Figures(title, columns, tuple(rows))


QUESTION = Question(
    id="pmd-count",
    title="Why is entire_mapcount really a count of PMDs?",
    asked=(
        Asked(
            "The problem is that entire_mapcount isn't really entire_mapcount. It's pmd_mapcount.", MATTHEW, THE_10TH
        ),
        Asked(
            "Why does a folio need both, an entire_mapcount and counts per page?",
            "Zi Yan",
            "August 2023",
            verbatim=False,
        ),
    ),
    answer=prose("""
        A folio of 2 MiB can be mapped in two ways: by one PMD, or by 512 PTEs. Both give a process the same memory. The
        kernel counts the first in entire_mapcount, and the second in a count of each page.

        So entire_mapcount does not say who maps the entire folio. In the steps below the child always maps all 512
        pages. Once it changes the rights of one of them, its PMD has to be replaced by 512 PTEs, and entire_mapcount
        drops from 2 to 1, though nothing has become less entire. Folios below 2 MiB cannot be mapped by a PMD: theirs is
        always 0.

        Both are kept so that three numbers are right: how many pages are mapped at all (AnonPages, Mapped), how much is
        mapped by PMDs (AnonHugePages), and whether pages are left that nobody maps.
        """),
    evidence=evidence,
    history=prose("""
        It is a count of PMDs since 4.5, then called compound_mapcount. A proposal of 2026 drops it: how many PMDs map a
        folio follows from two other counters there. What is given up for that is the exactness that it was kept for.
        """),
    sources=(THREAD, "mm/rmap.c, 6.5", RFC_2026),
    words=("PTE", "PMD", "folio"),
    again=("mapcount run pmd-split-by-mprotect-2M --era 6.5", "mapcount explain whole-folio"),
)
