"""A scheme of one word, compiled in a tenth of the time of a real one: for tests of where compiled modules are kept."""

from __future__ import annotations

from dataclasses import replace

from mapcount.schemes import large_mapcount
from mapcount.schemes.bind import bind
from mapcount.schemes.large_mapcount import folio_mapcount  # noqa: F401
from mapcount.schemes.ops import atomic_add, atomic_sub
from mapcount.schemes.words import _large_mapcount, _mapcount


def new_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, _large_mapcount, folio, nr)


def map_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, _large_mapcount, folio, nr)


def unmap_ptes(m, folio, order, page, nr, mm):
    atomic_sub(m, _large_mapcount, folio, nr)


def dup_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, _large_mapcount, folio, nr)
    return 0


def new_pmd(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)


def map_pmd(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)


def unmap_pmd(m, folio, order, page, mm):
    atomic_sub(m, _large_mapcount, folio, 1)


def dup_pmd(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)
    return 0


def split_pmd(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, (1 << order) - 1)


def new_hugetlb(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)


def map_hugetlb(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)


def unmap_hugetlb(m, folio, order, page, mm):
    atomic_sub(m, _large_mapcount, folio, 1)


def dup_hugetlb(m, folio, order, page, mm):
    atomic_add(m, _large_mapcount, folio, 1)
    return 0


SCHEME = bind(
    replace(
        large_mapcount.SCHEME,
        id="tiny",
        module=__name__,
        places=(_mapcount.at(48), _large_mapcount.at(16, page=1)),
        readers=tuple(reader for reader in large_mapcount.SCHEME.readers if reader.name == "folio_mapcount"),
        variants={},
        invariants=(),
        scalable=(),
    )
)
