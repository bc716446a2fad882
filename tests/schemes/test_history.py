"""A history grants what is possible of a wish; the truth is that of its changes; any part of a history is one again."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.schemes.history import FolioSpec, Wish, World, random_wishes, unmap_all
from mapcount.schemes.truth import FolioTruth

FOLIOS = [FolioSpec(3, Kind.ANON), FolioSpec(3, Kind.FILE), FolioSpec(2, Kind.ANON), FolioSpec(3, Kind.HUGETLB)]


def changes(world, wishes):
    return [(wish, change) for wish in wishes for change in world.grant(wish)]


@given(st.integers(0, 1 << 30), st.sets(st.integers(0, 42)))
def test_the_truth_is_that_of_the_changes(seed, left_out):
    wishes = random_wishes(random.Random(seed), FOLIOS, 43, 4)
    wishes = [wish for i, wish in enumerate(wishes) if i not in left_out]
    world = World(FOLIOS, 3)
    truths = [FolioTruth(spec.order) for spec in FOLIOS]
    for _, change in changes(world, wishes):
        truth, adds = truths[change.folio], change.op in {Op.FIRST_MAP, Op.MAP, Op.DUP}
        if change.op == Op.SPLIT_MAPPING:
            truth.map_huge(change.mm, -1)
            truth.map(0, truth.nr_pages, change.mm, 1)
        elif change.level == Level.PTE:
            truth.map(change.first, change.nr, change.mm, 1 if adds else -1)
        else:
            truth.map_huge(change.mm, 1 if adds else -1)
    for ours, theirs in zip(truths, world.truths, strict=True):
        assert ours.pte_counts() == theirs.pte_counts()
        assert ours.huge_entries() == theirs.huge_entries()
        assert ours.mms() == theirs.mms()


@given(st.integers(0, 1 << 30))
def test_when_all_is_unmapped_nothing_is_mapped(seed):
    world = World(FOLIOS, 3)
    changes(world, random_wishes(random.Random(seed), FOLIOS, 43, 4))
    changes(world, unmap_all(world))
    assert not any(truth.entries() for truth in world.truths)


def test_what_is_impossible_is_left_out():
    world = World([FolioSpec(3, Kind.ANON), FolioSpec(3, Kind.FILE)], 3)
    none = [
        Wish("map", 0, 1, 0, 0, 8),  # an anon folio is not born yet
        Wish("unmap", 0, 1, 0, 0, 8),
        Wish("split", 1, 1, 0, 0, 8),  # a file has its PMD taken away instead
        Wish("new", 1, 1, 0, 0, 8),
    ]
    assert changes(world, none) == []
    assert [c.op for _, c in changes(world, [Wish("new_pmd", 0, 1, 0, 3, 2), Wish("new", 0, 2, 0, 0, 8)])] == [
        Op.FIRST_MAP
    ]
    assert changes(world, [Wish("map", 0, 1, 0, 0, 8)]) == [], "the PMD is there already"


def test_a_fork_goes_to_one_who_maps_nothing_and_may_be_refused():
    world = World([FolioSpec(2, Kind.ANON)], 3)
    changes(world, [Wish("new", 0, 2, 1, 0, 4), Wish("unmap", 0, 2, 1, 1, 1)])
    wish = Wish("fork", 0, 2, 1, 0, 4)
    granted = [change for _, change in changes(world, [wish])]
    assert [(c.op, c.mm, c.first, c.nr) for c in granted] == [(Op.DUP, 1, 0, 1), (Op.DUP, 1, 2, 2)]
    assert world.truths[0].mms() == {1, 2}
    for change in granted:
        world.refuse(change, 1)
    assert world.truths[0].mms() == {2}


def test_anon_pages_are_mapped_both_ways_by_a_split_alone_if_asked_for():
    born = [Wish("new_pmd", 0, 1, 0, 0, 8)]
    pte_beside_pmd, pmd_beside_pte = Wish("map", 0, 2, 0, 0, 3), Wish("map_pmd", 0, 3, 0, 0, 8)
    split = Wish("split", 0, 1, 0, 0, 8)

    def mapped(flag):
        world = World([FolioSpec(3, Kind.ANON)], 3, anon_mixed_by_split_only=flag)
        granted = changes(world, [*born, pte_beside_pmd, split, pmd_beside_pte])
        return [(change.op, change.level) for _, change in granted]

    assert mapped(True) == [(Op.FIRST_MAP, Level.PMD), (Op.SPLIT_MAPPING, Level.PMD)]
    assert mapped(False) == [
        (Op.FIRST_MAP, Level.PMD),
        (Op.MAP, Level.PTE),
        (Op.SPLIT_MAPPING, Level.PMD),
        (Op.MAP, Level.PMD),
    ]
