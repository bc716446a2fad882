"""The question "Is partial mapping common?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import play
from mapcount.explain.sources import DAVID, PETER, THE_10TH, THREAD
from mapcount.survey.run import survey
from mapcount.units import format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given
    from mapcount.survey.types import Survey

BEFORE = """
set anon 64k madvise
p: mmap a 64k huge
p: touch a[0]
"""
CAUSES = {
    "munmap of a part": "p: munmap a[3:8]\n",
    "MADV_DONTNEED of a part": "p: dontneed a[3:8]\n",
    "fork, then both write": "p: fork c\np: write a[3:8]\nc: write a[3:8]\n",
}
RELEASE = "6.12"


def evidence(given: Given) -> Iterator[Part]:
    """Bring partial mappings about, then look for some on a machine."""
    rows = []
    for cause, lines in CAUSES.items():
        last = play(BEFORE + lines, RELEASE)[-1]
        counts = last.page_counts()
        rows.append((cause, sum(count > 0 for count in counts), counts.count(0)))
    columns = (Heading("what happens", "text"), Heading("pages mapped"), Heading("by nobody"))
    yield Figures(f"A folio of 16 pages, and how it gets partially mapped (model of {RELEASE})", columns, tuple(rows))
    snapshot, whose = given.taken
    yield from _on_a_machine(survey(snapshot), whose)


def _on_a_machine(found: Survey, whose: str) -> Iterator[Part]:
    large = [row for row in found.sizes if row.order and row.kind == "anon"]
    if not large:
        yield Says(f"{whose}: no large folio of anon memory is mapped.")
        return
    columns = (
        Heading("anon folios of", "text"),
        Heading("folios"),
        Heading("partially mapped"),
        Heading("mapped", "bytes"),
        Heading("by nobody", "bytes"),
    )
    rows = tuple(
        (
            format_folio_size(row.order, found.meta.page_size),
            row.folios,
            row.partially_mapped,
            row.mapped_bytes,
            row.unmapped_bytes,
        )
        for row in large
    )
    yield Figures(f"{whose}", columns, rows)
    partial, folios = sum(row.partially_mapped for row in large), sum(row.folios for row in large)
    yield Says(f"Of {folios:,} large anon folios {partial:,} are partially mapped: {format_share(partial, folios)}.")


QUESTION = Question(
    id="partial",
    title="Is partial mapping common?",
    asked=(
        Asked(
            "I'm curious whether that'll be so common after the large anon folio work - isn't it be sad if partial folio "
            "will be a norm?",
            PETER,
            THE_10TH,
        ),
        Asked(
            "It is easy to get there: fork and copy on write, mremap, MADV_DONTNEED, munmap.",
            DAVID,
            "August 2023",
            verbatim=False,
        ),
    ),
    answer=prose("""
        It is easy to bring about. A process gives back a part of its memory, which allocators do all the time, or forks,
        and then both sides write to the same pages and get copies of their own: the pages of the first folio are mapped by
        nobody, and are free only when all of it is.

        No figure for a fleet of machines was found published. It differs from program to program, so it is
        measured below, on the machine at hand. A moment is no average: programs that have just given back memory show more.
        """),
    evidence=evidence,
    of_a_machine=True,
    history=prose("""
        Since 6.12 the kernel counts such folios itself, for each size: nr_anon_partially_mapped below
        /sys/kernel/mm/transparent_hugepage. The mark it counts stays once set. On a laptop, 12 hours of work left it near
        0 (a list message on 6.15-rc5, which also found a fault by which 78,299 stayed).
        """),
    sources=(
        THREAD,
        "Documentation/admin-guide/mm/transhuge.rst: nr_anon_partially_mapped, 6.12",
        "linux-mm, on 6.15-rc5 (12 hours on a laptop)",
    ),
    words=("partially mapped", "folio", "COW"),
    again=("mapcount report", "mapcount report SNAPSHOT --by process", "mapcount explain waste"),
)
