"""A scheme that touches the words of two pages that are no neighbours: what closed-form costs must notice."""

from __future__ import annotations

from dataclasses import replace

from mapcount.schemes import large_mapcount
from mapcount.schemes.bind import bind
from mapcount.schemes.large_mapcount import (  # noqa: F401
    dup_hugetlb,
    dup_pmd,
    dup_ptes,
    folio_mapcount,
    folio_mapped,
    map_hugetlb,
    map_pmd,
    mapped_shared,
    new_hugetlb,
    new_pmd,
    new_ptes,
    page_mapcount,
    partially_mapped,
    split_pmd,
    unmap_hugetlb,
    unmap_pmd,
    unmap_ptes,
)
from mapcount.schemes.ops import atomic_inc
from mapcount.schemes.words import _mapcount


def gappy_map(m, folio, page):
    atomic_inc(m, _mapcount, page)
    atomic_inc(m, _mapcount, page + 2)


def map_ptes(m, folio, order, page, nr, mm):
    gappy_map(m, folio, page)


# Two functions of one name are refused: split_pmd of large_mapcount calls the other map_ptes.
def split_pmd(m, folio, order, page, mm):  # noqa: F811
    gappy_map(m, folio, page)


SCHEME = bind(replace(large_mapcount.SCHEME, module=__name__, variants={}))
