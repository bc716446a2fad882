"""The page of a machine seen without privilege: processes, the kernel's counters per size, a band of waste; no folios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.report import public
from mapcount.report.html.page import Column, Page, Section, Table
from mapcount.report.html.report_page import obtained, title_of
from mapcount.report.text import plural

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot

_PROCESS = (
    Column("pid", "pid", "number"),
    Column("comm", "process", "text"),
    Column("rss_bytes", "rss", "bytes"),
    Column("pss_bytes", "pss", "bytes"),
    Column("uss_bytes", "uss", "bytes"),
    Column("pmd_mapped_bytes", "pmd-mapped", "bytes"),
    Column("swap_bytes", "swap", "bytes"),
)


def public_page(snapshot: Snapshot) -> Page:
    """Return the page of a snapshot whose folios were hidden. A number that could not be read is -1."""
    rows = public.public_processes(snapshot)
    cells = [[getattr(row, column.key) for column in _PROCESS] for row in rows]
    return Page(
        command="report",
        title=title_of(snapshot.meta),
        lead=[
            f"{plural(len(rows), 'address space')} may be read; folios may not, so no sizes and no sharing.",
            public.waste_sentence(snapshot),
        ],
        sections=[
            Section(
                "processes",
                "Processes",
                "A row is an address space as its smaps_rollup shows it. -1 B: could not be read.",
                [Table("processes-table", "Processes", _PROCESS, cells, sort="rss_bytes")],
            ),
            obtained(snapshot.meta),
        ],
    )
