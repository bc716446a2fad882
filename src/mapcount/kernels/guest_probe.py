"""Whether a guest's kernel counts the mappings of each page, by what it does: an image without a config does not say it.

Nothing in the image does: BTF has the same fields with and without CONFIG_NO_PAGE_MAPCOUNT (749492229e3b), which leaves
`_mapcount` of the pages of a large folio as it was at the folio's birth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from mapcount.kernels.driver import Driver
from mapcount.kernels.guest_observe import GuestObserver
from mapcount.mapping.schema import Kind
from mapcount.scenarios.scenario import FIRST_PROCESS
from mapcount.scenarios.steps import Access, Advice, Mmap, Mprotect, Protection, Span

if TYPE_CHECKING:
    from mapcount.kernels.agent import Channel
    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.scenarios.observation import Runs

_UNMAPPED = -1
_STEPS = (
    Mmap(FIRST_PROCESS, Span("a", 0, 512), Kind.ANON, advice=Advice.HUGEPAGE),
    Access(FIRST_PROCESS, Span("a", 0, 1), write=True),
    Mprotect(FIRST_PROCESS, Span("a", 5, 6), Protection.READ),
)
"""A folio of PMD size, mapped page by page."""


def shows_page_mapcount(memory: GuestMemory, channel: Channel) -> bool:
    """
    Tell whether the pages of a large folio are counted: map one by PTEs in a process made for that, and look.

    Settings must allow folios of PMD size by madvise. True if there was none to be had. Raises GuestError.
    """
    driver, observer = Driver(channel, lambda: 0), GuestObserver(memory, page_mapcount=True)
    driver.begin()
    try:
        for step in _STEPS:
            driver.do(step)
        _, folios, _ = observer.look(driver.pids)
    finally:
        driver.end()
    counts = (cast("Runs", folio.words["_mapcount"]) for folio in folios.values() if folio.order)
    return all(any(count != _UNMAPPED for count, _ in runs) for runs in counts)
