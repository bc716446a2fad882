"""Replay: compiled and plain are the same, for every scheme there is; both are what calling the scheme gives, and true."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapcount.errors import BadLogError, SeparatePagesError, UsageError
from mapcount.mapping.schema import Kind, Level, Op
from mapcount.replay import engine as module
from mapcount.replay.engine import PLAIN_PAGES, replay, replay_each, to_compile
from mapcount.replay.result import FolioSpecs
from mapcount.schemes.catalogue import find_scheme, scheme_ids
from mapcount.schemes.history import FolioSpec
from mapcount.schemes.scheme import Promise
from mapcount.schemes.truth import truth_of
from mapcount.schemes.words import Scope
from replay.logs import FOLIOS, log_of_rows, random_log

SEEDS = st.integers(0, 1 << 30)


TOUCH_SEPARATE_PAGES = ("complete-mappings",)
"""Their costs are counted by the plain engine, wherever the compiled one finds that it cannot."""


def assert_same(one, other):
    for name in one.words:
        assert one.words[name].dtype == other.words[name].dtype
        assert one.words[name].tolist() == other.words[name].tolist(), name
    for name in one.answers:
        assert one.answers[name].tolist() == other.answers[name].tolist(), name
    assert list(one.words) == list(other.words)
    assert list(one.answers) == list(other.answers)
    for name in ("stats", "deferred", "partially_mapped"):
        assert getattr(one, name).dtype == getattr(other, name).dtype
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert one.refused == other.refused


def called_directly(scheme, random_log):
    """The memory after calling the scheme row by row, each with a list of what it touched: (access, page or folio line)."""
    folios = random_log.world.folios
    memory = scheme.memory([spec.order for spec in folios], [spec.kind for spec in folios], record=True)
    costs = {}
    fresh = scheme.memory([spec.order for spec in folios], [spec.kind for spec in folios])
    places = {place.word.name: place for place in scheme.scheme.places}
    rows = zip(random_log.rows, random_log.looked, strict=True)
    for (op, level, folio, first, nr, mm, outcome), looked in rows:
        order, base = memory.orders[folio], memory.base[folio]
        if op in {Op.BIRTH, Op.DEATH}:
            for name, place in places.items():
                for i in range(base, base + (1 << order)) if place.word.scope is Scope.PAGE else [folio]:
                    memory.words[name][i] = fresh.words[name][i]
            for values in (*memory.stats, memory.deferred, memory.partially_mapped):
                values[folio] = 0
        elif outcome == 0 and op <= Op.SPLIT_MAPPING:
            memory.touched.clear()
            memory.looked[folio], memory.lookups, memory.entries_read = looked, 0, 0
            page = base + first if level == 0 else base
            scheme.functions["apply"](memory, op, level, folio, order, page, nr, mm + 1)
            kinds = Counter(touch.access.value for touch in memory.touched)
            lines = {
                t.at if places[t.word].word.scope is Scope.PAGE else base + places[t.word].page for t in memory.touched
            }
            sums = costs.setdefault((op, level, order), [0] * 8)
            touched = (kinds["locked"], kinds["store"], kinds["load"], len(lines))
            numbers = (1, nr, *touched, memory.lookups, memory.entries_read)
            costs[op, level, order] = [a + b for a, b in zip(sums, numbers, strict=True)]
    return memory, costs


@pytest.mark.parametrize("scheme_id", scheme_ids())
@settings(max_examples=19, deadline=None)
@given(seed=SEEDS)
def test_both_engines_give_what_calling_the_scheme_gives(scheme_id, seed):
    made, scheme = random_log(seed), find_scheme(scheme_id)
    [plain] = replay(made.log, [scheme], engine="plain")
    [compiled] = replay(made.log, [scheme], engine="compiled")
    assert_same(plain, compiled)
    memory, _ = called_directly(scheme, made)
    for name, values in memory.words.items():
        assert plain.words[name].tolist() == values, name
    assert plain.stats.tolist() == memory.stats
    assert plain.deferred.tolist() == memory.deferred
    assert plain.partially_mapped.tolist() == memory.partially_mapped


@pytest.mark.parametrize("engine", ["plain", "compiled"])
@pytest.mark.parametrize("scheme_id", scheme_ids())
@settings(max_examples=19, deadline=None)
@given(seed=SEEDS)
def test_costs_are_those_of_brute_force(engine, scheme_id, seed):
    made, scheme = random_log(seed), find_scheme(scheme_id)
    _, expected = called_directly(scheme, made)
    if engine == "compiled" and scheme_id in TOUCH_SEPARATE_PAGES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PLAIN_PAGES", 0)
            [replayed] = replay(made.log, [scheme], cost=True)
    else:
        [replayed] = replay(made.log, [scheme], cost=True, engine=engine)
    assert {tuple(row[:3]): list(row[3:]) for row in replayed.costs.rows()} == expected


@pytest.mark.parametrize("scheme_id", ["large-mapcount:unbatched", "mm-id"])
@settings(max_examples=19, deadline=None)
@given(seed=SEEDS)
def test_counting_costs_changes_nothing(scheme_id, seed):
    made, scheme = random_log(seed), find_scheme(scheme_id)
    for engine in ("plain", "compiled"):
        assert_same(*(replay(made.log, [scheme], cost=cost, engine=engine)[0] for cost in (False, True)))


@pytest.mark.parametrize("engine", ["plain", "compiled"])
@settings(max_examples=19, deadline=None)
@given(seed=SEEDS)
def test_exact_readers_tell_the_truth(engine, seed):
    made = random_log(seed)
    for replayed in replay(made.log, [find_scheme("large-mapcount"), find_scheme("mm-id")], engine=engine):
        checked = 0
        for reader in replayed.scheme.scheme.readers:
            if reader.promise != Promise.EXACT:
                continue
            for folio, truth in enumerate(made.world.truths):
                for i in range(truth.nr_pages if reader.per_page else 1):
                    at = int(replayed.folios.base[folio]) + i if reader.per_page else folio
                    assert replayed.answers[reader.name][at] == truth_of(reader.quantity, truth, i)
                    checked += 1
        assert checked > 2 * len(FOLIOS)


def cost_of(scheme_id, rows, folio):
    [replayed] = replay(log_of_rows(rows, [folio]), [find_scheme(scheme_id)], cost=True, engine="plain")
    *_, last = list(replayed.costs.rows())
    return last


@pytest.mark.parametrize(
    ("scheme_id", "first", "nr", "locked", "lines"),
    [
        # From the steps of mm/rmap.c: 6.12 nr + 2; 6.10 2 nr + 1. The folio's words lie in struct page 1.
        ("large-mapcount", 0, 16, 18, 16),
        ("large-mapcount", 3, 7, 9, 8),
        ("large-mapcount", 1, 7, 9, 7),
        ("large-mapcount:unbatched", 0, 16, 33, 16),
        ("mm-id", 0, 16, 18, 16),
        ("mm-id", 11, 5, 7, 6),
        # Without page counts one LOCKed operation, whatever the pages: the bit lock.
        ("no-page-mapcount", 0, 16, 1, 1),
        ("no-page-mapcount", 5, 3, 1, 1),
    ],
)
def test_costs_of_mapping_ptes_as_the_reference_has_them(scheme_id, first, nr, locked, lines):
    rows = [(Op.BIRTH, 0, 0, 0, 16, 0, 0), (Op.MAP, Level.PTE, 0, first, nr, 0, 0)]
    cost = cost_of(scheme_id, rows, FolioSpec(4, Kind.FILE))
    assert (cost.op, cost.order, cost.operations, cost.pages) == (Op.MAP, 4, 1, nr)
    assert (cost.locked, cost.lines) == (locked, lines)


def test_an_operation_that_touches_two_ranges_is_not_miscounted():
    from replay import gappy

    rows = [(Op.MAP, Level.PTE, 0, 0, 1, 0, 0)]
    with pytest.raises(SeparatePagesError, match="not consecutive"):
        replay(log_of_rows(rows, [FolioSpec(2, Kind.FILE)]), [gappy.SCHEME], cost=True, engine="compiled")


@pytest.mark.parametrize("engine", ["plain", "compiled"])
@pytest.mark.parametrize(
    ("row", "why"),
    [
        ((Op.MAP, 0, 2, 0, 1, 0, 0), "there is no folio 2"),
        ((Op.MAP, 0, 1, 1, 8, 0, 0), r"pages \[1, 9\) are not pages of folio 1, which has 8"),
        ((Op.UNMAP, 0, 1, 1, 0, 0, 0), r"pages \[1, 1\)"),
        ((9, 0, 1, 1, 1, 0, 0), "no operation 9"),
        ((Op.MAP, 3, 1, 1, 1, 0, 0), "no level 3"),
    ],
)
def test_a_row_that_cannot_be_is_refused(engine, row, why):
    rows = [(Op.MAP, 0, 0, 0, 1, 0, 0), row]
    log = log_of_rows(rows, [FolioSpec(0, Kind.FILE), FolioSpec(3, Kind.FILE)])
    with pytest.raises(BadLogError, match=f"in row 1, .*{why}"):
        replay(log, [find_scheme("large-mapcount")], engine=engine)


@pytest.mark.parametrize("engine", ["plain", "compiled"])
def test_a_log_without_folios(engine):
    [replayed] = replay(log_of_rows([], []), [find_scheme("mm-id")], engine=engine, cost=True)
    assert len(replayed.folios) == replayed.folios.nr_pages == 0
    assert all(len(values) == 0 for values in (*replayed.words.values(), *replayed.answers.values()))
    assert list(replayed.costs.rows()) == []


def test_words_wrap_as_declared():
    """A 32-bit count after 2^31 mappings is negative in the kernel, and here."""
    from mapcount.replay.compiled import CompiledReplay
    from mapcount.replay.plain import PlainReplay

    folios = FolioSpecs.of(np.array([2]), np.array([Kind.FILE]))
    log = log_of_rows([(Op.MAP, 0, 0, 0, 3, 0, 0)], [FolioSpec(2, Kind.FILE)])
    compiled = CompiledReplay(find_scheme("large-mapcount"), folios, None, cost=False)
    compiled._words["_large_mapcount"][0] = (1 << 31) - 2
    plain = PlainReplay(find_scheme("large-mapcount"), folios, None, cost=False)
    plain._memory.words["_large_mapcount"][0] = (1 << 31) - 2
    for running in (compiled, plain):
        running.count(next(log.batches()))
        assert running.result().words["_large_mapcount"].tolist() == [-(1 << 31) + 1]


def test_replay_each_gives_one_scheme_at_a_time():
    each = replay_each(random_log(1).log, [find_scheme("large-mapcount"), find_scheme("mm-id")], engine="plain")
    assert [replayed.scheme.id for replayed in each] == ["large-mapcount", "mm-id"]


def test_usage():
    with pytest.raises(UsageError, match="auto, compiled, plain"):
        replay(random_log(1).log, [], engine="fast")
    with pytest.raises(UsageError, match="has its own"):
        replay(random_log(1).log, [], history="as-mapped")


def test_auto_is_plain_where_llvmlite_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="llvmlite is not installed"):
        replay(random_log(1).log, [], engine="compiled")
    monkeypatch.setattr("mapcount.replay.engine.CompiledReplay", None)
    assert len(replay(random_log(1).log, [find_scheme("mm-id")])) == 1


def test_auto_is_compiled_for_many_pages_of_all_replays_together(monkeypatch):
    made, used = random_log(1), []
    kinds = {name: getattr(module, name) for name in ("PlainReplay", "CompiledReplay")}
    for name, kind in kinds.items():
        monkeypatch.setattr(
            module, name, lambda *args, name=name, kind=kind, **more: used.append(name) or kind(*args, **more)
        )
    pages = FolioSpecs.of(made.log.orders, made.log.kinds).nr_pages
    for replays in (PLAIN_PAGES // pages, PLAIN_PAGES // pages + 1):
        replay(made.log, [find_scheme("mm-id")], replays=replays)
    assert used == ["PlainReplay", "CompiledReplay"]


def test_what_will_be_compiled_follows_from_pages_and_what_is_kept(monkeypatch):
    orders, schemes = np.full(257, 9, np.uint8), [find_scheme("mm-id"), find_scheme("large-mapcount")]
    monkeypatch.setattr(module, "is_kept", lambda scheme: scheme.id == "mm-id")
    assert to_compile(schemes, orders, 1) == 1
    assert to_compile(schemes, orders[:7], 1) == 0, "few pages are counted in plain Python"
    assert to_compile(schemes, orders[:7], 37) == 1


def test_compilers_are_imported_when_a_scheme_is_compiled_and_not_before():
    program = (
        "import sys, mapcount.replay.engine, mapcount.replay.ranges, mapcount.replay.emit as e\n"
        "from mapcount.schemes.catalogue import find_scheme\n"
        "e.emit(find_scheme('mm-id'))\n"
        "sys.exit(not {'numba', 'llvmlite'}.isdisjoint(sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
