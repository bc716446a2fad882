"""Counters that a kernel had in memory, beside those that its way of counting has after the same mappings.

Only of guests they are known (`observed_words`). A snapshot has no past: what is compared are counters that follow from the
mappings, where all pasts that are assumed (replay/histories.py) lead to the same value. Flags and slots tell of the past.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.replay.entries import is_counted

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools, ObservedWords
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed

_OF_PAGES = "_mapcount"
COUNTERS = (_OF_PAGES, "_entire_mapcount", "compound_mapcount", "_nr_pages_mapped", "_large_mapcount")


@dataclass(frozen=True)
class WordCheck:
    """One counter over all folios of a snapshot."""

    word: str
    unit: str
    """`pages` or `folios`: what has one"""
    compared: int
    differ: int
    depends: int
    """Left out: not the same after all pasts."""
    first: str = ""
    """The first that differs, and how; empty if none does."""


class CountersOverPasts:
    """Counters of one way of counting after several pasts. `add` each, then `checks`."""

    def __init__(self) -> None:
        self._values: dict[str, I64] = {}
        self._same: dict[str, Bools] = {}
        self._base = np.empty(0, np.int64)

    def add(self, replayed: Replayed) -> None:
        """Take in what a past led to."""
        for word in COUNTERS:
            if word not in replayed.words:
                continue
            values = replayed.words[word].astype(np.int64)
            if word not in self._values:
                self._values[word], self._same[word] = values, np.ones(len(values), np.bool_)
            self._same[word] &= values == self._values[word]
        self._base = replayed.folios.base

    def checks(self, snapshot: Snapshot) -> list[WordCheck]:
        """Return how the observed words of the snapshot that was replayed compare; nothing if it has none."""
        counted, observed = is_counted(snapshot.folios.kind), snapshot.observed_words
        kept = observed.take(counted[observed.folio_id] & np.isin(observed.word.astype(str), list(self._values)))
        return [self._check(word, kept.take(kept.word == word)) for word in COUNTERS if (kept.word == word).any()]

    def _check(self, word: str, rows: ObservedWords) -> WordCheck:
        folio, kernel = rows.folio_id.astype(np.int64), rows.value
        page = np.zeros(len(rows), np.int64)
        if word == _OF_PAGES:
            sizes = rows.nr_pages.astype(np.int64)
            within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            page = np.repeat(rows.first_page.astype(np.int64), sizes) + within
            folio, kernel = np.repeat(folio, sizes), np.repeat(kernel, sizes)
        at = self._base[folio] + page if word == _OF_PAGES else folio
        same, scheme = self._same[word][at], self._values[word][at]
        wrong = np.flatnonzero(same & (scheme != kernel))
        first = ""
        if len(wrong):
            row = int(wrong[0])
            where = f"page {page[row]} of folio {folio[row]}" if word == _OF_PAGES else f"folio {folio[row]}"
            first = f"{where}: {kernel[row]} in memory, {scheme[row]} by the mappings"
        unit = "pages" if word == _OF_PAGES else "folios"
        return WordCheck(word, unit, int(same.sum()), len(wrong), int((~same).sum()), first)
