"""The question "When may I trust a reader that holds no lock?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.models import verdict_of
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import MATTHEW, MM_IDS, THE_10TH, THREAD

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.check.verdicts import Verdict
    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

LOCKS = {"no lock": "", "a page table's": "+ptl", "the folio's": "+folio", "both": "+folio+ptl"}
READERS = {
    "mapcount, 6.2": "nr-pages-mapped/mapcount/zap-fault/2",
    "mapcount, 6.10": "large-mapcount/mapcount/zap-fault/2",
    "shared, 6.15": "mm-id/mapped_shared/fork-zap/2",
    "extra users, 6.10": "large-mapcount/compaction/fork-zap/2",
}


def evidence(_given: Given) -> Iterator[Part]:
    """Judge readers with more and more locks."""
    rows = tuple(
        (name, *(_told(verdict_of(f"{model}{more}")) for more in LOCKS.values())) for name, model in READERS.items()
    )
    columns = (Heading("what is read", "text"), *(Heading(lock, "text") for lock in LOCKS))
    yield Figures(
        "What a reader gets that holds these locks, while others fault, fork and unmap (2 pages)", columns, rows
    )


def _told(verdict: Verdict) -> str:
    broken = {one.property for one in verdict.violations}
    if "pin-never-hidden" in broken:
        return "pin missed"
    if broken:
        return "too many" if broken == {"never-over"} else "never true"
    return "old at times" if verdict.kind else "true"


QUESTION = Question(
    id="trust",
    title="When may I trust a reader that holds no lock?",
    asked=(
        Asked(
            "The problem is that people check the mapcount while holding no locks; not the PTL, not the page lock.",
            MATTHEW,
            THE_10TH,
        ),
    ),
    answer=prose("""
        For a number that was true a moment ago: since 6.10 always, it is one word, provided that you hold a reference; without
        one the folio may be freed by then, and be another. For a number that is still true: hardly ever. A page-table lock
        keeps out what happens in one table of one process; the others go on. The lock of the folio keeps out faults and
        migration, but neither fork nor unmapping takes it. So with every lock that a caller usually has the number may still
        change under it.

        What one can do is to ask for less. A hint may be wrong. If nobody maps the folio and you hold its lock, that stays
        so, but for drivers, which insert pages without it. And before something is done that cannot be undone, freeze
        the references, or take the lock of the counter itself (6.15), and look again.
        """),
    evidence=evidence,
    history=prose("""
        Code that looked with too few locks and meant it was mended place by place: the copy on write of huge pages (5.8,
        then 5.18), move_pages() (holds the page-table lock by 7.1), khugepaged (2025). Compaction still looks without, and
        its source says that this is racy; what it gets wrong is found out later.
        """),
    sources=(
        THREAD,
        "mm/compaction.c and mm/migrate.c, 6.5 and 7.1; include/linux/mm.h and mm/memory.c, 7.1",
        MM_IDS,
        "docs/explanation/check.md",
    ),
    words=("page-table lock", "folio lock", "refcount", "pin", "stale"),
    again=("mapcount check --list", "mapcount check nr-pages-mapped/mapcount/zap-fault/2 --with-lock folio"),
)
