"""Pages of small machines whose numbers are worked out by hand, and of one whose names are hostile."""

from __future__ import annotations

from functools import cache

from builders import SnapshotBuilder
from mapcount.mapping.schema import Kind, Level
from mapcount.report.html.render import render
from mapcount.report.html.report_page import Surveyed, report_page
from mapcount.survey.folio_map import folio_map
from mapcount.survey.run import survey
from mapcount.survey.states import state_rows
from mapcount.views.outlook import OutlookRow
from report.html.big_machine import big_machine

HOSTILE = "</script><img src=x onerror=window.pwned=1>"
FORMULA = '=HYPERLINK("http://x","y")'


def page_of(snapshot, outlook=()):
    folios = folio_map(snapshot)
    return report_page(Surveyed(survey(snapshot), state_rows(folios.facts), folios, list(outlook)))


def small_machine(name="parent", path="[heap]", cgroup="/prime"):
    """
    Two processes and 7 + 5 + 3 + 2 large folios.

    `name` (pid 101) maps 7 of 64 KiB whole, 5 of 64 KiB without 3 pages, and with `child` (pid 103) 3 of 2 MiB by PMDs;
    the child maps 2 of 16 KiB of a file. 13 small pages are the parent's.
    """
    b = SnapshotBuilder()
    parent, child = b.add_mm(pid=101, comm=name, cgroup=cgroup), b.add_mm(pid=103, comm="child", cgroup=cgroup)
    heap, copy = b.add_vma(parent, path=path), b.add_vma(child)
    for pages in [16] * 7 + [13] * 5:
        b.map_pages(parent, heap, b.add_folio(4, cgroup=cgroup), 0, pages)
    for _ in range(3):
        huge = b.add_folio(9, cgroup=cgroup)
        b.map_pages(parent, heap, huge, level=Level.PMD)
        b.map_pages(child, copy, huge, level=Level.PMD)
    for _ in range(2):
        b.map_pages(child, copy, b.add_folio(2, Kind.FILE, cgroup=cgroup))
    b.add_small(heap, 13)
    return b.build(host="prime", kernel_release="6.18.44", started_at=1_790_000_000.0, mem_total_bytes=1 << 30)


def many_processes():
    """101 processes with pids from 1009 in steps of 3: the i-th maps 16 - i % 11 pages of a folio, and i small ones."""
    b = SnapshotBuilder()
    for i in range(101):
        mm = b.add_mm(pid=1009 + 3 * i, comm=f"worker-{i}")
        vma = b.add_vma(mm)
        b.map_pages(mm, vma, b.add_folio(4), 0, 16 - i % 11)
        b.add_small(vma, i + 1)
    return b.build(host="prime", kernel_release="6.18.44", started_at=1_790_000_000.0)


OUTLOOK = (
    OutlookRow("AnonPages", "bytes", 7 << 20, 7 << 20, 8 << 20),
    OutlookRow("bit 56 set", "pages", 101, 101, 97),
)


@cache
def big_text():
    """Return the page of the machine of 24 GiB as text."""
    return render(page_of(big_machine(), OUTLOOK))
