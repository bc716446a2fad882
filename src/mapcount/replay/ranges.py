"""What of an answer depends on the past that nobody knows: the same mappings after several histories."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mapcount.replay.engine import replay
from mapcount.replay.histories import HISTORIES
from mapcount.schemes.scheme import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

    from mapcount.mapping.schema import U8, Bools
    from mapcount.mapping.snapshot import Snapshot
    from mapcount.replay.result import FolioSpecs, Replayed
    from mapcount.schemes.bind import BoundScheme

YES_OR_NO = {Quantity.MAPPED, Quantity.SHARED, Quantity.PARTIAL}
"""Quantities whose readers say yes or no."""


class Certainty(enum.IntEnum):
    """A yes or no after all of the histories."""

    SURELY_NOT = 0
    MAYBE = 1
    """yes after some, no after others"""
    SURELY = 2


@dataclass(frozen=True, eq=False)
class Range:
    """The least and the greatest of each number over the histories."""

    low: npt.NDArray[Any]
    high: npt.NDArray[Any]

    @property
    def depends(self) -> Bools:
        """Where the histories disagree."""
        different: Bools = self.low != self.high
        return different

    def certainty(self) -> U8:
        """Return the codes of Certainty, of a yes-or-no question."""
        codes: U8 = (self.low != 0).astype(np.uint8) + (self.high != 0).astype(np.uint8)
        return codes


@dataclass(frozen=True, eq=False)
class Ranged:
    """
    One scheme after several histories that end in the same mappings. The arrays are laid out as in Replayed.

    Only so sure as the histories are many: another past may lead further.
    """

    scheme: BoundScheme
    folios: FolioSpecs
    histories: tuple[str, ...]
    answers: Mapping[str, Range]
    stats: Range
    deferred: Range
    partially_mapped: Range

    def yes_or_no(self) -> list[str]:
        """Return the readers whose answers are yes or no, so that `certainty` makes sense."""
        return [
            reader.name
            for reader in self.scheme.scheme.readers
            if reader.quantity in YES_OR_NO and reader.name in self.answers
        ]


def range_over(
    snapshot: Snapshot, scheme: BoundScheme, histories: Iterable[str] = tuple(HISTORIES), *, engine: str = "auto"
) -> Ranged:
    """
    Replay a snapshot after each of these histories, one at a time, and return how far the answers reach.

    Raises what `replay` does; ValueError without any history.
    """
    names = tuple(histories)
    ranged: Ranged | None = None
    for name in names:
        [replayed] = replay(snapshot, [scheme], history=name, engine=engine)
        ranged = _begun(replayed, names) if ranged is None else _widened(ranged, replayed)
    if ranged is None:
        raise ValueError("no history was given")
    return ranged


def _begun(replayed: Replayed, histories: tuple[str, ...]) -> Ranged:
    def point(values: npt.NDArray[Any]) -> Range:
        return Range(values, values)

    return Ranged(
        replayed.scheme,
        replayed.folios,
        histories,
        {name: point(values) for name, values in replayed.answers.items()},
        point(replayed.stats),
        point(replayed.deferred),
        point(replayed.partially_mapped),
    )


def _widened(ranged: Ranged, replayed: Replayed) -> Ranged:
    def wide(range_: Range, values: npt.NDArray[Any]) -> Range:
        return Range(np.minimum(range_.low, values), np.maximum(range_.high, values))

    return Ranged(
        ranged.scheme,
        ranged.folios,
        ranged.histories,
        {name: wide(range_, replayed.answers[name]) for name, range_ in ranged.answers.items()},
        wide(ranged.stats, replayed.stats),
        wide(ranged.deferred, replayed.deferred),
        wide(ranged.partially_mapped, replayed.partially_mapped),
    )
