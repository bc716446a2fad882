"""The question "Why does the usual case touch every struct page, and how usual is it?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.costs import ERAS, PMD_ORDER
from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import MATTHEW, MM_IDS, NO_PAGE_MAPCOUNT, THE_10TH, THREAD
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.steps import cost_of
from mapcount.survey.run import survey
from mapcount.units import format_folio_size, format_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given


def evidence(given: Given) -> Iterator[Part]:
    """Count struct pages that whole-folio operations touch, then how folios of the machine are mapped."""
    columns = (Heading("counted by", "text"), Heading("kernels", "text"), Heading("by PMD"), Heading("by 512 PTEs"))
    rows = []
    for scheme, when in ERAS.items():
        bound = find_scheme(scheme)
        by_pmd, by_ptes = (cost_of(bound, name, PMD_ORDER).struct_pages for name in ("unmap_pmd", "unmap_ptes"))
        rows.append((scheme, when, by_pmd, by_ptes))
    yield Figures("Struct pages touched to unmap a folio of 2 MiB, all of it at once", columns, tuple(rows))
    yield from _on_a_machine(given)


def _on_a_machine(given: Given) -> Iterator[Part]:
    snapshot, whose = given.taken
    large = [row for row in survey(snapshot).sizes if row.order and row.kind in {"anon", "shmem", "file"}]
    if not large:
        yield Says(f"{whose}: no large folio is mapped.")
        return
    columns = (
        Heading("kind, size", "text"),
        Heading("folios"),
        Heading("PMDs alone"),
        Heading("PTEs alone"),
        Heading("both"),
        Heading("all pages mapped"),
    )
    rows = tuple(
        (
            f"{row.kind} {format_folio_size(row.order, snapshot.meta.page_size)}",
            row.folios,
            row.pmd_only,
            row.pte_only,
            row.pmd_and_pte,
            row.fully_mapped,
        )
        for row in large
    )
    yield Figures(f"{whose}: large folios by what maps them", columns, rows)
    folios, by_ptes = sum(row.folios for row in large), sum(row.pte_only + row.pmd_and_pte for row in large)
    yield Says(f"PTEs map {by_ptes:,} of {folios:,} large folios: {format_share(by_ptes, folios)}.")


QUESTION = Question(
    id="usual-case",
    title="Why does the usual case touch every struct page, and how usual is it?",
    asked=(
        Asked(
            "So the _usual_ case ends up touching every struct page. Which sucks.",
            MATTHEW,
            THE_10TH,
        ),
    ),
    answer=prose("""
        A process that maps a folio by PTEs changes one counter for each page, and these lie in as many struct pages: 512
        cache lines for 2 MiB, though all is mapped at once and one number would do. Only a PMD is counted in one place.

        That is the usual case because folios smaller than 2 MiB have no PMD at all, and those of 2 MiB lose theirs
        at the first partial change. How many pages one call of the reverse mapping covers was measured with real
        kernels in a guest (6.12; docs/explanation/accesses.md): an allocator with folios of 64 KiB unmaps 65.1% of 11,958
        times the whole folio at once, a compiler 87.5% of 72 times; a server that forks and writes takes folios of 2 MiB
        apart, half of 13,211 times by one page, and never unmaps a whole one by PTEs. So it depends on the program.
        """),
    evidence=evidence,
    of_a_machine=True,
    history=prose("""
        6.8 to 6.12 made one call of many, but each page's counter is still changed. CONFIG_NO_PAGE_MAPCOUNT (6.15) drops
        these counters: one struct page, however many pages. It is not the default.
        """),
    sources=(THREAD, "docs/explanation/accesses.md: the usual case, measured", MM_IDS, NO_PAGE_MAPCOUNT),
    words=("struct page", "PTE", "PMD", "folio"),
    again=("mapcount conform --accesses --workload all", "mapcount explain removal"),
)
