"""VMAs of the model: found by page number, split and merged as the kernel does, since the ends of a VMA bound large folios."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mapcount.machine.folios import File
    from mapcount.scenarios.steps import Advice, Protection


@dataclass(frozen=True, eq=False)
class AnonVma:
    """What anon pages of some VMAs have in common. `singular`: it did not come down from a parent process."""

    singular: bool


@dataclass(eq=False)
class Vma:
    """Pages `[first, end)`, numbered as in the address space."""

    vma_id: int
    first: int
    end: int
    kind: Kind
    shared: bool
    protection: Protection
    advice: Advice | None = None
    """HUGEPAGE, NOHUGEPAGE or neither."""
    mergeable: bool = False
    """VM_MERGEABLE: KSM may merge its pages."""
    file: File | None = None
    offset: int = 0
    """Page of the file at `first`; of anon memory the page number at which it was mapped first."""
    anon: AnonVma | None = None
    hugetlb_order: int = 0
    """Of hugetlb: its folios have 2^order pages."""
    placed: int = 0
    """Its place among VMAs that begin at the same `offset`: it takes the last one whenever its ends change."""

    def file_page(self, page: int) -> int:
        """Return the page of the file that is mapped at a page of the address space."""
        return self.offset + page - self.first


class VmaList:
    """
    The VMAs of an address space, ascending and disjoint. `split_pmd(page)` is told where a VMA is about to end anew.

    `merges_into_unfaulted`: the policy of that name (schemes/eras.py).
    """

    def __init__(
        self, split_pmd: Callable[[int], None], new_id: Callable[[], int], *, merges_into_unfaulted: bool
    ) -> None:
        self._vmas: list[Vma] = []
        self._split_pmd = split_pmd
        self._new_id = new_id
        self._merges_into_unfaulted = merges_into_unfaulted

    def __iter__(self) -> Iterator[Vma]:
        return iter(tuple(self._vmas))

    def find(self, page: int) -> Vma | None:
        """Return the VMA that a page belongs to."""
        at = bisect_right(self._vmas, page, key=lambda vma: vma.first) - 1
        return self._vmas[at] if at >= 0 and page < self._vmas[at].end else None

    def overlapping(self, first: int, end: int) -> list[Vma]:
        """Return the VMAs that have pages of `[first, end)`."""
        return [vma for vma in self._vmas if vma.first < end and first < vma.end]

    def add(self, vma: Vma) -> Vma:
        """Put in a VMA where none is, and merge it with its neighbours; return what it is part of now."""
        at = bisect_right(self._vmas, vma.first, key=lambda other: other.first)
        self._vmas.insert(at, vma)
        vma.placed = vma.vma_id
        return self._merge_around(vma)

    def remove(self, vma: Vma) -> None:
        """Take out a VMA."""
        self._vmas.remove(vma)

    def isolate(self, first: int, end: int) -> list[Vma]:
        """Split VMAs at `first` and `end`; return those that lie within."""
        for page in (first, end):
            vma = self.find(page)
            if vma is not None and vma.first < page:
                self._split(vma, page)
        return self.overlapping(first, end)

    def change(self, vma: Vma, first: int, end: int, what: Callable[[Vma], None]) -> None:
        """Change what a VMA says of `[first, end)`, which it contains: split it there, then merge what became alike."""
        (middle,) = self.isolate(max(first, vma.first), min(end, vma.end))
        what(middle)
        self._merge_around(middle)

    def anon_of_neighbour(self, vma: Vma) -> AnonVma | None:
        """Return the AnonVma that a VMA may share with a neighbour, of which it could be the continuation but for rights."""
        at = self._vmas.index(vma)
        neighbours = [self._vmas[at + 1 : at + 2], self._vmas[at - 1 : at] if at else []]
        for near in itertools.chain.from_iterable(neighbours):
            left, right = (vma, near) if near.first > vma.first else (near, vma)
            alike = left.end == right.first and left.file is right.file and _goes_on(left, right)
            alike = alike and (left.advice, left.mergeable) == (right.advice, right.mergeable)
            if alike and near.anon is not None and near.anon.singular:
                return near.anon
        return None

    def _split(self, vma: Vma, page: int) -> None:
        self._split_pmd(page)
        number = self._new_id()
        rest = replace(vma, vma_id=number, first=page, offset=vma.file_page(page), placed=number)
        vma.end, vma.placed = page, self._new_id()
        if vma.file is not None:
            vma.file.users += 1
        self._vmas.insert(self._vmas.index(vma) + 1, rest)

    def _merge_around(self, vma: Vma) -> Vma:
        """Merge a VMA that is new or has changed with its neighbours; the left one comes first where both cannot be."""
        at = self._vmas.index(vma)
        left = self._vmas[at - 1] if at and _alike(self._vmas[at - 1], vma) else None
        right = self._vmas[at + 1] if at + 1 < len(self._vmas) and _alike(vma, self._vmas[at + 1]) else None
        if left is not None and not self._takes(left.anon, vma.anon):
            left = None
        if right is not None and not self._takes(right.anon, vma.anon):
            right = None
        if left is not None and right is not None and left.anon and right.anon and left.anon is not right.anon:
            right = None
        if right is not None:
            self._join(vma, right)
        if left is not None:
            self._join(left, vma)
        return left or vma

    def _takes(self, neighbour: AnonVma | None, own: AnonVma | None) -> bool:
        """Tell whether a neighbour can become one with a VMA, by what their anon pages have in common."""
        if neighbour is None and own is not None:
            return self._merges_into_unfaulted and own.singular
        return neighbour is own or (own is None and neighbour is not None and neighbour.singular)

    def _join(self, left: Vma, right: Vma) -> None:
        self._vmas.remove(right)
        left.end, left.placed = right.end, self._new_id()
        left.anon = left.anon or right.anon
        if right.file is not None:
            right.file.users -= 1


def _goes_on(left: Vma, right: Vma) -> bool:
    return left.file_page(left.end) == right.offset


def _alike(left: Vma, right: Vma) -> bool:
    return (
        left.end == right.first
        and left.kind is right.kind
        and left.kind is not Kind.HUGETLB
        and (left.shared, left.protection, left.advice) == (right.shared, right.protection, right.advice)
        and left.mergeable is right.mergeable
        and left.file is right.file
        and _goes_on(left, right)
    )
