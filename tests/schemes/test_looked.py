"""Page tables kept by rows of a log against a count of every entry; and what rows do not tell: mremap."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind, Level, Op, Outcome
from mapcount.replay.looks import LOOKED, Looks, mapper_at
from mapcount.replay.result import FolioSpecs
from mapcount.schemes.history import FolioSpec, World, random_wishes
from mapcount.schemes.looked import Looked, PageTables
from replay.logs import random_log

FOLIOS = [FolioSpec(3, Kind.ANON), FolioSpec(3, Kind.FILE), FolioSpec(2, Kind.SHMEM), FolioSpec(0, Kind.ANON)]


@given(seed=st.integers(0, 1 << 30))
def test_they_find_what_a_count_of_every_entry_finds(seed):
    world, tables = World(FOLIOS, 3), PageTables()
    for wish in random_wishes(random.Random(seed), FOLIOS, 61, 4):
        for change in world.grant(wish):
            truth, mapper = world.truths[change.folio], (change.mm, change.vma, 0)
            order = FOLIOS[change.folio].order
            found = tables.change(change.op, change.level, change.folio, order, change.first, change.nr, mapper)
            assert found == truth.looked(change.mm, vma=change.vma, added=change.added), change


@given(seed=st.integers(0, 1 << 30))
def test_in_a_log_addresses_tell_vma_and_table(seed):
    made = random_log(seed)
    log = made.log
    looks = Looks(FolioSpecs.of(log.orders, log.kinds))
    # Engines leave refused rows out.
    rows = [row for batch in log.batches() for row in looks.of(batch.take(batch.outcome == Outcome.DONE)).tolist()]
    done = [(op, expected) for (op, *_, outcome), expected in zip(made.rows, made.looked, strict=True) if not outcome]
    for (op, expected), row in zip(done, rows, strict=True):
        if op <= Op.SPLIT_MAPPING:
            assert Looked(*row) == expected


def test_by_hand():
    """Eight pages: mm 1 maps six across the end of a page table, four before and two behind it; mm 2 all by a PMD."""
    tables = PageTables()
    before, behind = mapper_at(0, 508, 0), mapper_at(0, 512, 4)
    assert before == (1, 508, 0)
    assert behind == (1, 508, 1), "the same VMA, the next table"
    assert tables.change(Op.MAP, Level.PTE, 7, 3, 0, 4, before) == Looked(here=0, in_vma=0, vmas=1, mapper=1)
    assert tables.change(Op.MAP, Level.PTE, 7, 3, 4, 2, behind) == Looked(here=0, in_vma=4, vmas=1, mapper=1)
    assert tables.change(Op.MAP, Level.PMD, 7, 3, 0, 8, (2, 0, 5)) == Looked(here=0, in_vma=0, vmas=2, mapper=1)
    assert tables.change(Op.UNMAP, Level.PTE, 7, 3, 1, 3, before) == Looked(here=1, in_vma=3, vmas=2, mapper=1)
    assert tables.change(Op.UNMAP, Level.PTE, 7, 3, 0, 1, before) == Looked(here=0, in_vma=2, vmas=2, mapper=1)
    assert tables.change(Op.UNMAP, Level.PTE, 7, 3, 4, 2, behind) == Looked(here=0, in_vma=0, vmas=1, mapper=2)
    assert tables.forget(7) == Looked() == tables.change(Op.UNMAP, Level.PMD, 7, 3, 0, 8, (2, 0, 5))


def test_what_mremap_moved_is_found_where_it_was():
    tables = PageTables()
    tables.change(Op.MAP, Level.PTE, 0, 3, 0, 8, (1, 100, 0))
    tables.change(Op.MAP, Level.PTE, 0, 3, 0, 2, (1, 700, 1))
    assert tables.change(Op.UNMAP, Level.PTE, 0, 3, 5, 3, (1, 9000, 17)) == Looked(here=5, in_vma=5, vmas=2, mapper=1)


def test_an_array_has_a_row_for_every_row():
    log = random_log(1).log
    [first, *_] = log.batches()
    assert Looks(FolioSpecs.of(log.orders, log.kinds)).of(first, 3).shape == (len(first), len(LOOKED))
