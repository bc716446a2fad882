"""The question "What must go before counts per page can go?"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.check.ablation import ablate
from mapcount.check.sources import QUEUE
from mapcount.explain.evidence import Figures, Heading, Says
from mapcount.explain.question import Asked, Question, prose
from mapcount.explain.sources import DAVID, NO_PAGE_MAPCOUNT, RFC_2026, THE_10TH, THREAD
from mapcount.schemes.catalogue import find_scheme

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.explain.evidence import Part
    from mapcount.explain.given import Given

SCHEME, WORD = "mm-id", "_mapcount"
TELLS = {
    "folio_mapcount": "how often the folio is mapped",
    "folio_mapped": "whether anybody maps it",
    "page_mapcount": "how often a page is mapped",
    "mapped_shared": "whether processes share it",
    "partially_mapped": "whether nobody maps some page",
    "NR_ANON_MAPPED": "AnonPages",
    "NR_FILE_MAPPED": "Mapped",
    "NR_ANON_THPS": "AnonHugePages",
    "NR_SHMEM_PMDMAPPED": "ShmemPmdMapped",
    "NR_FILE_PMDMAPPED": "FilePmdMapped",
    QUEUE: "folios that are to be split",
}
"""What each is to people; the sums are those of /proc/meminfo."""


def evidence(_given: Given) -> Iterator[Part]:
    """Take the counts per page out of the way of counting of 6.15, and look at what is left."""
    found = ablate(find_scheme(SCHEME), [WORD])
    yield Says(
        f"The way of counting of 6.15 without {WORD}: {', '.join(found.falls) or 'nothing else'} falls with it, since "
        "its changes depend on that."
    )
    rows = tuple(
        (loss.name, TELLS[loss.name], loss.verdict, loss.same / loss.states if loss.states else None)
        for loss in found.losses
    )
    columns = (
        Heading("name", "text"),
        Heading("tells", "text"),
        Heading("becomes", "text"),
        Heading("the same in", "share"),
    )
    yield Figures("What becomes of each, and in what share of random states it is the same as before", columns, rows)


QUESTION = Question(
    id="removal",
    title="What must go before counts per page can go?",
    asked=(
        Asked(
            "Right, so one current idea is to have a single total_mapcount and look into removing the subpage mapcounts "
            "(which will require first removing _nr_pages_mapped, because that's still one of the important users).",
            DAVID,
            THE_10TH,
        ),
    ),
    answer=prose("""
        _nr_pages_mapped is the number of pages of a folio that anybody maps. It is changed when a page's own count leaves
        or reaches zero, so without counts per page nothing could tell when to change it. It goes with them.

        What used it must do without. There are two users: the sums of mapped memory (AnonPages and Mapped of
        /proc/meminfo, the same for each memory cgroup), and the notice that a folio is only partially mapped, upon which
        it is put on a list to be split. And there are those who ask for the count of one page: kpagecount, smaps, bit 56
        of pagemap. The table takes the counts away and says what is left of each; how many mappings there are and
        whether several processes share is counted elsewhere by then, and stays.
        """),
    evidence=evidence,
    history=prose("""
        CONFIG_NO_PAGE_MAPCOUNT (6.15) did it by giving up exactness: a folio counts as mapped whole from the first page
        to the last, and it is taken for partially mapped if there are fewer mappings than pages, which is certain only
        while one process maps it. kpagecount and Pss use the mean. Kernels still count per page by default (7.1).
        """),
    sources=(THREAD, "e63ee43e3eda (CONFIG_NO_PAGE_MAPCOUNT), 6.15", NO_PAGE_MAPCOUNT, RFC_2026),
    words=("mapcount", "partially mapped", "deferred split", "Pss"),
    again=("mapcount schemes mm-id --without _mapcount", "mapcount explain next-kernels"),
)
