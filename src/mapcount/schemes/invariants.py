"""What must hold between the words of a folio and who maps it, whenever nothing is under way. Several schemes share them.

Source: kernel-accounting.md, section 8; derived from the steps of mm/rmap.c and held against real kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import (
    NR_ANON_MAPPED,
    NR_ANON_THPS,
    NR_FILE_MAPPED,
    NR_FILE_PMDMAPPED,
    NR_SHMEM_PMDMAPPED,
)
from mapcount.schemes.pages_mapped import ENTIRELY_MAPPED
from mapcount.schemes.scheme import Invariant

if TYPE_CHECKING:
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth


def _counts_by_page(words: Words, truth: FolioTruth) -> str | None:
    """Per page its PTEs, and the PMD entries for all."""
    stored = [value + 1 for value in words.pages("_mapcount")]
    if words.order and stored != truth.pte_counts():
        return f"_mapcount + 1 is {stored}, the PTEs are {truth.pte_counts()}"
    return _entire(words, truth)


def _no_counts_by_page(words: Words, truth: FolioTruth) -> str | None:
    """A folio of one page keeps its own count, the pages of a large one have none."""
    stored = [value + 1 for value in words.pages("_mapcount")]
    expected = [0] * truth.nr_pages if words.order else truth.pte_counts()
    return None if stored == expected else f"_mapcount + 1 is {stored}, not {expected}"


def _entire(words: Words, truth: FolioTruth) -> str | None:
    if words.order and words["_entire_mapcount"] + 1 != truth.huge_entries():
        return f"_entire_mapcount + 1 is {words['_entire_mapcount'] + 1}, PMD entries are {truth.huge_entries()}"
    return None


def _pages_mapped(words: Words, truth: FolioTruth) -> str | None:
    by_page = _counts_by_page(words, truth)
    if by_page or not words.order or truth.hugetlb:
        return by_page
    expected = sum(count > 0 for count in truth.pte_counts()) + ENTIRELY_MAPPED * (truth.huge_entries() > 0)
    if words["_nr_pages_mapped"] != expected:
        return f"_nr_pages_mapped is {words['_nr_pages_mapped']:#x}, not {expected:#x}"
    return None


def _large_is_sum(words: Words, truth: FolioTruth) -> str | None:
    return _all_entries("_large_mapcount", words, truth)


def _total_is_sum(words: Words, truth: FolioTruth) -> str | None:
    return _all_entries("_total_mapcount", words, truth)


def _all_entries(name: str, words: Words, truth: FolioTruth) -> str | None:
    if words.order and words[name] + 1 != truth.entries():
        return f"{name} + 1 is {words[name] + 1}, entries are {truth.entries()}"
    return None


def _sum_of_pages(words: Words, truth: FolioTruth) -> str | None:
    by_page = _counts_by_page(words, truth)
    if not by_page and words.order and words["subpages_mapcount"] != sum(truth.pte_counts()):
        return f"subpages_mapcount is {words['subpages_mapcount']}, PTEs are {sum(truth.pte_counts())}"
    return by_page


def _pmd_statistics(words: Words, truth: FolioTruth) -> str | None:
    pmd = words.stat(NR_ANON_THPS, NR_SHMEM_PMDMAPPED, NR_FILE_PMDMAPPED)
    expected = 0 if truth.hugetlb else truth.nr_pages * (truth.huge_entries() > 0)
    return None if pmd == expected else f"PMD-mapped pages are counted {pmd}, not {expected}"


def _statistics_by_page(words: Words, truth: FolioTruth) -> str | None:
    mapped = words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED)
    expected = 0 if truth.hugetlb else truth.pages_mapped()
    if mapped != expected:
        return f"mapped pages are counted {mapped}, not {expected}"
    return _pmd_statistics(words, truth)


def _statistics_by_folio(words: Words, truth: FolioTruth) -> str | None:
    mapped = words.stat(NR_ANON_MAPPED, NR_FILE_MAPPED)
    expected = 0 if truth.hugetlb else truth.nr_pages * (truth.entries() > 0)
    if mapped != expected:
        return f"mapped pages are counted {mapped}, not {expected}"
    return _pmd_statistics(words, truth)


PAGES_MAPPED = Invariant(
    "_nr_pages_mapped = pages with a PTE, plus ENTIRELY_MAPPED while a PMD maps; _mapcount and _entire_mapcount as counted",
    _pages_mapped,
)
NO_COUNTS_BY_PAGE = Invariant("no page of a large folio has a _mapcount", _no_counts_by_page)
ENTIRE_IS_PMD = Invariant("_entire_mapcount + 1 = PMD (or PUD) entries", _entire)
LARGE_IS_SUM = Invariant("_large_mapcount + 1 = all entries, a PMD entry as one", _large_is_sum)
TOTAL_IS_SUM = Invariant("_total_mapcount + 1 = all entries, a PMD entry as one", _total_is_sum)
SUM_OF_PAGES = Invariant("subpages_mapcount = all PTEs; _mapcount and _entire_mapcount as counted", _sum_of_pages)
STATISTICS_BY_PAGE = Invariant("NR_*_MAPPED counts the pages that are mapped", _statistics_by_page)
STATISTICS_BY_FOLIO = Invariant("NR_*_MAPPED counts the whole folio while any page is mapped", _statistics_by_folio)
