"""The question "Why can entire_mapcount not count those who map the whole folio?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.explain.evidence import Figures, Heading
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.scenes import log_of
from mapcount.explain.sources import MATTHEW, MM_IDS, PETER, RFC_2026, THE_10TH, THREAD
from mapcount.mapping.schema import Op
from mapcount.replay.engine import replay
from mapcount.schemes.catalogue import find_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given
    from mapcount.mapping.log import Log

RELEASE = "6.12"
BEFORE = """
set anon 64k madvise
p: mmap a 64k huge
p: touch a[0]
p: fork c
"""
WHOLE = f"{BEFORE}c: munmap a[0:16]\n"
ONE_PAGE = f"{BEFORE}c: munmap a[7]\n"
SCHEMES = ("complete-mappings", "large-mapcount", "no-page-mapcount")


def evidence(_given: Given) -> Iterator[Part]:
    """Unmap a folio of 16 pages whole, and one page of it, counted in the thread's way and in those that came."""
    columns = (
        Heading("counted by", "text"),
        Heading("unmaps", "text"),
        Heading("LOCKed"),
        Heading("lines"),
        Heading("looks"),
        Heading("PTEs read"),
    )
    logs = {"16 of 16": log_of(WHOLE, RELEASE), "1 of 16": log_of(ONE_PAGE, RELEASE)}
    rows = [row for scheme in SCHEMES for what, log in logs.items() for row in _unmapping(scheme, what, log)]
    title = "A process unmaps pages of a folio of 64 KiB that it maps whole by PTEs: LOCKed changes, cache lines, looks"
    yield Figures(title, columns, tuple(rows))


def _unmapping(scheme: str, what: str, log: Log) -> Iterator[tuple[str | int, ...]]:
    [counted] = replay(log, [find_scheme(scheme)], cost=True, engine="plain")
    assert counted.costs is not None
    for row in counted.costs.rows():
        if row.op == Op.UNMAP:
            yield scheme, what, row.locked, row.lines, row.lookups, row.entries_read


QUESTION = Question(
    id="whole-folio",
    title="Why can entire_mapcount not count those who map the whole folio?",
    asked=(
        Asked(
            "I have had thoughts about using it as entire_mapcount, but it gets gnarly when people do partial unmaps.",
            MATTHEW,
            THE_10TH,
        ),
        Asked(
            "Personally I still am unclear yet on why entire_mapcount cannot be used as full-folio mapcounts, and why "
            '"partial unmap" can happen a lot (I don\'t expect)',
            PETER,
            "in answer to it",
        ),
    ),
    answer=prose("""
        The idea: whoever maps all pages, by a PMD or by PTEs, adds one to one counter; only who maps a part counts page by
        page. Mapping and unmapping whole folios would touch one counter, not one a page.

        Now a process unmaps one page of 16. Was it one of those who map all? The counter says how many there are, not who.
        So the kernel must look: read the page table of that process and see how much of the folio it maps. If it had
        all, take one from the counter, and add one to each of the 15 pages that stay. The last page that comes back makes it
        whole again, and all that the other way round. A process may also map two halves from two places, of which no
        single page table knows.

        The table counts it. Whole, the idea is as cheap as hoped. For a part it changes every other page's counter, after
        a look into the page table: what the reverse mapping must not need, because it runs everywhere and with few locks.
        """),
    evidence=evidence,
    history=prose("""
        It was not built. 6.15 answers who by two slots in the folio, each with the number of a process and its mappings.
        A proposal of 2026 counts entries and, beside them, pages: a part then takes away what it is, and nobody needs to
        know who is whole.
        """),
    sources=(THREAD, MM_IDS, RFC_2026, "the design note of `mapcount schemes complete-mappings`"),
    words=("folio", "PTE", "PMD", "rmap", "LOCKed", "struct page"),
    again=("mapcount schemes complete-mappings", "mapcount explain partial"),
)
