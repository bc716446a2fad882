"""Locks against brute force: of all interleavings without locks, those in which calls under one lock do not overlap."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from check.naive import all_runs
from mapcount.check.cells import parse_cell
from mapcount.check.explore import explore
from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, RMAP_LOCK, bits_of, names_of
from mapcount.check.model import Call, Model
from mapcount.check.verdicts import judge
from mapcount.errors import UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

SHARED = "for reading"
HELD = {
    "zap": {"ptl": 1},
    "insert": {"ptl": 1},
    "fault": {"ptl": 1, "folio": 1},
    "madvise_dontneed": {"ptl": 1, "mmap": SHARED},
    "fork": {"ptl": 1, "mmap": 1},
}


def _locks(call):
    """What a call holds, by (kind, mm or 0) - told here once more, not taken from the callers."""
    if not call.is_operation:
        numbers = {FOLIO_LOCK: ("folio", 0), RMAP_LOCK: ("rmap", 0)}
        ptl = {PAGE_TABLE + mm: ("ptl", mm) for mm in range(1, 5)} | {
            MMAP_LOCK + mm: ("mmap", mm) for mm in range(1, 5)
        }
        return {(numbers | ptl)[lock]: 1 for lock in call.holds}
    held = {}
    for kind, how in HELD[call.via].items():
        mms = {"folio": [0], "ptl": [call.mm, call.parent], "mmap": [call.parent or call.mm]}[kind]
        held |= {(kind, mm): how for mm in mms if mm or kind == "folio"}
    return held


def _exclude(one, other):
    return any(not (how == other[lock] == SHARED) for lock, how in one.items() if lock in other)


def _allowed(model, run):
    for a, b in combinations(run.spans, 2):
        if a[0] == b[0]:
            continue
        overlap = run.spans[a][0] <= run.spans[b][1] and run.spans[b][0] <= run.spans[a][1]
        one, other = (_locks(model.threads[thread][call]) for thread, call in (a, b))
        if overlap and _exclude(one, other):
            return False
    return True


def _reader(*locks):
    return (Call("folio_mapcount", mm=1, holds=locks),)


START = (Call("map_ptes", 0, 2, 1), Call("map_ptes", 1, 1, 2))
FAULT = (Call("map_ptes", 0, 1, 2, via="fault"),)
ZAP = (Call("unmap_ptes", 0, 1, 1, via="zap"),)
DONTNEED = (Call("unmap_ptes", 1, 1, 1, via="madvise_dontneed"),)
FORK = (Call("dup_ptes", 0, 1, 3, parent=1, via="fork"),)
THREADS = {
    "no lock": (FAULT, ZAP, _reader()),
    "folio lock": (FAULT, ZAP, _reader(FOLIO_LOCK)),
    "page-table lock": (FAULT, ZAP, _reader(PAGE_TABLE + 1)),
    "both": (FAULT, ZAP, _reader(PAGE_TABLE + 1, FOLIO_LOCK)),
    "lock of nobody": (FAULT, ZAP, _reader(RMAP_LOCK)),
    "two on one mm": (ZAP, DONTNEED, _reader()),
    "fork and a zap of the parent": (FORK, DONTNEED, _reader(MMAP_LOCK + 1)),
}


@pytest.mark.parametrize("threads", THREADS.values(), ids=THREADS)
@pytest.mark.parametrize("scheme", ["large-mapcount", "nr-pages-mapped"])
def test_what_locks_leave_is_what_brute_force_leaves(scheme, threads):
    model = Model(find_scheme(scheme), 1, threads, START, Kind.SHMEM, keep_results=True, watch_all=True)
    runs = list(all_runs(model))
    allowed = [run for run in runs if _allowed(model, run)]
    expected = {(run.words, run.results[2]) for run in allowed}
    found = explore(model)
    steps = found.steps
    seen = {
        (
            tuple(sorted((name, steps.words(state)[name]) for name, _ in next(iter(expected))[0])),
            steps.results(state)[2],
        )
        for state in found.finals
    }
    assert seen == expected
    assert found.values(2) == {result for _, (result,) in expected}


def test_a_lock_that_is_not_modelled_keeps_nobody_out():
    model = Model(find_scheme("large-mapcount"), 1, THREADS["page-table lock"], START, Kind.SHMEM, watch_all=True)
    without = replace(model, locks=frozenset())
    free = Model(find_scheme("large-mapcount"), 1, THREADS["no lock"], START, Kind.SHMEM, watch_all=True)
    assert explore(model).transitions < explore(without).transitions == explore(free).transitions


def test_two_threads_on_one_mm_need_its_page_table_lock_and_different_pages():
    scheme = find_scheme("large-mapcount")
    with pytest.raises(UsageError, match="page-table lock is not modelled"):
        Model(scheme, 1, (ZAP, DONTNEED), START, Kind.SHMEM, locks=frozenset({"folio"}))
    with pytest.raises(UsageError, match="changes what maps page 0 in mm 1"):
        Model(scheme, 1, (ZAP, (Call("unmap_ptes", 0, 2, 1, via="zap"),)), START, Kind.SHMEM)


def test_names():
    assert names_of(bits_of(frozenset())) == ()
    assert names_of(2 << 2 * FOLIO_LOCK | 1 << 2 * (MMAP_LOCK + 3)) == ("folio lock", "mmap_lock of mm 3 for reading")


@pytest.mark.parametrize(
    ("cell", "needs_it"),
    [
        # The total and the slots are plain stores: two that map at the same time lose one without the lock.
        ("mm-id/rest/map-both/2", True),
        # Counted by LOCKed operations, without a lock of its own.
        ("large-mapcount/rest/map-both/2", False),
    ],
)
def test_what_the_bit_lock_of_the_slots_is_for(cell, needs_it):
    held, free = judge(parse_cell(cell)), judge(parse_cell(f"{cell}-bits"))
    assert not held.violations
    assert ("words-balance" in {one.property for one in free.violations}) is needs_it
