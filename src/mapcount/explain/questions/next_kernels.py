"""The question "What changes for my numbers in the next kernels?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import play
from mapcount.explain.sources import NO_PAGE_MAPCOUNT, RFC_2026
from mapcount.units import format_bytes, format_count
from mapcount.views.outlook import outlook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Cell, Part
    from mapcount.explain.given import Given
    from mapcount.views.outlook import OutlookRow

RELEASE = "6.18"
STEPS = """
set anon 64k madvise
p: mmap a 64k huge
p: touch a[0]
p: fork c
c: munmap a[0:8]
"""
NAMES = ("Rss", "Pss", "Private", "Shared")


def evidence(given: Given) -> Iterator[Part]:
    """Read smaps of two processes with counts per page and without, then say what would change on a machine."""
    rows: list[tuple[Cell, ...]] = []
    for process in ("p", "c"):
        for page_mapcount in (True, False):
            last = play(STEPS, RELEASE, page_mapcount=page_mapcount, proc=True)[-1].observation
            told = next(one.smaps_bytes for one in last.proc if one.process == process)
            rows.append((process, "counts" if page_mapcount else "none", *(told[name] for name in NAMES)))
    columns = (Heading("process", "text"), Heading("per page", "text"), *(Heading(name, "bytes") for name in NAMES))
    title = (
        f"p has a folio of 64 KiB, its child c unmapped half of it: smaps, with counts per page and without ({RELEASE})"
    )
    yield Figures(title, columns, tuple(rows))
    snapshot, whose = given.taken
    yield from _on_a_machine(outlook(snapshot), whose)


def _on_a_machine(rows: list[OutlookRow] | None, whose: str) -> Iterator[Part]:
    if rows is None:
        yield Says(
            f"\n{whose}: ask `mapcount compare`, it takes some seconds the first time (or nothing would change)."
        )
        return
    changed = [row for row in rows if row.now != row.without]
    if not changed:
        yield Says(f"\n{whose}: no number would change, with these mappings.")
        return
    columns = (Heading("number", "text"), Heading("truth"), Heading("now"), Heading("without"))
    yield Figures(f"\n{whose}: what would change", columns, tuple((row.name, *_values(row)) for row in changed))


def _values(row: OutlookRow) -> tuple[str, ...]:
    form = format_bytes if row.unit == "bytes" else format_count
    return tuple(form(value) for value in (row.truth, row.now, row.without))


QUESTION = Question(
    id="next-kernels",
    title="What changes for my numbers in the next kernels?",
    asked=(Asked("It follows from removing counts per page: who shows numbers that are made of them?", "", ""),),
    answer=prose("""
        Nothing, as long as your kernel counts per page, and by default it does (7.1). If it is built without
        (CONFIG_NO_PAGE_MAPCOUNT), numbers about large folios become coarser.

        Rss stays exact: it is counted for each process. Pss divides by the mean of the folio's mappings per page instead
        of by each page's own. Private and Shared, and so Uss, go by the folio: a page that you alone map is Shared if
        another process maps any page of the same folio, and the reverse. AnonPages and Mapped of /proc/meminfo, and
        the same of memory cgroups, count a folio whole while any page of it is mapped. kpagecount gives the mean, at least
        1. Bit 56 of pagemap says whether one process has the folio, not whether the page is mapped once. Folios that are
        partially mapped and shared may be missed by the list of those to be split.
        """),
    evidence=evidence,
    history=prose("""
        6.15 brought the choice. The intention told in May 2026 is to make it the default. A proposal of April 2026 counts
        mapped pages beside mappings, which brings the mean closer to the truth where PMDs and PTEs are mixed.
        """),
    sources=(NO_PAGE_MAPCOUNT, "fs/proc/task_mmu.c and fs/proc/page.c, 7.1", RFC_2026, "LWN 1073418, May 2026"),
    words=("Pss", "Uss", "folio", "deferred split"),
    again=("mapcount compare", "mapcount compare --by process"),
)
