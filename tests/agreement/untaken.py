"""Branches of each kernel's way of counting that no recorded scenario takes; OUT_OF_REACH of coverage.py says why."""

from __future__ import annotations

_EVERYWHERE = {
    "apply_hugetlb: elif op == FIRST_MAP:": 1,
    "apply_pmd: elif op == FIRST_MAP:": 1,
    "apply_pmd: if folio_test_anon(m, folio):": 1,
    "apply_ptes: elif op == FIRST_MAP:": 1,
    "apply_ptes: if folio_test_anon(m, folio):": 1,
    "mod_pmdmapped: elif folio_test_shmem(m, folio):": 1,
    "mod_pmdmapped: if pages:": 1,
}
_PINNED = {
    "must_copy: for i in range(page, page + nr):": 2,
    "must_copy: if folio_test_anon(m, folio) and folio_maybe_dma_pinned(m, folio):": 1,
    "must_copy: if test_bit(m, PG_anon_exclusive, i):": 2,
}
_DOUBLE_MAP = {
    "dup_pmd: if may_not_share(m, folio, page, 1):": 1,
    "dup_pmd: if not folio_test_anon(m, folio):": 1,
    "dup_ptes: if may_not_share(m, folio, page, nr):": 1,
    "folio_mapcount: while again:": 2,
    "folio_mapped: for i in range(page, page + (1 << order)):": 2,
    "folio_mapped: if atomic_read(m, _mapcount, i) >= 0:": 2,
    "folio_mapped: if atomic_read(m, compound_mapcount, folio) >= 0:": 2,
    "folio_mapped: if not folio_test_hugetlb(m, folio):": 2,
    "folio_mapped: if order == 0:": 2,
    "map_pmd: if atomic_inc_and_test(m, compound_mapcount, folio):": 1,
    "page_mapcount: while again:": 2,
    "sum_of_all_pages: if not folio_test_anon(m, folio):": 1,
}
_BATCHED = _PINNED | {
    "dup_pmd: if must_copy(m, folio, page, 1):": 1,
    "dup_ptes: if must_copy(m, folio, page, nr):": 1,
    "dup_small: if folio_maybe_dma_pinned(m, folio):": 1,
}
_TWO_CPUS = {
    "pages_from_first_pmd: if nr < 0:": 1,
    "pages_from_first_pmd: if nr >= ENTIRELY_MAPPED + ENTIRELY_MAPPED:": 1,
    "pages_from_last_pmd: if nr < 0:": 1,
    "pages_from_last_pmd: if nr >= ENTIRELY_MAPPED:": 1,
}
UNTAKEN = {
    "double-map:before-5.19": _EVERYWHERE | _DOUBLE_MAP | {"mapped_shared: while again:": 2},
    "double-map": _EVERYWHERE | _DOUBLE_MAP | _PINNED,
    "large-mapcount": _EVERYWHERE | _BATCHED | _TWO_CPUS,
    "mm-id": _EVERYWHERE | _BATCHED | _TWO_CPUS,
    "no-page-mapcount": _EVERYWHERE | _BATCHED | {"mod_mapped: if pages:": 1},
}
"""By scheme: function and line, and how many of the ways that this line can go."""
