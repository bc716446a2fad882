"""Whatever the history, the mappings at its end are the snapshot's, page by page; on the way nothing impossible happens."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.errors import BadSnapshotError, UsageError
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.mapping.snapshot import Metadata, Snapshot, empty_tables
from mapcount.replay import histories
from mapcount.replay.engine import replay
from mapcount.replay.entries import NO_VMA
from mapcount.replay.histories import DEFAULT_HISTORY, HISTORIES, log_of
from mapcount.schemes.catalogue import find_scheme
from replay.snapshots import PAGE, PMD_ORDER, make, random_snapshot, table

SEEDS = st.integers(0, 1 << 30)
UNCOUNTED = {Kind.ZERO, Kind.DEVICE}


def rows_of(log):
    names = ("op", "mm_id", "folio_id", "first_page", "nr_pages", "level", "address", "vma_id")
    for batch in log.batches():
        yield from zip(*(getattr(batch, name).tolist() for name in names), strict=True)


def told(snapshot, name):
    """The rows in short, for histories by hand: (op, mm, first, nr, level)."""
    rows = rows_of(log_of(snapshot, name))
    return [(Op(op).name, mm, first, nr, Level(level).name) for op, mm, _, first, nr, level, *_ in rows]


class Tables:
    """Page tables by brute force: how often (mm, folio, page) is mapped at a level."""

    def __init__(self, snapshot):
        self.orders = snapshot.folios.order.tolist()
        self.kinds = snapshot.folios.kind.tolist()
        self.counts = Counter()
        self.most = Counter()
        self.born, self.mapped = set(), set()

    def change(self, mm, folio, first, nr, level, by):
        for page in range(first, first + nr):
            key = (mm, folio, page, level)
            self.counts[key] += by
            assert self.counts[key] >= 0, f"{key} is unmapped and was not mapped"
            self.most[key] = max(self.most[key], self.counts[key])

    def apply(self, op, mm, folio, first, nr, level):
        size = 1 << self.orders[folio]
        assert first + nr <= size
        if op == Op.BIRTH:
            assert folio not in self.born
            self.born.add(folio)
            return
        assert folio in self.born
        if op in {Op.FIRST_MAP, Op.MAP, Op.DUP}:
            assert (op == Op.FIRST_MAP) <= (folio not in self.mapped)
            assert op != Op.DUP or folio in self.mapped
            assert op == Op.MAP or self.kinds[folio] == Kind.ANON
            self.mapped.add(folio)
            self.change(mm, folio, first, nr, level, 1)
        elif op == Op.UNMAP:
            self.change(mm, folio, first, nr, level, -1)
        else:
            assert op == Op.SPLIT_MAPPING
            assert (first, nr, level) == (0, size, Level.PMD)
            assert self.kinds[folio] == Kind.ANON
            self.change(mm, folio, 0, size, Level.PMD, -1)
            self.change(mm, folio, 0, size, Level.PTE, 1)


def played(snapshot, name):
    tables = Tables(snapshot)
    for op, mm, folio, first, nr, level, *_ in rows_of(log_of(snapshot, name)):
        tables.apply(op, mm, folio, first, nr, level)
    return tables


def seen_mappings(snapshot):
    """(mm, folio, page, level) of runs, hugetlb and what is not counted left out."""
    runs, kinds = snapshot.runs, snapshot.folios.kind.tolist()
    expected = Counter()
    for row in range(len(runs)):
        folio = int(runs.folio_id[row])
        if kinds[folio] not in UNCOUNTED | {Kind.HUGETLB}:
            for page in range(int(runs.first_page[row]), int(runs.first_page[row]) + int(runs.nr_pages[row])):
                expected[int(runs.mm_id[row]), folio, page, int(runs.level[row])] += 1
    return expected


def unseen_mappings(snapshot):
    unseen, kinds = snapshot.unseen, snapshot.folios.kind.tolist()
    expected = Counter()
    for row in range(len(unseen)):
        folio = int(unseen.folio_id[row])
        if kinds[folio] not in UNCOUNTED | {Kind.HUGETLB}:
            for page in range(int(unseen.first_page[row]), int(unseen.first_page[row]) + int(unseen.nr_pages[row])):
                expected[folio, page] += int(unseen.mappings[row])
    return expected


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=97, deadline=None)
@given(seed=SEEDS)
def test_every_history_ends_in_the_mappings_of_the_snapshot(name, seed):
    snapshot = random_snapshot(seed)
    mms, kinds = len(snapshot.mms), snapshot.folios.kind.tolist()
    final = +played(snapshot, name).counts
    others = {key: count for key, count in final.items() if kinds[key[1]] != Kind.HUGETLB}
    assert {key: count for key, count in others.items() if key[0] < mms} == seen_mappings(snapshot)
    by_unseen = Counter()
    for (mm, folio, page, _), count in others.items():
        if mm >= mms:
            assert count == 1
            by_unseen[folio, page] += count
    assert by_unseen == unseen_mappings(snapshot)
    assert not {key[1] for key in final if kinds[key[1]] in UNCOUNTED}


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=31, deadline=None)
@given(seed=SEEDS)
def test_of_hugetlb_as_many_mappings_as_are_counted(name, seed):
    snapshot = random_snapshot(seed)
    final = +played(snapshot, name).counts
    counts = dict(zip(snapshot.observed_counts.folio_id.tolist(), snapshot.observed_counts.count.tolist(), strict=True))
    for folio in np.flatnonzero(snapshot.folios.kind == Kind.HUGETLB).tolist():
        seen = {int(mm) for mm in snapshot.runs.mm_id[snapshot.runs.folio_id == folio]}
        mapping = {mm for mm, f, *_ in final if f == folio}
        assert len(mapping) == counts.get(folio, len(seen))
        assert mapping <= seen


@pytest.mark.parametrize("name", [name for name in HISTORIES if name.startswith("as-mapped")])
@settings(max_examples=31, deadline=None)
@given(seed=SEEDS)
def test_as_mapped_is_never_more_than_now(name, seed):
    snapshot = random_snapshot(seed)
    runs = snapshot.runs
    mixed = {
        folio
        for folio in range(len(snapshot.folios))
        if snapshot.folios.kind[folio] == Kind.ANON and len(set(runs.level[runs.folio_id == folio].tolist())) > 1
    }
    tables = played(snapshot, name)
    for key, most in tables.most.items():
        if key[1] not in mixed and not (len(snapshot.unseen) and key[1] in snapshot.unseen.folio_id):
            assert most == tables.counts[key], key


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=31, deadline=None)
@given(seed=SEEDS)
def test_file_and_shmem_are_never_born_whole(name, seed):
    snapshot = random_snapshot(seed)
    kinds = snapshot.folios.kind.tolist()
    for op, _, folio, *_ in rows_of(log_of(snapshot, name)):
        assert kinds[folio] == Kind.ANON or op in {Op.BIRTH, Op.MAP, Op.UNMAP}
        assert op != Op.UNMAP or kinds[folio] == Kind.ANON or name == "ancestors-gone"


@pytest.mark.parametrize("name", HISTORIES)
@settings(max_examples=31, deadline=None)
@given(seed=SEEDS)
def test_rows_stay_within_a_page_table_and_have_numbers(name, seed):
    snapshot = random_snapshot(seed)
    log = log_of(snapshot, name)
    for op, _, folio, first, nr, level, address, vma in rows_of(log):
        if level == Level.PTE and op not in {Op.BIRTH, Op.FIRST_MAP} and vma != NO_VMA:
            assert address // PAGE >> PMD_ORDER == address // PAGE + nr - 1 >> PMD_ORDER, (folio, first)
    seq = [int(value) for batch in log.batches() for value in batch.seq]
    assert seq == list(range(len(seq)))
    steps = np.diff([int(value) for batch in log.batches() for value in batch.batch])
    assert set(steps.tolist()) <= {0, 1}


@settings(max_examples=31, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(list(HISTORIES)))
def test_blocks_do_not_matter(seed, name):
    """Cut into blocks of a folio each, the same rows come, folio by folio."""

    def by_folio():
        rows = {}
        for row in rows_of(log_of(random_snapshot(seed), name)):
            rows.setdefault(row[2], []).append(row)
        return rows

    whole = by_folio()
    weight, histories._WEIGHT = histories._WEIGHT, 1
    try:
        assert by_folio() == whole
    finally:
        histories._WEIGHT = weight


@settings(max_examples=31, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(list(HISTORIES)))
def test_a_scheme_counts_what_is_mapped_then(seed, name):
    """The whole way: snapshot, history, scheme; its exact readers against the snapshot's entries by brute force."""
    snapshot = random_snapshot(seed)
    [replayed] = replay(snapshot, [find_scheme("large-mapcount")], history=name, engine="plain")
    entries, pages = Counter(), Counter()
    for (_, folio, page, level), count in (+played(snapshot, name).counts).items():
        pages[folio, page] += count
        if level == Level.PTE or page == 0:
            entries[folio] += count
    assert replayed.answers["folio_mapcount"].tolist() == [entries[folio] for folio in range(len(snapshot.folios))]
    for folio, kind in enumerate(snapshot.folios.kind):
        if kind != Kind.HUGETLB:
            base = int(replayed.folios.base[folio])
            found = replayed.answers["page_mapcount"][base : base + (1 << snapshot.folios.order[folio])]
            assert found.tolist() == [pages[folio, page] for page in range(len(found))]
    assert replayed.refused == 0


BEGIN = 1 << 30


def forked():
    """A PMD-sized folio, split and partly unmapped by both its mms; the second row is the older mm."""
    runs = [
        (0, 0, 3, 5, Level.PTE, BEGIN + 3 * PAGE),
        (1, 0, 0, 2, Level.PTE, BEGIN),
        (1, 0, 4, 3, Level.PTE, BEGIN + 4 * PAGE),
    ]
    return make([7, 5], [(PMD_ORDER, Kind.ANON)], runs)


BIRTH = ("BIRTH", 2, 0, 8, "PTE")


def test_whole_then_trimmed_by_hand():
    assert DEFAULT_HISTORY == "whole-then-trimmed"
    assert told(forked(), "whole-then-trimmed") == [
        BIRTH,
        ("FIRST_MAP", 1, 0, 8, "PMD"),
        ("DUP", 0, 0, 8, "PMD"),
        ("SPLIT_MAPPING", 1, 0, 8, "PMD"),
        ("UNMAP", 1, 2, 2, "PTE"),
        ("UNMAP", 1, 7, 1, "PTE"),
        ("SPLIT_MAPPING", 0, 0, 8, "PMD"),
        ("UNMAP", 0, 0, 3, "PTE"),
    ]


def test_the_youngest_first_by_hand():
    assert told(forked(), "whole-then-trimmed-reversed")[:4] == [
        BIRTH,
        ("FIRST_MAP", 0, 0, 8, "PMD"),
        ("DUP", 1, 0, 8, "PMD"),
        ("SPLIT_MAPPING", 0, 0, 8, "PMD"),
    ]


def test_trimmed_then_shared_by_hand():
    """Page 2 is used by nobody: it goes first. Pages 3 and 7 are for the other mm, and go last."""
    assert told(forked(), "trimmed-then-shared") == [
        BIRTH,
        ("FIRST_MAP", 1, 0, 8, "PMD"),
        ("SPLIT_MAPPING", 1, 0, 8, "PMD"),
        ("UNMAP", 1, 2, 1, "PTE"),
        ("DUP", 0, 3, 5, "PTE"),
        ("UNMAP", 1, 3, 1, "PTE"),
        ("UNMAP", 1, 7, 1, "PTE"),
    ]


def test_gaps_of_neighbouring_folios_are_apart():
    """The last pages of one folio and the first of the next are unused: two unmappings."""
    runs = [(0, 0, 0, 3, Level.PTE, BEGIN), (0, 1, 2, 2, Level.PTE, BEGIN + 6 * PAGE)]
    snapshot = make([1], [(2, Kind.ANON), (2, Kind.ANON)], runs)
    assert [row for row in told(snapshot, "trimmed-then-shared") if row[0] == "UNMAP"] == [
        ("UNMAP", 0, 3, 1, "PTE"),
        ("UNMAP", 0, 0, 2, "PTE"),
    ]


def test_as_mapped_by_hand():
    assert told(forked(), "as-mapped") == [
        BIRTH,
        ("MAP", 1, 0, 2, "PTE"),
        ("MAP", 1, 4, 3, "PTE"),
        ("MAP", 0, 3, 5, "PTE"),
    ]


def test_ancestors_gone_by_hand():
    rows = told(forked(), "ancestors-gone")
    assert rows[:7] == [
        BIRTH,
        ("FIRST_MAP", 2, 0, 8, "PMD"),
        ("DUP", 3, 0, 8, "PMD"),
        ("DUP", 1, 0, 8, "PMD"),
        ("DUP", 0, 0, 8, "PMD"),
        ("UNMAP", 2, 0, 8, "PMD"),
        ("UNMAP", 3, 0, 8, "PMD"),
    ]
    assert rows[7:] == told(forked(), "whole-then-trimmed")[3:]


def test_no_pmd_where_nothing_says_so():
    """Not aligned, so it was not born by a PMD; nor is a folio of another size."""
    runs = [(0, 0, 3, 2, Level.PTE, BEGIN + 4 * PAGE), (0, 1, 0, 2, Level.PTE, 2 * BEGIN)]
    snapshot = make([1], [(PMD_ORDER, Kind.ANON), (2, Kind.ANON)], runs)
    assert {row[4] for row in told(snapshot, "whole-then-trimmed")} == {"PTE"}


def test_a_pmd_that_is_still_there_was_there_first():
    runs = [
        (0, 0, 1, 2, Level.PTE, BEGIN + 4 * PAGE),  # moved to where no PMD could map it
        (1, 0, 0, 8, Level.PMD, BEGIN),
    ]
    rows = told(make([1, 2], [(PMD_ORDER, Kind.ANON)], runs), "whole-then-trimmed")
    assert rows[1:4] == [
        ("FIRST_MAP", 0, 0, 8, "PMD"),
        ("DUP", 1, 0, 8, "PMD"),
        ("SPLIT_MAPPING", 0, 0, 8, "PMD"),
    ]
    assert rows[4:] == [("UNMAP", 0, 0, 1, "PTE"), ("UNMAP", 0, 3, 2, "PTE"), ("UNMAP", 0, 5, 3, "PTE")]


def test_what_nobody_maps_any_more():
    snapshot = make([1], [(PMD_ORDER, Kind.ANON), (2, Kind.ANON), (2, Kind.FILE)], [])
    rows = [row[0] + " " + row[4] for row in told(snapshot, "whole-then-trimmed")]
    assert rows == ["BIRTH PTE"] * 3 + ["FIRST_MAP PMD", "FIRST_MAP PTE", "UNMAP PMD", "UNMAP PTE"]
    assert {row[0] for row in told(snapshot, "as-mapped")} == {"BIRTH"}


def test_unseen_mms_come_first_or_last():
    snapshot = make([9], [(2, Kind.FILE)], [(0, 0, 0, 2, Level.PTE, BEGIN)], unseen=[(0, 1, 3, 2)])
    last, first = (told(snapshot, name)[1:] for name in ("as-mapped", "as-mapped-reversed"))
    mine, others = ("MAP", 0, 0, 2, "PTE"), [("MAP", 1, 1, 3, "PTE"), ("MAP", 2, 1, 3, "PTE")]
    assert last == [mine, *others]
    assert first == [*others, mine]


def test_unseen_pmds():
    """A folio that a PMD maps, and whose unseen mapping spans it too: that is a PMD as well. Otherwise nobody knows."""
    folios = [(PMD_ORDER, Kind.ANON), (PMD_ORDER, Kind.SHMEM)]
    runs = [(0, 0, 0, 8, Level.PMD, BEGIN), (0, 1, 0, 8, Level.PTE, 2 * BEGIN)]
    snapshot = make([9], folios, runs, unseen=[(0, 0, 8, 1), (1, 0, 8, 1)])
    levels = {(mm, folio): level for _, mm, folio, _, _, level, *_ in rows_of(log_of(snapshot, "as-mapped")) if mm < 2}
    assert levels == {(0, 0): Level.PMD, (1, 0): Level.PMD, (0, 1): Level.PTE, (1, 1): Level.PTE}


def test_more_unseen_mappings_than_processes_can_be():
    snapshot = make([9], [(2, Kind.FILE)], [], unseen=[(0, 0, 4, 1 << 23)])
    with pytest.raises(BadSnapshotError, match="8388608 unseen mappings"):
        log_of(snapshot)


def test_usage():
    with pytest.raises(UsageError, match="no history 'guess'; there are: whole-then-trimmed"):
        log_of(forked(), "guess")
    with pytest.raises(UsageError, match="capture as root"):
        log_of(Snapshot(meta=Metadata(tier="no-pfn"), **empty_tables()))


def test_the_swap_cache_is_as_it_is_seen():
    folio = {"order": PMD_ORDER, "kind": Kind.ANON}
    base = forked()
    for swapcache in (False, True):
        tables = {name: getattr(base, name) for name in empty_tables()}
        tables["folios"] = table("folios", [folio | {"swapcache": swapcache}])
        snapshot = Snapshot(meta=base.meta, **tables)
        for engine in ("plain", "compiled"):
            [replayed] = replay(snapshot, [find_scheme("large-mapcount")], engine=engine)
            assert replayed.deferred.tolist() == [not swapcache]
