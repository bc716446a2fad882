"""Which habits of fs/proc go with a way of counting: those of the last kernel that counts so, or of the proposal."""

from __future__ import annotations

from functools import cache

from mapcount.schemes.eras import FACTS, Bit56, Quirks, era_of

RFC_2026 = Quirks(
    bit56=Bit56.FOLIO,
    average_page_mapcount=True,
    private_by_folio=True,
    whole_folio_mapped=True,
    pss_by_entry=True,
)
"""smaps_account() and pagemap of the RFC of April 2026 ("mm/rmap: support arbitrary folio mappings")."""
PER_PAGE = Quirks(
    bit56=Bit56.PAGE,
    average_page_mapcount=False,
    private_by_folio=False,
    whole_folio_mapped=False,
    pss_by_entry=False,
)
"""What fs/proc would do best with counts per page: 6.11 to 6.14."""


def quirks_for(scheme_id: str) -> Quirks:
    """Return the quirks of the last kernel that counts by a scheme; PER_PAGE for a proposal that keeps counts per page."""
    return _of_kernels().get(scheme_id, RFC_2026 if scheme_id == "total-mapped-pages" else PER_PAGE)


@cache
def _of_kernels() -> dict[str, Quirks]:
    found = {}
    for since in sorted({fact.since for fact in FACTS}):
        for page_mapcount in {fact.page_mapcount for fact in FACTS if fact.since <= since}:
            era = era_of(f"{since[0]}.{since[1]}", page_mapcount=page_mapcount)
            found[era.scheme] = era.quirks
    return found
