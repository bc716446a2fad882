"""The question "Is partial mapping waste, and would smaller folios be better?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import snapshot_of
from mapcount.explain.sources import PETER, THE_10TH, THREAD
from mapcount.survey.run import survey
from mapcount.units import format_bytes, format_folio_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Cell, Part
    from mapcount.explain.given import Given
    from mapcount.survey.types import Survey


RELEASE = "6.12"
STEPS = """
p: mmap a 2M huge
p: touch a[0]
p: munmap a[8:64]
p: dontneed a[100:150]
"""


def evidence(given: Given) -> Iterator[Part]:
    """Cut a folio with two holes to smaller sizes, then the folios of a machine, and look at what would be free then."""
    title = f"A folio of 512 pages; pages 8 to 63 and 100 to 149 were given back (model of {RELEASE})"
    yield from _cuts(survey(snapshot_of(STEPS, RELEASE)), title)
    snapshot, whose = given.taken
    found = survey(snapshot)
    wasted = sum(row.wasted_bytes for row in found.sizes)
    large = sum(row.mapped_bytes for row in found.sizes if row.order and row.kind == "anon")
    yield Says(f"{whose}: {format_bytes(wasted)} wasted beside {format_bytes(large)} mapped in large anon folios.")
    if wasted:
        yield from _cuts(found, "The same mappings, if no anon folio were larger")


def _cuts(found: Survey, title: str) -> Iterator[Part]:
    """Give a row for each size that frees more than the next larger one."""
    rows: list[tuple[Cell, ...]] = []
    for cut in sorted(found.cuts, key=lambda cut: -cut.order):
        if not rows or rows[-1][-1] != cut.freed_bytes:
            size = format_folio_size(cut.order, found.meta.page_size)
            rows.append((size, cut.folios, cut.wasted_bytes, cut.freed_bytes))
    columns = (
        Heading("no larger than", "text"),
        Heading("folios"),
        Heading("wasted", "bytes"),
        Heading("would be free", "bytes"),
    )
    yield Figures(title, columns, tuple(rows))


QUESTION = Question(
    id="waste",
    title="Is partial mapping waste, and would smaller folios be better?",
    asked=(
        Asked(
            "It sounds to me that's the case when small page sizes should be used.. and it's prone to waste?",
            PETER,
            THE_10TH,
        ),
    ),
    answer=prose("""
        The pages that nobody maps are wasted as long as the folio stays together: nobody can reach them, and they are not
        free. That holds for anon memory alone. An unmapped page of a file is cache, it holds data that somebody may read.

        With smaller folios less of it happens: a folio is free when its own few pages are unmapped. The table takes the
        mappings as they are and cuts the folios to each size. What it cannot show is what that costs: more faults, more
        misses of the TLB, more folios on every list. Nor does it show the other half of waste: pages that are mapped but
        were never written. They hold only zeros, and page tables do not tell.
        """),
    evidence=evidence,
    of_a_machine=True,
    history=prose("""
        Kernels keep large folios and mend it afterwards: a partially mapped folio is put on a list, and split when memory
        is short. 6.12 also splits those that are mostly zero, if told to. Of that other half there are published figures: on
        one host at Meta with huge pages always on, 1,331 of the THPs with at most 50 pages in use held 680,884 pages of
        zeros, about 2.7 GB (2022).
        """),
    sources=(
        THREAD,
        "linux-mm, Alexander Zhu, THP utilization, 2022 (the figures of one host)",
        'dafff3f4c850 ("mm: split underused THPs"), 6.12',
    ),
    words=("partially mapped", "folio", "THP", "deferred split"),
    again=("mapcount report", "mapcount explain partial"),
)
