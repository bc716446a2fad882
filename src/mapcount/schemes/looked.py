"""What a scheme finds that looks into page tables: kept beside its words, from the same changes of mappings.

A mapper is (mm, VMA, page table). Where changes tell addresses, the VMA is known by where it has the folio's first page, so
that halves of one VMA are the same: no change tells that a VMA is split or merged, nor that mremap moves entries. What mremap
has moved is still found at the old place.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from mapcount.mapping.schema import Level, Op

Mapper: TypeAlias = "tuple[int, int, int]"
"""mm, VMA, page table."""
# Plain numbers: to compare or hash a member of an enum takes Python several times as long.
ADDING, _UNMAP, _PTE = {int(op) for op in (Op.FIRST_MAP, Op.MAP, Op.DUP)}, int(Op.UNMAP), int(Level.PTE)


class Looked(NamedTuple):
    """What look-ups find during a change of one folio (ops.lookup_page_table, lookup_vma, lookup_vmas, current_mm)."""

    here: int = 0
    """pages of the folio that the mapper at hand maps, those of the change left out"""
    in_vma: int = 0
    """the same of the VMA at hand, in all page tables"""
    vmas: int = 0
    """(mm, VMA) pairs that map any of it after the change"""
    mapper: int = 0
    """an mm that maps it after the change, the lowest; 0 is nobody"""


class PageTables:
    """Which pages of some folios each mapper maps."""

    def __init__(self) -> None:
        self._of: dict[int, dict[Mapper, int]] = {}
        """by folio and mapper its pages, as bits"""

    def forget(self, folio: int) -> Looked:
        """Begin anew with a folio that is born or dies."""
        self._of.pop(folio, None)
        return Looked()

    def change(self, op: int, level: int, folio: int, order: int, first: int, nr: int, mapper: Mapper) -> Looked:
        """Change page tables as an operation of a scheme tells; return what it finds in them."""
        mappers = self._of.setdefault(folio, {})
        pages = ((1 << nr) - 1) << first if level == _PTE else (1 << (1 << order)) - 1
        if op in ADDING:
            here = mappers.get(mapper, 0) & ~pages
            mappers[mapper] = here | pages
        elif op == _UNMAP:
            mapper = _where(mappers, mapper, pages)
            here = mappers.pop(mapper, 0) & ~pages
            if here:
                mappers[mapper] = here
        else:
            here = pages
        return Looked(
            here.bit_count(),
            here.bit_count() + sum(mapped.bit_count() for other, mapped in mappers.items() if _same_vma(other, mapper)),
            len({(mm, vma) for mm, vma, _ in mappers}),
            min((mm for mm, *_ in mappers), default=0),
        )


def _same_vma(one: Mapper, other: Mapper) -> bool:
    """Tell whether two page tables of one VMA are meant."""
    return one[:2] == other[:2] and one != other


def _where(mappers: dict[Mapper, int], mapper: Mapper, pages: int) -> Mapper:
    """Return the mapper that has the pages: the one named, or another of the mm if mremap moved them."""
    if mappers.get(mapper, 0) & pages == pages:
        return mapper
    others = [other for other in mappers if other[0] == mapper[0]]
    return max(others, key=lambda other: ((mappers[other] & pages).bit_count(), other == mapper), default=mapper)
