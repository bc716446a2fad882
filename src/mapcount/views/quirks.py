"""How fs/proc answers in one era of kernels: what differs beside the scheme that it asks.

All facts are of fs/proc/task_mmu.c and fs/proc/page.c. hugetlb folios are judged alike in all eras: shared from two entries
on (smaps_hugetlb_range, pagemap_hugetlb_range).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirks:
    """What fs/proc of an era does with the scheme's answers."""

    average: bool = False
    """
    It asks for the folio's average mapcount and for folio_maybe_mapped_shared() where others ask for the page's mapcount:
    Pss, Private/Shared, bit 56, kpagecount and mapmax. With CONFIG_NO_PAGE_MAPCOUNT, 6.15: ae4192b7691c ("fs/proc/page:
    remove per-page mapcount dependency for /proc/kpagecount (CONFIG_NO_PAGE_MAPCOUNT)") and its neighbours.
    """
    pmd_bit_of_first_page: bool = False
    """
    Bit 56 of all pages that a PMD maps is that of the first. Up to 6.10 so, then put right by 2c1f057e5be6 ("fs/proc/task_mmu:
    properly detect PM_MMAP_EXCLUSIVE per page of PMD-mapped THPs"), and again so from 6.15, where pagemap_pmd_range() passes
    the first page on. Seen on 5.10, 6.1, 6.18 and 7.3; 6.12 is right.
    """
    pss_by_entry: bool = False
    """
    The size of an entry is divided by the mapcount at once, not that of each page: less is lost by rounding a PMD. RFC of
    April 2026 ("mm/rmap: support arbitrary folio mappings"), smaps_account().
    """


PER_PAGE = Quirks()
"""6.11 to 6.14."""
PER_PAGE_FIRST_OF_PMD = Quirks(pmd_bit_of_first_page=True)
"""4.5 to 6.10, and 6.15 and later without CONFIG_NO_PAGE_MAPCOUNT."""
AVERAGE = Quirks(average=True, pmd_bit_of_first_page=True)
"""6.15 and later with CONFIG_NO_PAGE_MAPCOUNT."""
AVERAGE_BY_ENTRY = Quirks(average=True, pmd_bit_of_first_page=True, pss_by_entry=True)
"""The RFC of April 2026."""
