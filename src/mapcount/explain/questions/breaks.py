"""The question "What breaks if a reader is wrong?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.contexts import CONTEXTS
from mapcount.explain.evidence import Says
from mapcount.explain.models import verdicts
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import LARGE_MAPCOUNT, PETER, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.check.harm import Harm
    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

CALLERS = (
    "mapcount/zap-fault",
    "compaction/fork-zap",
    "reclaim/pmd-and-ptes",
    "madvise/hand-over",
    "cow-reuse/hand-over",
)
SCHEMES = ("nr-pages-mapped", "large-mapcount", "mm-id")


def evidence(_given: Given) -> Iterator[Part]:
    """Judge what callers in the kernel see with three ways of counting, and say who they are."""
    yield verdicts("What callers see while others map and unmap (6.2, 6.10, and 6.15 and later)", SCHEMES, CALLERS)
    for caller in CALLERS:
        context = CONTEXTS[caller.partition("/")[0]]
        yield Says(
            f"{context.id}: {context.function}. If it is wrong: {'; '.join(map(_told, context.relies.values()))}."
        )


def _told(harm: Harm) -> str:
    return harm.damage + (f" (it looks again: {harm.recheck})" if harm.recheck else "")


QUESTION = Question(
    id="breaks",
    title="What breaks if a reader is wrong?",
    asked=(
        Asked(
            "Are you aware of anything specific that will be broken, and will be fixed with this patch?",
            PETER,
            THE_10TH,
        ),
    ),
    answer=prose("""
        Less than one fears, because most callers know that the number may be wrong: they use it as a first guess and
        look again, with everybody kept out, before they do what cannot be undone. A wrong guess costs wasted work:
        memory that is not compacted, a split that is tried in vain.

        What may not be wrong is copy on write. If a process is told that nobody else uses a page while somebody does,
        it writes into memory that another process, or a device, still sees: data are lost or leak. So copy on write
        stopped asking the mapcount, in 5.9 for PTEs and in 5.18 for PMDs, and asks it again only since 6.15, under a lock. In
        between stands madvise(): up to 6.14 it looks at one page and guesses, and may treat memory of two processes as that
        of one. That is no race, it happens with no other CPU near.
        """),
    evidence=evidence,
    history=prose("""
        In what is quoted of the thread nobody names a bug that the patch would mend. Known ones were others: statistics that
        drifted when two CPUs changed two counters of one folio (mended in 6.2), a copy on write that summed while a PMD was
        split (mended in 5.8), and khugepaged, which read without a reference and met a folio that was freed meanwhile
        (mended in 2025).
        """),
    sources=(
        THREAD,
        '6287b7dae809 ("mm,thp,rmap: fix races between updates of subpages_mapcount"), 6.2',
        'c444eb564fb1 ("mm: thp: make the THP mapcount atomic against __split_huge_pmd_locked()"), 5.8',
        "595cf683519a (khugepaged takes a reference), 2025",
        LARGE_MAPCOUNT,
    ),
    words=("COW", "torn", "stale", "mapcount"),
    again=("mapcount check", "mapcount check --list", "mapcount explain trust"),
)
