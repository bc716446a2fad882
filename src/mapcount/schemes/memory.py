"""Plain-Python memory of a scheme: its words over some folios, and what surrounds them. The reference of all engines."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, NamedTuple

from mapcount.schemes.looked import Looked
from mapcount.schemes.ops import NR_STATS, Access
from mapcount.schemes.words import Place, Scope, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Touch(NamedTuple):
    """One access to a word."""

    access: Access
    word: str
    at: int


class Memory:
    """
    The words of a scheme over folios of given orders, as they are before the first mapping.

    Page words are lists over all pages of all folios, one folio after the other (`base` is where each begins); folio
    words are lists over folios. `stats`, `deferred`, `partially_mapped`, `pinned`, `swapcache`, `kind` and `looked` (what a
    look-up finds now: whoever calls an operation keeps it) are the surroundings, by folio. With `record` every access is
    appended to `touched`. `lookups` and `entries_read` count look-ups and the page-table entries that they read.
    """

    def __init__(
        self, places: Iterable[Place], orders: Sequence[int], kinds: Sequence[int], *, record: bool = False
    ) -> None:
        self.orders = tuple(orders)
        self.kind = list(kinds)
        self.base: list[int] = []
        nr_pages = 0
        for order in orders:
            self.base.append(nr_pages)
            nr_pages += 1 << order
        folios = len(self.orders)
        self.words: dict[str, list[int]] = {
            place.word.name: [place.word.bias] * (nr_pages if place.word.scope is Scope.PAGE else folios)
            for place in places
        }
        self.stats = [[0] * folios for _ in range(NR_STATS)]
        self.deferred = [0] * folios
        self.partially_mapped = [0] * folios
        self.pinned = [0] * folios
        self.swapcache = [0] * folios
        self.looked: list[Looked] = [Looked()] * folios
        self.lookups = self.entries_read = 0
        self.touched: list[Touch] | None = [] if record else None

    def copy(self) -> Memory:
        """Return the same memory apart, with nothing noted yet."""
        other = copy.copy(self)
        other.words = {name: values.copy() for name, values in self.words.items()}
        other.stats = [values.copy() for values in self.stats]
        for name in ("kind", "deferred", "partially_mapped", "pinned", "swapcache", "looked"):
            setattr(other, name, getattr(self, name).copy())
        other.touched = None if self.touched is None else []
        other.lookups = other.entries_read = 0
        return other

    def load(self, word: Word, index: int) -> int:
        """Return a word."""
        self._touch(Access.LOAD, word, index)
        return self.words[word.name][index]

    def store(self, word: Word, index: int, value: int) -> None:
        """Store a word by a plain store."""
        self._touch(Access.STORE, word, index)
        self.words[word.name][index] = wrap(value, word.width_bits)

    def change(self, word: Word, index: int, by: int) -> int:
        """Add to a word by an atomic read-modify-write; return the new value."""
        self._touch(Access.LOCKED, word, index)
        value = self.words[word.name][index] = wrap(self.words[word.name][index] + by, word.width_bits)
        return value

    def exchange(self, flag: Word, index: int, value: int) -> int:
        """Set a flag by an atomic read-modify-write; return what it was."""
        self._touch(Access.LOCKED, flag, index)
        old, self.words[flag.name][index] = self.words[flag.name][index], value
        return old

    def vmas(self, folio: int) -> int:
        """Return the VMAs that map the folio now."""
        return self.looked[folio].vmas

    def look(self, entries: int) -> None:
        """Note a look-up that reads so many page-table entries."""
        self.lookups += 1
        self.entries_read += entries

    def state(self) -> dict[str, tuple[int, ...]]:
        """Return all words and what was told to the surroundings, to compare."""
        state = {name: tuple(values) for name, values in self.words.items()}
        state |= {f"stat {number}": tuple(values) for number, values in enumerate(self.stats)}
        return state | {"deferred": tuple(self.deferred), "partially_mapped": tuple(self.partially_mapped)}

    def _touch(self, access: Access, word: Word, index: int) -> None:
        if self.touched is not None:
            self.touched.append(Touch(access, word.name, index))


def wrap(value: int, width_bits: int) -> int:
    """Return a value as a signed integer of that width holds it; a flag stays 0 or 1."""
    if width_bits == 1:
        return value & 1
    half = 1 << (width_bits - 1)
    return (value + half) % (2 * half) - half
