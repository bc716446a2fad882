"""The question "What changes for my numbers in the next kernels?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import play
from mapcount.explain.sources import NO_PAGE_MAPCOUNT, RFC_2026
from mapcount.views.outlook import outlook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Cell, Part, Unit
    from mapcount.explain.given import Given
    from mapcount.mapping.snapshot import Snapshot
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
    yield from _on_a_machine(snapshot, whose)


def _on_a_machine(snapshot: Snapshot, whose: str) -> Iterator[Part]:
    rows = outlook(snapshot)
    if rows is None:
        yield Says(f"{whose}: {_why_not(snapshot)}.")
        return
    changed = [row for row in rows if row.now != row.without]
    if not changed:
        yield Says(f"{whose}: no number would change, with these mappings.")
        return
    sizes = [row for row in changed if row.unit == "bytes"]
    yield from _changes(f"{whose}: sizes that would change", "bytes", sizes)
    yield from _changes(f"{whose}: counts that would change", "count", [row for row in changed if row not in sizes])


def _changes(title: str, unit: Unit, rows: list[OutlookRow]) -> Iterator[Part]:
    if rows:
        columns = (Heading("number", "text"), *(Heading(name, unit) for name in ("truth", "now", "without")))
        yield Figures(title, columns, tuple((row.name, row.truth, row.now, row.without) for row in rows))


def _why_not(snapshot: Snapshot) -> str:
    if snapshot.meta.counts_are == "average":
        return "it has no counts per page, so nothing changes"
    if not len(snapshot.folios):
        return "no large folio is mapped, so nothing changes"
    return "ask `mapcount compare`: to count so many pages takes some seconds the first time"


QUESTION = Question(
    id="next-kernels",
    title="What changes for my numbers in the next kernels?",
    asked=(
        Asked(
            "It follows from removing counts per page: who shows numbers that are made of them?", "", "", verbatim=False
        ),
    ),
    answer=prose("""
        Little, as long as your kernel counts per page, and by default it does (7.1). If it is built without
        (CONFIG_NO_PAGE_MAPCOUNT), numbers about large folios become coarser.

        Rss stays exact: it is counted for each process. Pss divides by the mean of the folio's mappings per page instead
        of by each page's own. Private and Shared, and so Uss, go by the folio: a page that you alone map is Shared if
        another process maps any page of the same folio, and the reverse. AnonPages and Mapped of /proc/meminfo, and
        the same of memory cgroups, count a folio whole while any page of it is mapped. kpagecount gives the mean, at least
        1. Bit 56 of pagemap says whether one process has the folio, not whether the page is mapped once. Folios that are
        partially mapped and shared may be missed by the list of those to be split.
        """),
    evidence=evidence,
    of_a_machine=True,
    history=prose("""
        6.15 brought the choice. The intention told in May 2026 is to make it the default. A proposal of April 2026 counts
        mapped pages beside mappings, in one place and under one lock; these numbers stay as coarse.
        """),
    sources=(NO_PAGE_MAPCOUNT, "fs/proc/task_mmu.c and fs/proc/page.c, 7.1", RFC_2026, "LWN 1073418, May 2026"),
    words=("Pss", "Uss", "folio", "deferred split"),
    again=("mapcount compare", "mapcount compare --by process"),
)
