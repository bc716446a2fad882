"""From a change of mappings to the operation of a scheme that counts it. Written like a scheme, so it is compiled with one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.ops import folio_test_anon, folio_test_hugetlb

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

FIRST_MAP = 1
MAP = 2
DUP = 3
UNMAP = 4
SPLIT_MAPPING = 5
"""As in mapping.schema.Op: here they must be plain constants."""
PTE = 0


def apply(m: Memory, op: int, level: int, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """
    Count one change: `nr` pages from number `page` on, or a PMD or PUD entry. Returns what a dup returned, else 0.

    `op` is a mapping.schema.Op, `level` a mapping.schema.Level; `page` is the number of the first page in the array of
    all pages, for an entry of a higher level the folio's first.
    """
    if folio_test_hugetlb(m, folio):
        return apply_hugetlb(m, op, folio, order, page, mm)
    if level == PTE:
        return apply_ptes(m, op, folio, order, page, nr, mm)
    return apply_pmd(m, op, folio, order, page, mm)


def apply_ptes(m: Memory, op: int, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Count a change by PTEs."""
    if op == UNMAP:
        unmap_ptes(m, folio, order, page, nr, mm)
    elif op == MAP:
        map_ptes(m, folio, order, page, nr, mm)
    elif op == DUP:
        return dup_ptes(m, folio, order, page, nr, mm)
    elif op == FIRST_MAP:
        if folio_test_anon(m, folio):
            new_ptes(m, folio, order, page, nr, mm)
        else:
            map_ptes(m, folio, order, page, nr, mm)
    return 0


def apply_pmd(m: Memory, op: int, folio: int, order: int, page: int, mm: int) -> int:
    """Count a change by a PMD."""
    if op == UNMAP:
        unmap_pmd(m, folio, order, page, mm)
    elif op == MAP:
        map_pmd(m, folio, order, page, mm)
    elif op == DUP:
        return dup_pmd(m, folio, order, page, mm)
    elif op == SPLIT_MAPPING:
        split_pmd(m, folio, order, page, mm)
    elif op == FIRST_MAP:
        if folio_test_anon(m, folio):
            new_pmd(m, folio, order, page, mm)
        else:
            map_pmd(m, folio, order, page, mm)
    return 0


def apply_hugetlb(m: Memory, op: int, folio: int, order: int, page: int, mm: int) -> int:
    """Count a change of a hugetlb folio."""
    if op == UNMAP:
        unmap_hugetlb(m, folio, order, page, mm)
    elif op == MAP:
        map_hugetlb(m, folio, order, page, mm)
    elif op == DUP:
        return dup_hugetlb(m, folio, order, page, mm)
    elif op == FIRST_MAP:
        new_hugetlb(m, folio, order, page, mm)
    return 0


def _of_the_scheme(*_arguments: object) -> int:
    raise AssertionError("bind() puts the scheme's operation here")


new_ptes = map_ptes = unmap_ptes = dup_ptes = _of_the_scheme
new_pmd = map_pmd = unmap_pmd = dup_pmd = split_pmd = _of_the_scheme
new_hugetlb = map_hugetlb = unmap_hugetlb = dup_hugetlb = _of_the_scheme
