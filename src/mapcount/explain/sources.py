"""Sources that several answers have in common."""

from __future__ import annotations

THREAD = 'linux-mm, "[PATCH mm-unstable v1] mm: add a total mapcount for large folios", 9 to 11 August 2023'
PETER, MATTHEW, DAVID = "Peter Xu", "Matthew Wilcox", "David Hildenbrand"
THE_10TH = "10 August 2023"
LARGE_MAPCOUNT = '05c5323b2a34 ("mm: track mapcount of large folios in single value"), 6.10'
MM_IDS = '6af8cb80d3a9 ("mm/rmap: basic MM owner tracking for large folios (!hugetlb)"), 6.15'
NO_PAGE_MAPCOUNT = (
    '749492229e3b ("mm: stop maintaining the per-page mapcount of large folios (CONFIG_NO_PAGE_MAPCOUNT)"), 6.15'
)
RFC_2026 = 'the RFC "support arbitrary folio mappings", 12 April 2026 (13 patches, not merged)'
FIX_2022 = '6287b7dae809 ("mm,thp,rmap: fix races between updates of subpages_mapcount"), 6.2'
