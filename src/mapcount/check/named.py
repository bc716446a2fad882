"""Interleavings that have a name among kernel developers, each as the cell in which the search finds it.

The stories are those of the thread of August 2023 and of the commits that mended them; nothing here draws them, the search has
to find each.
"""

from __future__ import annotations

from typing import NamedTuple

from mapcount.check.cells import AT_REST, Cell


class Named(NamedTuple):
    """A race with a name: where it is found, and as which property's violation."""

    cell: Cell
    property: str
    """that it violates; empty where `reach` is what happens"""
    story: str
    source: str
    reach: str = ""
    """a condition on a word (reach.py) that some state fulfils"""


NAMED: dict[str, Named] = {
    "false-zero": Named(
        Cell("nr-pages-mapped", "mapcount", "pmd-and-ptes", 2),
        "no-false-unmapped",
        "the loop reads the PMD count before a PMD is mapped and the pages after the PTEs are gone: mapped by nobody",
        "folio_total_mapcount(), 6.2 to 6.9",
    ),
    "torn-loop": Named(
        Cell("nr-pages-mapped", "mapcount", "zap-fault", 2),
        "never-under",
        "the loop passes a page before it is mapped, and another after it is unmapped",
        "folio_total_mapcount(), 6.2 to 6.9; total_mapcount() before",
    ),
    "short-loop": Named(
        Cell("nr-pages-mapped:short-loop", "mapcount", "much-mapped", 2),
        "never-under",
        "the loop stops after as many pages as were mapped when it began, and a page of few mappings came first",
        'the thread of August 2023: "limiting the loop"',
    ),
    "two-steps": Named(
        Cell("nr-pages-mapped", AT_REST, "two-pmds", 2),
        "",
        "between a count of PMDs and _nr_pages_mapped: the mark of a PMD mapping is there twice",
        '6287b7dae809 ("mm,thp,rmap: fix races between updates of subpages_mapcount")',
        "_nr_pages_mapped>=0x1000000",
    ),
    "split-transfer": Named(
        Cell("double-map:before-5.19", "mapped_shared", "split-alone", 2),
        "no-false-exclusive",
        "counts move from the PMD to the pages while the largest is looked for",
        'c444eb564fb1 ("mm: thp: make the THP mapcount atomic against __split_huge_pmd_locked()"), 5.8',
    ),
    "hidden-pin": Named(
        Cell("large-mapcount", "compaction", "fork-zap", 2),
        "pin-never-hidden",
        "refcount first hides a pin from who meets a mapper, mapcount first from who meets an unmapper",
        "linux-mm, July 2023 (mapcount may exceed the refcount that was read before)",
    ),
}
