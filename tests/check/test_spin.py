"""SPIN goes through the same states and finds the same: counts, answers with their verdicts, final words, endless waits."""

import os
import shutil
import time

import pytest

from check.tiny import tiny_scheme
from mapcount.check import spin
from mapcount.check.cells import Cell, model_of
from mapcount.check.explore import explore
from mapcount.check.locks import FOLIO_LOCK
from mapcount.check.model import Call, Model
from mapcount.check.promela import promela
from mapcount.check.scaling import narrowed, scaled
from mapcount.check.spin import cross_check, differences, run_spin
from mapcount.errors import MissingToolError, SpinError, UsageError
from mapcount.mapping.schema import Kind
from mapcount.schemes.catalogue import find_scheme

missing = [name for name in ("spin", "gcc") if shutil.which(name) is None]
with_spin = pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}: apt-get install spin gcc")

NEW = (Call("new_pmd", mm=1),)
FORKED = (*NEW, Call("dup_pmd", mm=2))
COUNT, MAPPED, PAGE = Call("folio_mapcount"), Call("folio_mapped"), Call("page_mapcount", 1)


def check(model, **options):
    """Go through a model in both ways; without optimising, as gcc takes most of the time."""
    return cross_check(explore(model, symmetry=False), optimise="-O0", **options)


def both_ways(pages, mm):
    return (Call("map_ptes", 0, pages, mm), Call("unmap_ptes", 0, pages, mm))


def standard_models():
    """Two writers and a reader, 2 and 4 pages, each scheme, each kind of truth; then locks, refusals, statistics, scaling."""
    unmap, dup, split = (Call("unmap_pmd", mm=2),), (Call("dup_pmd", mm=3),), (Call("split_pmd", mm=1),)
    moving = (Call("map_ptes", 0, 1, 3), Call("unmap_ptes", 0, 1, 3))
    for scheme_id, order, threads, start, kind in [
        ("double-map", 1, (split, unmap, (COUNT,)), FORKED, Kind.ANON),
        ("double-map:before-5.19", 2, ((Call("map_pmd", mm=2),), both_ways(4, 3), (PAGE,)), (), Kind.FILE),
        ("double-map:seqlock", 2, (split, unmap, (COUNT,)), FORKED, Kind.ANON),
        ("nr-pages-mapped", 2, (both_ways(4, 2), (Call("unmap_pmd", mm=1),), (COUNT,)), NEW, Kind.ANON),
        ("nr-pages-mapped:bit-lock", 1, (split, unmap, (MAPPED, COUNT)), FORKED, Kind.ANON),
        ("total-mapcount", 2, (both_ways(2, 2), (Call("unmap_pmd", mm=1),), (PAGE,)), NEW, Kind.ANON),
        ("large-mapcount", 1, (split, unmap, (COUNT,)), FORKED, Kind.ANON),
        ("large-mapcount:unbatched", 2, (moving, unmap, (PAGE,)), FORKED, Kind.SHMEM),
        ("mm-id", 1, (dup, unmap, (Call("mapped_shared"),)), FORKED, Kind.ANON),
        ("mm-id", 2, (split, unmap, (COUNT,)), FORKED, Kind.ANON),
        ("no-page-mapcount", 2, (both_ways(3, 3), unmap, (Call("mapped_shared"),)), FORKED, Kind.ANON),
        ("total-mapped-pages", 2, (both_ways(3, 3), unmap, (MAPPED,)), FORKED, Kind.ANON),
    ]:
        begun = start if kind == Kind.ANON else tuple(Call("map_pmd", mm=call.mm) for call in start)
        yield Model(find_scheme(scheme_id), order, threads, begun, kind)
    start = (Call("new_ptes", 0, 3, 1),)
    yield from models_with_surroundings()
    dups = ((Call("dup_ptes", 0, 3, 2),), (Call("dup_ptes", 1, 2, 3),), (COUNT,))
    yield Model(find_scheme("mm-id"), 2, dups, start, pinned=True, keep_results=True)
    small = scaled(find_scheme("nr-pages-mapped"), 2, 2)
    yield Model(
        small,
        2,
        (both_ways(4, 2), (Call("unmap_pmd", mm=1), Call("map_pmd", mm=1))),
        (Call("map_pmd", mm=1),),
        Kind.FILE,
        statistics=True,
    )


def models_with_surroundings():
    """Callers with their locks and references, two threads on one page table, the other truths, readers that lock or unmap."""
    yield model_of(Cell("large-mapcount", "split-to-the-end", "split-zap", 2, without=frozenset({"freeze"})))
    yield narrowed(model_of(Cell("rmap-id", "reclaim", "pmd-and-ptes", 4)))
    start = (Call("new_ptes", 0, 4, 1),)
    zaps = ((Call("unmap_ptes", 0, 2, 1, via="zap"),), (Call("unmap_ptes", 2, 2, 1, via="madvise_dontneed"),))
    yield Model(find_scheme("large-mapcount"), 2, (*zaps, (COUNT,)), start, watch_all=True, truth_kind="pte")
    fork = (Call("dup_pmd", mm=3, parent=1, via="fork_pmd"),)
    split = (Call("split_pmd", mm=2, via="split_huge_pmd"),)
    reader = (Call("extra_references", mm=9),)
    yield Model(find_scheme("mm-id"), 1, (fork, split, reader), FORKED, references=True, extra_references=1)
    owner = (Call("others_by_owner", mm=1, holds=(FOLIO_LOCK,)),)
    fault = (Call("map_ptes", 0, 1, 2, via="fault"),)
    yield Model(find_scheme("mm-id"), 1, (fork, fault, owner), NEW, references=True, truth_kind="strict")


@with_spin
@pytest.mark.parametrize("model", list(standard_models()), ids=repr)
def test_states_steps_answers_and_ends_are_those_of_spin(model):
    assert check(model).differences == ()


@with_spin
def test_spin_catches_a_count_that_was_never_true():
    """A split counts twice (see test_known): 1 and 2 are explained, 3 never."""
    model = Model(find_scheme("large-mapcount"), 1, ((Call("split_pmd", mm=1),), (COUNT,)), NEW)
    told = check(model)
    assert told.agrees
    assert {one[:4] for one in told.spin.answers} == {(1, 0, 1, True), (1, 0, 2, True), (1, 0, 3, False)}
    assert {one[4] for one in told.spin.answers if one[2] == 3} == {0b110}


COUNTING = """
def map_ptes(m, folio, order, page, nr, mm):
    atomic_add(m, X, folio, nr)
    atomic_inc(m, Y, folio)
    return 0
def entries(m, folio, order, page):
    return read(m, X, folio)
"""


@with_spin
def test_numbers_worked_out_by_hand(tmp_path):
    """
    Writers of two steps each: 9 states. A reader of one step doubles them. X says 0, 2, 3 and 5; each is right sometimes.

    While both are under way anything between nothing and all may be true; when the reader comes last, only 5.
    """
    scheme = tiny_scheme(tmp_path, COUNTING, ["entries"])
    writers = ((Call("map_ptes", 0, 2, 1),), (Call("map_ptes", 0, 3, 2),))
    told = check(Model(scheme, 2, (*writers, (Call("entries"),)), (), Kind.FILE))
    assert told.agrees
    assert (told.spin.states, told.spin.transitions) == (18, 2 * 12 + 9)
    assert {one[:4] for one in told.spin.answers} == {(2, 0, value, True) for value in (0, 2, 3, 5)}
    assert {one[4] for one in told.spin.answers} == {
        0b1,
        0b101,
        0b100,
        0b1001,
        0b1000,
        0b101101,
        0b101000,
        0b100100,
        0b100000,
    }
    assert sum(told.spin.finals.values()) == 1


@with_spin
def test_endless_waits_are_found_by_both(tmp_path):
    scheme = tiny_scheme(
        tmp_path,
        """
        def map_ptes(m, folio, order, page, nr, mm):
            bit_spin_lock(m, LOCK, folio)
            if mm == 2:
                bit_spin_unlock(m, LOCK, folio)
            return 0
        """,
    )
    told = check(Model(scheme, 1, tuple((Call("map_ptes", 0, 2, mm),) for mm in (1, 2)), (), Kind.FILE))
    assert told.agrees
    assert told.spin.stuck == 1
    assert sum(told.spin.finals.values()) == 1


@pytest.fixture(scope="module")
def explored():
    return explore(
        Model(find_scheme("nr-pages-mapped"), 1, (both_ways(2, 2), (Call("unmap_pmd", mm=1),), (COUNT,)), NEW)
    )


@with_spin
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("m_mapcount[a1] = m_mapcount[a1] - 1", "m_mapcount[a1] = m_mapcount[a1] - 2", "final words"),
        ("window_c = window_c | truth", "skip", "explained"),
        ("truth = 1 << 1", "truth = 1 << 2", "explained"),
        ("pc_a == 1 ->", "pc_a == 1 && m_entire_mapcount > 5 ->", "states in which a thread waits for ever"),
        ("c0 = 0;\n", "skip;\n", "states: "),
    ],
)
def test_a_wrong_export_is_caught(explored, old, new, told):
    text = promela(explored.steps.model, telling=True)
    assert old in text
    found = differences(explored, run_spin(text.replace(old, new), optimise="-O0"))
    assert any(told in one for one in found), found


@with_spin
def test_what_spin_does_not_take_is_told():
    with pytest.raises(SpinError, match=r"(?s)spin -a model.pml failed.*undeclared variable"):
        run_spin("proctype a() { this is no Promela }")


@with_spin
def test_time_is_limited_and_nothing_is_left(explored, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    began = time.monotonic()
    with pytest.raises(SpinError, match="did not end in time"):
        cross_check(explored, timeout_s=0.2)
    assert time.monotonic() - began < 30
    assert list(tmp_path.iterdir()) == []
    while any(str(tmp_path) in _directory(pid) for pid in os.listdir("/proc") if pid.isdigit()):
        assert time.monotonic() - began < 30
        time.sleep(0.01)


def _directory(pid):
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def test_without_spin_its_package_is_named(explored, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match="no spin here: apt-get install spin"):
        cross_check(explored)


def test_half_a_search_is_nothing_to_compare_with(explored):
    half = explore(explored.steps.model, max_states=97)
    with pytest.raises(UsageError, match="bound reached"):
        cross_check(half)


def test_the_summary_of_a_verifier_is_read():
    told = """answer: 2 0 -1 0 6
answer: 2 0 3 1 8
answer: 2 1 4 -1 0
final: -1 0 1
final: -1 0 1
stuck
State-vector 92 byte, depth reached 28, errors: 61
     4645 states, stored
     7620 states, matched
    12265 transitions (= stored+matched)
    0.625	actual memory usage for states
    2.000	memory used for hash table (-w18)
pan: elapsed time 0.03 seconds
"""
    run = spin._parse(told, 1.0, 2.0, 4.0)
    assert (run.states, run.transitions, run.stuck) == (4644, 12260, 1)
    assert run.answers == {(2, 0, -1, False, 6), (2, 0, 3, True, 8), (2, 1, 4, None, 0)}
    assert run.finals == {(-1, 0, 1): 2}
    assert run.complete
    assert (run.vector_bytes, run.memory_bytes, run.search_s) == (92, 2.625 * spin.MIB, 0.03)
    assert run.total_s == 7.0
    for sign in ("Warning: Search not completed", "error: max search depth too small"):
        assert not spin._parse(f"{sign}\n{told}", 1.0, 2.0, 4.0).complete
    with pytest.raises(SpinError, match="without a summary"):
        spin._parse("pan: out of memory", 1.0, 2.0, 4.0)
