"""Observations as short texts, to be compared with what was worked out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapcount.scenarios.observation import Observation


def rows(seen: Observation) -> list[str]:
    """`p a[3:7] f0+5 PTE`: pages of an area, the folio and the page within it."""
    return [
        f"{row.process} {row.area}[{row.page}:{row.page + row.nr_pages}] {row.folio}+{row.first} {row.level.name}"
        for row in seen.mappings
    ]


def counts(seen: Observation) -> dict[str, str]:
    """kpagecount of each folio: `1*17 2*495`."""
    return {
        name: " ".join(f"{value}*{pages}" for value, pages in folio.words["kpagecount"])
        for name, folio in seen.folios.items()
    }
