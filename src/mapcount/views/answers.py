"""Answers beside the truth: what each reader of a scheme answers about the folios of a snapshot, and how far that is off.

Only anon, shmem and file folios all of whose mappings are known are asked about. Not hugetlb: a page table that several
processes share counts once, and nobody agrees on what is true then. A reader's answer is
compared with the truth of the quantity that the reader names, and with no other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind, Level
from mapcount.schemes.ops import NR_ANON_MAPPED, NR_FILE_MAPPED
from mapcount.schemes.scheme import Promise, Quantity, Reader
from mapcount.survey.coverage import total_by
from mapcount.survey.facts import Facts, is_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mapcount.mapping.schema import I64, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import Replayed

ASKED_KINDS = (Kind.ANON, Kind.SHMEM, Kind.FILE)
STATISTIC = Reader(
    "NR_MAPPED",
    Quantity.PAGES_MAPPED,
    Promise.ESTIMATE,
    "the folio's share of NR_ANON_MAPPED or NR_FILE_MAPPED: AnonPages and Mapped of meminfo",
)
"""Not a function of a scheme: the statistics that it keeps."""


@dataclass(frozen=True)
class Answers:
    """
    All answers of one reader of one scheme about one snapshot.

    `wrong` counts after the first history, the usual one; `wrong_least` and `wrong_most` are the extremes over all.
    """

    scheme: str
    reader: str
    quantity: str
    promise: str
    """as the scheme promises it, or `cannot`"""
    asked: int = 0
    """folios, or pages of folios for a reader of pages"""
    wrong: int = 0
    wrong_least: int = 0
    wrong_most: int = 0
    least: int = 0
    """the smallest of (answer - truth), over all histories"""
    most: int = 0
    """the largest"""
    says: str = ""


@dataclass(frozen=True)
class Truths:
    """The true values of quantities over the large folios of a snapshot; arrays over folios, or over all their pages."""

    facts: Facts

    @cached_property
    def asked(self) -> Bools:
        """Folios of which everything is known."""
        chosen: Bools = (
            self.facts.known & ~self.facts.has_unseen & is_kind(self.facts.snapshot.folios.kind, *ASKED_KINDS)
        )
        return chosen

    @cached_property
    def entries(self) -> I64:
        """Page-table entries of each folio; a PMD entry counts one, a PUD entry one."""
        runs = self.facts.snapshot.runs
        # Runs end at page tables: of what a PUD maps, the run of the folio's first page stands for the entry.
        per_run = np.where(runs.level == Level.PTE, runs.nr_pages, (runs.level == Level.PMD) | (runs.first_page == 0))
        return total_by(runs.folio_id, per_run, len(self.facts.pages))

    @cached_property
    def page_entries(self) -> I64:
        """Entries that map each page."""
        coverage = self.facts.coverage
        return np.repeat(coverage.mappings, np.diff(coverage.cuts))

    def of(self, quantity: Quantity) -> I64 | None:
        """Return the truth of a quantity, or None if a snapshot does not tell it."""
        answer = _TRUTHS.get(quantity)
        return None if answer is None else answer(self)


_TRUTHS: Mapping[Quantity, Callable[[Truths], I64]] = {
    Quantity.ENTRIES: lambda truths: truths.entries,
    Quantity.PAGE_ENTRIES: lambda truths: truths.page_entries,
    Quantity.MAPPED: lambda truths: (truths.facts.mapped_pages > 0).astype(np.int64),
    Quantity.PAGES_MAPPED: lambda truths: truths.facts.mapped_pages,
    Quantity.SHARED: lambda truths: (truths.facts.mms > 1).astype(np.int64),
    Quantity.PARTIAL: lambda truths: (truths.facts.partial).astype(np.int64),
    Quantity.ADDRESS_SPACES: lambda truths: truths.facts.mms,
}


def truths_of(snapshot: Snapshot) -> Truths:
    """Return the truths of a snapshot, each computed when it is first asked for."""
    return Truths(Facts(snapshot))


def answers_of(truths: Truths, histories: Sequence[Replayed]) -> list[Answers]:
    """
    Hold all readers of one scheme to the truth.

    `histories` are replays of the same snapshot under the same scheme, by different histories that end in its mappings.
    """
    scheme = histories[0].scheme
    found = [_answers(truths, histories, reader) for reader in (*scheme.scheme.readers, STATISTIC)]
    cannot: Mapping[str, str] = scheme.scheme.cannot
    return found + [Answers(scheme.id, name, "", "cannot", says=why) for name, why in cannot.items()]


def over_pasts(by_past: Sequence[Sequence[Answers]]) -> list[Answers]:
    """Join the answers after several pasts, each as `answers_of` gives them; the first past is the usual one."""
    return [_joined(rows) for rows in zip(*by_past, strict=True)]


def _joined(rows: Sequence[Answers]) -> Answers:
    return replace(
        rows[0],
        wrong_least=min(row.wrong_least for row in rows),
        wrong_most=max(row.wrong_most for row in rows),
        least=min(row.least for row in rows),
        most=max(row.most for row in rows),
    )


def _answers(truths: Truths, histories: Sequence[Replayed], reader: Reader) -> Answers:
    truth = truths.of(reader.quantity)
    scheme = histories[0].scheme.id
    if truth is None:
        return Answers(scheme, reader.name, reader.quantity.value, "not comparable", says=reader.says)
    asked = truths.asked
    if reader.quantity is Quantity.PARTIAL:
        asked = asked & truths.facts.anon
    if reader.per_page:
        asked = np.repeat(asked, truths.facts.pages)
    wrong, least, most = [], 0, 0
    for replayed in histories:
        answer = _statistic(replayed) if reader is STATISTIC else replayed.answers[reader.name]
        error = (answer - truth)[asked]
        wrong.append(int(np.count_nonzero(error)))
        if len(error):
            least, most = min(least, int(error.min())), max(most, int(error.max()))
    return Answers(
        scheme,
        reader.name,
        reader.quantity.value,
        reader.promise.value,
        asked=int(np.count_nonzero(asked)),
        wrong=wrong[0],
        wrong_least=min(wrong),
        wrong_most=max(wrong),
        least=least,
        most=most,
        says=reader.says,
    )


def _statistic(replayed: Replayed) -> I64:
    total: I64 = replayed.stats[NR_ANON_MAPPED] + replayed.stats[NR_FILE_MAPPED]
    return total
