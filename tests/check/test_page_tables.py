"""Page tables as words: at the end they, the references and the counts agree by arithmetic, whoever came first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.locks import KINDS
from mapcount.check.model import Call, Model
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

LARGE = find_scheme("large-mapcount")
BOTH = (Call("map_ptes", 0, 2, 1), Call("map_ptes", 0, 2, 2))
MIGRATION = (Call("migration"),)
NONE, FIRST, LAST, ALL = range(4)
ENTRIES, LAST_ENTRY = ALL << 2, LAST << 2


def model(*threads, start=BOTH, kind=Kind.SHMEM, extra=0, without=()):
    """Return a model of two pages whose last thread migrates the folio, a reference of its own in hand."""
    return Model(
        LARGE,
        1,
        (*threads, MIGRATION),
        start,
        kind,
        watch_all=True,
        references=True,
        extra_references=extra,
        reader_references=1,
        page_tables=True,
        locks=frozenset(KINDS) - set(without),
    )


def ends(found):
    """Return (page tables of mm 1 on, what migration returned) for each way in which it may end."""
    assert found.complete
    assert not found.stuck
    returned = found.values(len(found.steps.threads) - 1)
    return {found.steps.words(state)["page_table"][1:] for state in found.finals}, returned


@pytest.mark.parametrize(
    "writers", ["fork-zap", "fault-touch", "zap-fault", "hand-over", "split-zap", "pmd-and-ptes", "three-levels"]
)
@pytest.mark.parametrize("context", ["migration", "split-to-the-end"])
@pytest.mark.parametrize("pages", [2, 4])
@pytest.mark.parametrize("without", [(), ("entries", "folio")])
def test_at_the_end_all_three_agree(context, writers, pages, without):
    found = explore(model_of(Cell("large-mapcount", context, writers, pages, without=frozenset(without))))
    assert found.complete
    assert found.finals
    cache = pages if found.steps.model.kind == Kind.SHMEM else 0
    for state in found.finals:
        words = found.steps.words(state)
        ptes = sum((table & ((1 << pages) - 1)).bit_count() for table in words["page_table"])
        pmds = sum(table >> 2 * pages & 1 for table in words["page_table"])
        mapped = ptes + pmds
        assert words["_entire_mapcount"] == (pmds - 1,)
        assert words["_large_mapcount"] == (mapped - 1,)
        assert words["_refcount"] == (mapped + cache + 1 + 1,)  # a pin, and the reader's
        per_page = [sum(table >> i & 1 for table in words["page_table"]) - 1 for i in range(pages)]
        assert list(words["_mapcount"]) == per_page


def test_alone_it_replaces_all_and_goes_ahead():
    assert ends(explore(model())) == ({(ENTRIES, ENTRIES)}, {0})


def test_without_entries_nothing_is_left():
    assert ends(explore(model(without=["entries"]))) == ({(NONE, NONE)}, {0})


def test_a_pin_stops_it_before_it_begins():
    assert ends(explore(model(extra=1))) == ({(ALL, ALL)}, {1})


def test_what_is_zapped_first_leaves_no_entry_and_a_zap_clears_one():
    zap = (Call("unmap_ptes", 0, 1, 1, via="zap"),)
    # Entries or not, the first page is gone in the end; migration is stopped where it sees the zap's reference still there.
    assert ends(explore(model(zap))) == ({(LAST_ENTRY, ENTRIES), (LAST, ALL)}, {0, 1})


def test_fork_shares_mappings_or_entries():
    fork = (Call("dup_ptes", 0, 2, 3, parent=1, via="fork"),)
    start = (Call("new_ptes", 0, 2, 1), Call("dup_ptes", 0, 2, 2))
    tables, returned = ends(explore(model(fork, start=start, kind=Kind.ANON)))
    # Before, after: the child has entries too. In between, a reference that is not counted yet: it looks pinned.
    assert tables == {(ENTRIES, ENTRIES, ENTRIES), (ALL, ALL, ALL)}
    assert returned == {0, 1}


PMD, PMD_ENTRY = 1 << 4, 2 << 4


def test_a_pmd_gives_way_to_an_entry_of_its_own_or_is_split_first():
    start = (Call("map_pmd", mm=1), Call("map_ptes", 0, 1, 2))
    assert ends(explore(model(start=start))) == ({(PMD_ENTRY, FIRST << 2)}, {0})
    split = replace(model(start=start), threads=((Call("split_to_the_end"),),))
    assert ends(explore(split)) == ({(ENTRIES, FIRST << 2)}, {0})


def test_who_comes_upon_a_pmds_entry():
    """A fault leaves it, a split makes entries of PTEs of it, a zap clears it; before, each does what it does to a PMD."""
    start = (Call("new_pmd", mm=1),)

    def met(*calls):
        return ends(explore(model(calls, start=start, kind=Kind.ANON)))

    assert met(Call("split_pmd", mm=1, via="split_huge_pmd")) == ({(ENTRIES,), (ALL,)}, {0, 1})
    assert met(Call("unmap_pmd", mm=1, via="zap_pmd")) == ({(NONE,)}, {0, 1})
    tables, _ = met(Call("dup_pmd", mm=2, parent=1, via="fork_pmd"))
    assert tables == {(PMD_ENTRY, PMD_ENTRY), (PMD, PMD)}
    touch = (Call("map_ptes", 0, 1, 1, via="touch"),)
    assert ends(explore(model(touch, start=(Call("map_pmd", mm=1),)))) == ({(PMD_ENTRY,)}, {0})


def test_a_fault_that_meets_an_entry_does_nothing():
    touch = (Call("map_ptes", 0, 1, 1, via="touch"),)
    assert ends(explore(model(touch))) == ({(ENTRIES, ENTRIES)}, {0})


def test_without_entries_it_maps_the_page_again():
    touch = (Call("map_ptes", 0, 1, 1, via="touch"),)
    assert ends(explore(model(touch, without=["entries"]))) == ({(NONE, NONE), (FIRST, NONE)}, {0})
    # The folio lock keeps it out until migration is done; without, migration finds it mapped, or its reference.
    assert ends(explore(model(touch, without=["entries", "folio"])))[1] == {0, 1}


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Model(LARGE, 1, (MIGRATION,), BOTH, Kind.SHMEM, references=True), "no words of the model"),
        (lambda: model((Call("map_ptes", 0, 1, 3, via="insert"),)), "not modelled beside"),
        (lambda: replace(model(), order=4), "up to 8 pages"),
        (lambda: model(without=["ptl"]), "under page-table locks"),
        (lambda: model(start=(Call("map_ptes", 0, 2, 5),)), "up to 4 address spaces"),
        (
            lambda: Model(LARGE, 1, ((Call("map_ptes", 0, 1, 1, via="touch"),),), BOTH, Kind.SHMEM),
            "only beside a reader that unmaps",
        ),
    ],
)
def test_models_that_say_nothing(build, told):
    with pytest.raises(UsageError, match=told):
        build()
