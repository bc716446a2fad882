"""table-pairs by hand: across the end of a page table, and what has to be looked up."""

from __future__ import annotations

import pytest

from mapcount.errors import ConformanceError
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.replay.engine import replay
from mapcount.schemes.catalogue import find_scheme
from mapcount.schemes.conformance import run_conformance_test
from mapcount.schemes.history import FolioSpec
from mapcount.schemes.looked import Looked
from mapcount.schemes.table_pairs import SCHEME
from replay.logs import log_of_rows
from schemes.mutation import mutated
from schemes.one_folio import OneFolio


def test_it_conforms():
    run_conformance_test(SCHEME)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("elif nr == 1 << order or not lookup_page_table(m, folio):\n        add", "else:\n        add"),
        (
            "elif nr == 1 << order or not lookup_page_table(m, folio):\n        remove",
            "elif nr == 1 << order:\n        remove",
        ),
        (
            "    if nr == 1 << order or not lookup_page_table(m, folio):\n        atomic_inc",
            "    if nr:\n        atomic_inc",
        ),
        ("folio, 1) == 1:", "folio, 1) == 2:"),
    ],
)
def test_a_broken_one_is_found(old, new):
    with pytest.raises(ConformanceError):
        run_conformance_test(mutated("table_pairs", "table_pairs", old, new))


def replayed(rows, addresses, order=3, kind=Kind.FILE, engine="plain"):
    """Rows of (op, level, first, nr, mm) of one folio, each at a page number of the address space."""
    full = [(op, level, 0, first, nr, mm, 0) for op, level, first, nr, mm in rows]
    log = log_of_rows(full, [FolioSpec(order, kind)], addresses=[4096 * page for page in addresses])
    [result] = replay(log, [find_scheme("table-pairs")], cost=True, engine=engine)
    return int(result.words["folio->_mapcount"][0]), list(result.costs.rows())


def test_a_folio_across_the_end_of_a_page_table_is_two_pairs():
    """Page 0 lies at page number 508: pages 0 to 3 are the last of one table, 4 to 7 the first of the next."""
    rows = [(Op.MAP, Level.PTE, 0, 4, 0), (Op.MAP, Level.PTE, 4, 4, 0)]
    pairs, [cost] = replayed(rows, [508, 512])
    assert pairs == 2
    assert (cost.operations, cost.locked, cost.lookups, cost.entries_read) == (2, 2, 2, 16)
    rows += [(Op.UNMAP, Level.PTE, 4, 1, 0), (Op.UNMAP, Level.PTE, 5, 3, 0)]
    assert replayed(rows[:3], [508, 512, 512])[0] == 2, "three pages are left in the second table"
    assert replayed(rows, [508, 512, 512, 513])[0] == 1
    assert replayed([*rows, (Op.UNMAP, Level.PTE, 0, 4, 0)], [508, 512, 512, 513, 508])[0] == 0


def test_a_folio_inside_of_a_page_table_is_one_pair_for_each_mm():
    rows = [(Op.MAP, Level.PTE, 0, 8, 0), (Op.DUP, Level.PTE, 0, 8, 1), (Op.DUP, Level.PTE, 0, 8, 2)]
    pairs, costs = replayed(rows, [64, 64, 64])
    assert pairs == 3
    assert sum(cost.lookups for cost in costs) == 0, "whole folios need no look"


def test_two_vmas_of_one_mm_are_two_pairs_in_one_table():
    assert replayed([(Op.MAP, Level.PTE, 0, 2, 0), (Op.MAP, Level.PTE, 0, 2, 0)], [64, 128])[0] == 2


def test_splitting_a_pmd_changes_nothing_but_the_statistic():
    folio = OneFolio("table-pairs", 9)
    folio.new_pmd(1)
    assert folio.pmd_mapped == 512
    folio.split(1)
    assert (folio.word("folio->_mapcount"), folio.locked, folio.pmd_mapped, folio.mapped) == (1, 0, 0, 512)


def test_page_by_page_every_page_needs_a_look():
    folio = OneFolio("table-pairs", 4, Kind.FILE)
    for i in range(16):
        folio.memory.looked[1] = Looked(here=i)
        folio.map(i, 1, 1)
        assert folio.locked == (i == 0)
    assert (folio.word("folio->_mapcount"), folio.memory.lookups, folio.memory.entries_read) == (1, 16, 256)
    folio.memory.looked[1] = Looked()
    folio.map(0, 16, 2)
    assert (folio.word("folio->_mapcount"), folio.memory.lookups) == (2, 16)


@pytest.mark.parametrize(("pairs", "shared"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_two_pairs_may_be_those_of_one(pairs, shared):
    folio = OneFolio("table-pairs", 3, Kind.FILE)
    for _ in range(pairs):
        folio.map(0, 4, 1)
    assert folio.read("mapped_shared") == shared
