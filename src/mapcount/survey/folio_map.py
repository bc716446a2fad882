"""The folios of a machine for a map: as many as can be drawn one by one with who maps which pages, the rest in bins.

In detail come those that hold most waste, then the largest. Runs are given for them as long as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.survey.coverage import total_by
from mapcount.survey.facts import Facts
from mapcount.survey.large import large_only
from mapcount.survey.sorting import order_of, starts_of
from mapcount.survey.states import state_codes

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, U8
    from mapcount.mapping.snapshot import Snapshot

MOST_FOLIOS = 50_000
MOST_RUNS = 80_000
MOST_BINS = 2_000
PTE, PMD, BOTH = range(3)


@dataclass(frozen=True)
class Bins:
    """Folios that are not given one by one: a row for those that are alike. Columns are parallel; units are pages."""

    kind: I64
    order: I64
    state: I64
    """Index into states.STATES."""
    level: I64
    """PTE, PMD or BOTH"""
    mm: I64
    """The lowest mm that maps them; -1: several (MOST_BINS), or none that was seen."""
    folios: I64
    mapped_pages: I64
    wasted_pages: I64


@dataclass(frozen=True)
class FolioMap:
    """What a map shows. `rows` are folios of `snapshot` (large ones only), all arrays of the first group parallel to it."""

    snapshot: Snapshot
    facts: Facts
    rows: I64
    state: U8
    level: I64
    """PTE, PMD or BOTH"""
    pair_begin: I64
    """First index into `pair_mm` and `pair_pages` of each row; one entry more, the end."""
    pair_mm: I64
    pair_pages: I64
    """Distinct pages that this mm maps."""
    run_begin: I64
    """First index into `runs` of each row; one entry more, the end. Rows without runs here have none given."""
    runs: I64
    """Rows of `snapshot.runs`."""
    bins: Bins


def folio_map(snapshot: Snapshot, *, folios: int = MOST_FOLIOS, runs: int = MOST_RUNS) -> FolioMap:
    """Return the large folios of a snapshot for a map: at most `folios` one by one, at most `runs` runs of them."""
    snapshot = large_only(snapshot)
    facts = Facts(snapshot)
    ranked = np.lexsort((-snapshot.folios.order.astype(np.int64), -facts.wasted_pages))
    rows, rest = ranked[:folios], ranked[folios:]
    state, level = state_codes(facts), np.where(facts.by_pmd, np.where(facts.by_pte, BOTH, PMD), PTE)
    pairs = facts.pairs
    pair_begin, pair = _grouped(pairs.folio, rows, len(ranked))
    run_begin, run = _grouped(snapshot.runs.folio_id.astype(np.int64), rows, len(ranked))
    fit = int(np.searchsorted(run_begin, runs, side="right")) - 1
    return FolioMap(
        snapshot, facts, rows, state[rows], level[rows],
        pair_begin, pairs.owner[pair], pairs.pages[pair],
        np.minimum(run_begin, run_begin[fit]), run[: run_begin[fit]],
        _bins(facts, rest, state, level),
    )  # fmt: skip


def _grouped(folio: I64, rows: I64, folios: int) -> tuple[I64, I64]:
    """Return where the entries of each row begin (and the end), and the entries, row after row; `folio` is each one's."""
    by_folio = order_of(folio)
    count = np.bincount(folio, minlength=folios)
    first = np.concatenate(([0], np.cumsum(count)))[rows]
    begin = np.concatenate(([0], np.cumsum(count[rows])))
    within = np.arange(begin[-1]) - np.repeat(begin[:-1], count[rows])
    return begin, by_folio[np.repeat(first, count[rows]) + within]


def _bins(facts: Facts, rest: I64, state: U8, level: I64) -> Bins:
    folios, pairs = facts.snapshot.folios, facts.pairs
    lowest = np.full(len(facts.pages), -1, np.int64)
    # Pairs are sorted by owner, so of each folio the last that is written in reverse is the lowest.
    lowest[pairs.folio[::-1]] = pairs.owner[::-1]
    alike = (folios.kind.astype(np.int64) << 24) + (folios.order.astype(np.int64) << 16) + (state.astype(np.int64) << 8)
    alike = (alike + level)[rest]
    mm = lowest[rest]
    key = (alike << 32) + mm + 1
    if len(np.unique(key)) > MOST_BINS:
        key = alike << 32
    order = order_of(key)
    key, rest = key[order], rest[order]
    begin = np.flatnonzero(starts_of(key))
    found, cell = key[begin], np.cumsum(starts_of(key)) - 1
    code, count = found >> 32, len(begin)
    return Bins(
        code >> 24, code >> 16 & 0xFF, code >> 8 & 0xFF, code & 0xFF, (found & 0xFFFFFFFF) - 1,
        np.bincount(cell, minlength=count),
        total_by(cell, facts.mapped_pages[rest], count),
        total_by(cell, facts.wasted_pages[rest], count),
    )  # fmt: skip
