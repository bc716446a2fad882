"""Every mutant of every scheme gets another verdict than the scheme: at rest, or from a reader who asks meanwhile."""

from __future__ import annotations

import functools

import pytest

from check.mutants import loaded, mutants
from mapcount.check.cells import Cell
from mapcount.check.verdicts import judge
from mapcount.schemes.catalogue import SCHEMES, find_scheme

AT_REST = (
    ("map-both", 2),
    ("halves", 4),
    ("fork-zap", 4),
    ("split-zap", 4),
    ("three-ptes", 1),
    ("three-ptes", 2),
    ("three-levels", 2),
)
"""The small ones first: most mutants need no more."""
ASKED = (("folio_mapcount", "zap-fault"), ("folio_mapcount", "fork-zap"), ("mapped_shared", "hand-over"))
NOT_SEEN = {
    "drop in map_ptes: without split_huge_page(m, folio, order, folio_first_page(m, folio))": "anon alone: no mix does it",
    "swap in map_ptes: add_to_slot(m, folio, large, nr, mm) before add_to_total(m, folio, nr)": "under the lock",
    "swap in unmap_ptes: sub_from_slot(m, folio, large, nr, mm) before add_to_total(m, folio, -nr)": "under the lock",
    "swap in dup_ptes: atomic_inc(m, _mapcount, i) before share(m, folio, i)": "only GUP without locks looks in between",
    "swap in dup_ptes: atomic_inc(m, _total_mapcount, folio) before atomic_inc(m, _mapcount, i)": "no reader looks at both",
    "swap in dup_ptes: add_total_mapcount(m, folio, order, 1, mm) before atomic_inc(m, _mapcount, i)": "the same",
}
"""Mutants that no model tells from the scheme, and why."""


def _cells(scheme, name):
    least = 4 if 1 in scheme.unsupported_orders else 2
    for writers, pages in AT_REST:
        yield Cell(name, "rest", writers, pages if pages == 1 else max(pages, least))
    own = {reader.name for reader in scheme.readers}
    yield from (Cell(name, reader, writers, least) for reader, writers in ASKED if reader in own)


@functools.cache
def _verdict(cell):
    try:
        verdict = judge(cell)
    except AssertionError as error:  # a lock that is never given back
        return str(error)
    return verdict.status, tuple(one.property for one in verdict.violations)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.id)
def test_every_mutant_is_caught(scheme, tmp_path):
    every = list(mutants(scheme))
    assert {"drop"} <= {one.kind for one in every}
    survivors = []
    for mutant in every:
        name = loaded(tmp_path, scheme, mutant)
        find_scheme(name)
        pairs = zip(_cells(scheme, scheme.id), _cells(scheme, name), strict=True)
        if all(_verdict(original) == _verdict(changed) for original, changed in pairs):
            survivors.append(f"{mutant.kind} in {mutant.function}: {mutant.says}")
    assert set(survivors) <= set(NOT_SEEN)
