"""A kernel's accesses in an operation against those of its era's scheme: how many of each kind per word, and their order.

Compared are LOCKed accesses and stores to the scheme's words; of readers the loads of counters. Not compared are the loads
of who changes counts, which a compiler does once or twice as it likes, and loads of flags and of what shares their bytes,
which are loaded for many reasons.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.kernels.access_words import CONTAINERS
from mapcount.schemes.ops import Access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mapcount.kernels.word_access import WordAccess

_LOCK_WORD = "FOLIO_MM_IDS_LOCK"
_FREE = {"_mm_id[0]", "_mm_id[1]", "_mm_id_mapcount[0]", "_mm_id_mapcount[1]", "_mm_ids", "FOLIO_MM_IDS_SHARED"}
"""Words that are stored plainly, neither atomic_t nor by WRITE_ONCE(): include/linux/rmap.h of 7.3."""


class Verdict(enum.Enum):
    """How the two agree."""

    SAME = "same order"
    COMPILER = "same, but for plain stores that the compiler swapped"
    """Between two LOCKed accesses, or one and the release of a lock, C lets it."""
    ORDER = "another order"
    COUNTS = "other counts"


@dataclass(frozen=True)
class Count:
    """How often a word is accessed, by the kernel and by the scheme."""

    how: Access
    word: str
    kernel: int
    scheme: int


@dataclass(frozen=True)
class Comparison:
    """
    One operation on one kernel beside the scheme.

    `first_difference` is the number of the first access of `kernel` that is not the scheme's; None if there is none.
    """

    verdict: Verdict
    counts: tuple[Count, ...]
    kernel: tuple[WordAccess, ...]
    scheme: tuple[WordAccess, ...]
    first_difference: int | None
    others: Mapping[str, int] = field(default_factory=dict)
    """What the kernel does to no word of the scheme, by kind and word."""

    @property
    def agrees(self) -> bool:
        """Whether the scheme does what the kernel does."""
        return self.verdict in {Verdict.SAME, Verdict.COMPILER}


def compare(
    kernel: Iterable[WordAccess], scheme: Iterable[WordAccess], words: Iterable[str], *, reads: bool = False
) -> Comparison:
    """Compare what a kernel did with what a scheme does to its `words`; `reads`: both load them and do no more."""
    own = {word for word in words if not reads or word not in CONTAINERS}
    expected = tuple(
        access._replace(function="")
        for access in scheme
        if access.how is not Access.LOAD or (reads and access.word in own)
    )
    names = own | {CONTAINERS[word] for word in own if word in CONTAINERS}
    written = [access for access in kernel if reads or access.how is not Access.LOAD]
    inside = [access._replace(function="") for access in written if access.word in names]
    found = tuple(_named(inside, expected))
    difference = _first_difference(found, expected)
    return Comparison(
        _verdict(found, expected, difference),
        tuple(_counts(found, expected)),
        found,
        expected,
        difference,
        Counter(f"{_kind(access)} {access.word}" for access in written if access.word not in names),
    )


def _named(found: Sequence[WordAccess], expected: Sequence[WordAccess]) -> Iterator[WordAccess]:
    """
    Name what changes nothing in bytes that several words share, by what the scheme does at that place without change.

    The scheme says which word is meant; that there is such an access, and that it changes nothing, is the kernel's.
    """
    for number, access in enumerate(found):
        meant = expected[number] if number < len(expected) else None
        if meant and CONTAINERS.get(meant.word) == access.word and meant.before == meant.after:
            yield meant._replace(how=access.how)
        else:
            yield access


def _first_difference(found: Sequence[WordAccess], expected: Sequence[WordAccess]) -> int | None:
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return number
    return min(len(found), len(expected)) if len(found) != len(expected) else None


def _verdict(found: Sequence[WordAccess], expected: Sequence[WordAccess], difference: int | None) -> Verdict:
    if difference is None:
        return Verdict.SAME
    if Counter(map(_what, found)) != Counter(map(_what, expected)):
        return Verdict.COUNTS
    return Verdict.COMPILER if _stretches(found) == _stretches(expected) else Verdict.ORDER


def _what(access: WordAccess) -> tuple[Access, str]:
    return access.how, access.word


def _stretches(accesses: Iterable[WordAccess]) -> list[object]:
    """
    Return the sequence, as far as C fixes it.

    Between two LOCKed accesses, or one and the release of the lock, atomic_set() and the like stay in their order, as they
    are volatile; other plain stores may be anywhere.
    """
    parts: list[object] = []
    volatile: list[WordAccess] = []
    free: Counter[WordAccess] = Counter()
    for access in accesses:
        if access.how is Access.STORE and access.word in _FREE:
            free[access] += 1
        elif access.how is Access.STORE and access.word != _LOCK_WORD:
            volatile.append(access)
        else:
            parts += [tuple(volatile), frozenset(free.items()), access]
            volatile.clear()
            free.clear()
    return [*parts, tuple(volatile), frozenset(free.items())]


def _counts(found: Iterable[WordAccess], expected: Iterable[WordAccess]) -> Iterator[Count]:
    of_kernel, of_scheme = Counter(map(_what, found)), Counter(map(_what, expected))
    for how, word in sorted(of_kernel | of_scheme, key=lambda what: (what[0].value, what[1])):
        yield Count(how, word, of_kernel[how, word], of_scheme[how, word])


def _kind(access: WordAccess) -> str:
    return "LOCKED" if access.how is Access.LOCKED else access.how.value
