"""The survey: all that a snapshot says by itself; VMAs and single folios, of which there can be many, apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.survey.checks import check_rows
from mapcount.survey.cut import cut_rows
from mapcount.survey.facts import Facts
from mapcount.survey.folios import folio_rows
from mapcount.survey.large import large_only
from mapcount.survey.machine import memory_rows
from mapcount.survey.owners import cgroup_rows, process_rows, program_rows, vma_rows
from mapcount.survey.since_boot import since_boot_rows
from mapcount.survey.sizes import size_rows
from mapcount.survey.types import FolioRow, Survey, VmaRow

if TYPE_CHECKING:
    from mapcount.mapping.snapshot import Snapshot

__all__ = ["Survey", "survey", "survey_folios", "survey_vmas"]


def survey(snapshot: Snapshot) -> Survey:
    """Return what a snapshot says of sizes, processes, cgroups, programs, cuts, the machine, and of its own errors."""
    snapshot = large_only(snapshot)
    facts = Facts(snapshot)
    sizes, processes = size_rows(facts), process_rows(facts)
    return Survey(
        meta=snapshot.meta,
        sizes=sizes,
        processes=processes,
        cgroups=cgroup_rows(facts),
        programs=program_rows(facts),
        cuts=cut_rows(facts),
        memory=memory_rows(snapshot, sizes),
        since_boot=since_boot_rows(snapshot),
        checks=check_rows(facts, sizes, processes),
    )


def survey_vmas(snapshot: Snapshot, top: int | None = None) -> list[VmaRow]:
    """Return the VMAs that map something, most waste first, then largest Rss; at most `top` of them."""
    return vma_rows(Facts(large_only(snapshot)), top)


def survey_folios(snapshot: Snapshot, top: int | None = None) -> list[FolioRow]:
    """Return the large folios, most waste first, then largest; at most `top` of them."""
    return folio_rows(Facts(large_only(snapshot)), top)
