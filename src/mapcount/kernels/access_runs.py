"""Sequences of accesses, short: what is done page after page is told by its first two rounds and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.kernels.word_access import WordAccess

_LONGEST_ROUND = 6
_LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Rounds:
    """
    `times` rounds of accesses that differ by their numbers alone: page, value before, value after.

    In each round these are further by what `second` is further than `first`.
    """

    times: int
    first: tuple[WordAccess, ...]
    second: tuple[WordAccess, ...]

    def expanded(self) -> list[WordAccess]:
        """Return all accesses."""
        return [
            _further(one, two, number)
            for number in range(self.times)
            for one, two in zip(self.first, self.second, strict=True)
        ]


def shorten(accesses: Sequence[WordAccess]) -> list[WordAccess | Rounds]:
    """Return the same, with three rounds or more told as Rounds; `expand` gives the sequence back."""
    short: list[WordAccess | Rounds] = []
    at = 0
    while at < len(accesses):
        rounds = max((_rounds_at(accesses, at, length) for length in range(1, _LONGEST_ROUND + 1)), key=_covered)
        if rounds.times >= _LEAST_ROUNDS:
            short.append(rounds)
            at += _covered(rounds)
        else:
            short.append(accesses[at])
            at += 1
    return short


def expand(short: Sequence[WordAccess | Rounds]) -> list[WordAccess]:
    """Return the sequence that `shorten` made short."""
    return [access for part in short for access in (part.expanded() if isinstance(part, Rounds) else [part])]


def _covered(rounds: Rounds) -> int:
    return rounds.times * len(rounds.first) if rounds.times >= _LEAST_ROUNDS else 0


def _rounds_at(accesses: Sequence[WordAccess], at: int, length: int) -> Rounds:
    first, second = (tuple(accesses[at + skip : at + skip + length]) for skip in (0, length))
    if len(second) < length or any(not _alike(one, two) for one, two in zip(first, second, strict=True)):
        return Rounds(1, first, first)
    times = 2
    while at + (times + 1) * length <= len(accesses) and all(
        accesses[at + times * length + i] == _further(first[i], second[i], times) for i in range(length)
    ):
        times += 1
    return Rounds(times, first, second)


def _alike(one: WordAccess, two: WordAccess) -> bool:
    return (one.how, one.word, one.function) == (two.how, two.word, two.function)


def _further(one: WordAccess, two: WordAccess, rounds: int) -> WordAccess:
    return one._replace(
        at=one.at + rounds * (two.at - one.at),
        before=one.before + rounds * (two.before - one.before),
        after=one.after + rounds * (two.after - one.after),
    )
