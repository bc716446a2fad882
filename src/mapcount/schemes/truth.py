"""The truth by brute force: every entry of every page table that maps a folio, one by one. What schemes are judged by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.schemes.looked import Looked
from mapcount.schemes.scheme import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class FolioTruth:
    """
    Who maps a folio of `1 << order` pages.

    `ptes[mm, vma, table, i]` counts the PTEs by which that VMA maps page i through that page table; `huge[mm, vma, table]`
    the PMD (or PUD) entries, each of which maps all pages. `extra_references` are references that are no mappings: no scheme
    counts them, callers do.
    """

    order: int
    hugetlb: bool = False
    ptes: Counter[tuple[int, int, int, int]] = field(default_factory=Counter)
    huge: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    extra_references: int = 0

    @property
    def nr_pages(self) -> int:
        """Pages of the folio."""
        return 1 << self.order

    def map(self, first: int, nr: int, mm: int, by: int, *, vma: int = 0, table: int = 0) -> None:
        """Add (`by` 1) or take away (-1) one PTE of each of `nr` pages from `first`."""
        for i in range(first, first + nr):
            self.ptes[mm, vma, table, i] += by
            if not self.ptes[mm, vma, table, i]:
                del self.ptes[mm, vma, table, i]

    def map_huge(self, mm: int, by: int, *, vma: int = 0, table: int = 0) -> None:
        """Add or take away one PMD or PUD entry."""
        self.huge[mm, vma, table] += by
        if not self.huge[mm, vma, table]:
            del self.huge[mm, vma, table]

    def entries(self) -> int:
        """Count page-table entries."""
        return sum(self.ptes.values()) + sum(self.huge.values())

    def huge_entries(self) -> int:
        """Count PMD and PUD entries."""
        return sum(self.huge.values())

    def pte_counts(self) -> list[int]:
        """Return the PTEs of each page."""
        counts = [0] * self.nr_pages
        for (*_, i), count in self.ptes.items():
            counts[i] += count
        return counts

    def page_entries(self, i: int) -> int:
        """Count the entries that map page `i`."""
        return self.pte_counts()[i] + self.huge_entries()

    def pages_mapped(self) -> int:
        """Count the pages that any entry maps."""
        return self.nr_pages if self.huge else len({i for (*_, i) in self.ptes})

    def mms(self) -> set[int]:
        """Return the address spaces that map any of it."""
        return {mm for mm, *_ in self.ptes} | {mm for mm, *_ in self.huge}

    def entries_of(self, mm: int) -> int:
        """Count the entries of one address space."""
        return sum(n for key, n in self.ptes.items() if key[0] == mm) + sum(
            n for key, n in self.huge.items() if key[0] == mm
        )

    def complete_mappings(self) -> int:
        """Count the VMAs that map all of its pages."""
        return len(self.complete_vmas())

    def complete_vmas(self) -> set[tuple[int, int]]:
        """Return (mm, VMA) of those that map all of its pages."""
        pages: dict[tuple[int, int], set[int]] = {key[:2]: set(range(self.nr_pages)) for key in self.huge}
        for *key, _, i in self.ptes:
            pages.setdefault((key[0], key[1]), set()).add(i)
        return {vma for vma, mapped in pages.items() if len(mapped) == self.nr_pages}

    def mappers(self) -> set[tuple[int, int, int]]:
        """Return (mm, vma, table) of all entries."""
        return {key[:3] for key in self.ptes} | set(self.huge)

    def looked(self, mm: int, *, vma: int = 0, table: int = 0, added: int = 0) -> Looked:
        """Return what a look-up finds during a change that has taken effect and added `added` pages (0: took some away)."""
        mine = sum(key[:3] == (mm, vma, table) for key in self.ptes)
        here = self.nr_pages if self.huge.get((mm, vma, table)) else mine
        vmas = {mapper[:2] for mapper in self.mappers()}
        in_vma = sum(key[:2] == (mm, vma) for key in self.ptes)
        in_vma += self.nr_pages * sum(key[:2] == (mm, vma) for key in self.huge)
        return Looked(here - added, in_vma - added, len(vmas), min(self.mms(), default=0))


def truth_of(quantity: Quantity, truth: FolioTruth, i: int = 0) -> int:
    """Return the true value of a quantity; `i` is the page, for a quantity of a page, or the mm that asks about OTHERS."""
    return _ANSWERS[quantity](truth, i)


_ANSWERS: dict[Quantity, Callable[[FolioTruth, int], int]] = {
    Quantity.ENTRIES: lambda truth, _: truth.entries(),
    Quantity.PAGE_ENTRIES: lambda truth, i: truth.page_entries(i),
    Quantity.MAPPED: lambda truth, _: int(truth.entries() > 0),
    Quantity.PAGES_MAPPED: lambda truth, _: truth.pages_mapped(),
    Quantity.SHARED: lambda truth, _: int(len(truth.mms()) > 1),
    Quantity.PARTIAL: lambda truth, _: int(0 < truth.pages_mapped() < truth.nr_pages),
    Quantity.ADDRESS_SPACES: lambda truth, _: len(truth.mms()),
    Quantity.VMAS: lambda truth, _: len({mapper[:2] for mapper in truth.mappers()}),
    Quantity.TABLE_PAIRS: lambda truth, _: len(truth.mappers()),
    Quantity.COMPLETE_MAPPINGS: lambda truth, _: truth.complete_mappings(),
    Quantity.EXTRA_REFERENCES: lambda truth, _: truth.extra_references,
    Quantity.OTHERS: lambda truth, mm: int(truth.extra_references > 0 or bool(truth.mms() - {mm})),
}
