"""What a replay leaves behind: the words of one scheme after the last change, and what its readers answer then."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.mapping.schema import I64, U8, Bools
    from mapcount.replay.cost import Costs
    from mapcount.schemes.bind import BoundScheme


@dataclass(frozen=True, eq=False)
class FolioSpecs:
    """
    The folios of a replay: row numbers are the `folio_id` of the log.

    Page words and the answers of per-page readers are arrays over the pages of all folios, one folio after the other:
    folio `f` has `[base[f], base[f] + (1 << orders[f]))`.
    """

    orders: U8
    kinds: U8
    """mapping.schema.Kind"""
    base: I64

    @staticmethod
    def of(orders: npt.NDArray[Any], kinds: npt.NDArray[Any]) -> FolioSpecs:
        """Lay out folios of these orders and kinds."""
        sizes = np.left_shift(np.int64(1), orders.astype(np.int64))
        return FolioSpecs(orders.astype(np.uint8), kinds.astype(np.uint8), np.cumsum(sizes) - sizes)

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def nr_pages(self) -> int:
        """Pages of all folios."""
        return int(self.base[-1]) + (1 << int(self.orders[-1])) if len(self) else 0


@dataclass(frozen=True, eq=False)
class Replayed:
    """
    One scheme after a replay.

    `words` by name, as stored (a bias shows): arrays over all pages or over folios. `stats[s, f]` is folio f's share of
    statistic s (ops.NR_ANON_MAPPED ...), in pages. `answers` by reader: over folios, or over all pages for a per-page reader.
    """

    scheme: BoundScheme
    folios: FolioSpecs
    words: Mapping[str, npt.NDArray[Any]]
    stats: I64
    deferred: Bools
    """the folio is on the deferred split queue because of an unmapping"""
    partially_mapped: Bools
    """PG_partially_mapped"""
    answers: Mapping[str, I64] = field(default_factory=dict)
    refused: int = 0
    """DUP rows that the scheme refused although the log has them as done"""
    costs: Costs | None = None
    """What it took to count, if that was asked for"""

    def of_folios(self, rows: npt.NDArray[np.integer[Any]]) -> Replayed:
        """Return what there is of some folios, renumbered in this order."""
        folios = FolioSpecs.of(self.folios.orders[rows], self.folios.kinds[rows])
        sizes = np.left_shift(1, folios.orders.astype(np.int64))
        pages = np.repeat(self.folios.base[rows] - folios.base, sizes) + np.arange(folios.nr_pages)

        def part(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
            return values[rows] if len(values) == len(self.folios) else values[pages]

        return replace(
            self,
            folios=folios,
            words={name: part(values) for name, values in self.words.items()},
            stats=self.stats[:, rows],
            deferred=self.deferred[rows],
            partially_mapped=self.partially_mapped[rows],
            answers={name: part(values) for name, values in self.answers.items()},
        )
