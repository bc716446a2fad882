"""Page tables as words: at the end they, the references and the counts agree by arithmetic, whoever came first."""

from __future__ import annotations

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


@pytest.mark.parametrize("writers", ["fork-zap", "fault-touch", "zap-fault", "hand-over"])
@pytest.mark.parametrize("pages", [2, 4])
@pytest.mark.parametrize("without", [(), ("entries", "folio")])
def test_at_the_end_all_three_agree(writers, pages, without):
    found = explore(model_of(Cell("large-mapcount", "migration", writers, pages, without=frozenset(without))))
    assert found.complete
    assert len(found.finals) > 1
    cache = pages if found.steps.model.kind == Kind.SHMEM else 0
    for state in found.finals:
        words = found.steps.words(state)
        mapped = sum((table & ((1 << pages) - 1)).bit_count() for table in words["page_table"])
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
        (lambda: model((Call("map_pmd", mm=3, via="fault_pmd"),)), "not modelled beside"),
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
