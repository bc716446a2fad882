"""Memory of a scheme as numpy arrays that grow: plain functions and compiled ones count in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mapcount.replay.emit import FLAGS
from mapcount.replay.looks import LOOKED
from mapcount.replay.operations import array_name, array_type
from mapcount.schemes.looked import Looked
from mapcount.schemes.memory import Memory, wrap
from mapcount.schemes.ops import NR_STATS
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.words import Word

_FOLIOS, _PAGES = 64, 1 << 12
"""Room at first."""


class ArrayMemory(Memory):
    """The words of a scheme over folios that are added one by one, none of them mapped."""

    def __init__(self, scheme: BoundScheme) -> None:
        super().__init__((), (), ())
        self._places = scheme.scheme.places
        self._looks_up = bool(scheme.lookups)
        self._folios = self._pages = 0
        self._page_room = _PAGES
        self._by_folio: dict[str, npt.NDArray[Any]] = {
            "orders": np.zeros(_FOLIOS, np.uint8),
            "base_of": np.zeros(_FOLIOS, np.int64),
            "kind": np.zeros(_FOLIOS, np.uint8),
            **{name: np.zeros(_FOLIOS, np.uint8) for name in FLAGS},
        }
        self._by_folio |= {name: np.zeros(_FOLIOS, np.int64) for name in LOOKED}
        self._stats = np.zeros((NR_STATS, _FOLIOS), np.int64)
        self._words = {
            place.word.name: np.full(
                _PAGES if place.word.scope is Scope.PAGE else _FOLIOS, place.word.bias, array_type(place.word)
            )
            for place in self._places
        }
        self._show()

    def add(self, order: int, kind: int) -> int:
        """Add a folio; return its number."""
        number, base = self._folios, self._pages
        self._folios, self._pages = number + 1, base + (1 << order)
        self._grow()
        self._by_folio["orders"][number] = order
        self._by_folio["base_of"][number] = base
        self._by_folio["kind"][number] = kind
        return number

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by the names that an emitted module has for them (replay/emit.py)."""
        words = {array_name(place.word): self._words[place.word.name] for place in self._places}
        looked = () if self._looks_up else LOOKED
        by_folio = {name: values for name, values in self._by_folio.items() if name not in looked}
        return words | by_folio | {"stats": self._stats}

    def look_at(self, folio: int, looked: Looked) -> None:
        """Keep what a look-up finds now."""
        for name, value in zip(LOOKED, looked, strict=True):
            self._by_folio[name][folio] = value

    def load(self, word: Word, index: int) -> int:
        """Return a word."""
        return int(self.words[word.name][index])

    def store(self, word: Word, index: int, value: int) -> None:
        """Store a word."""
        self.words[word.name][index] = wrap(int(value), word.width_bits)

    def change(self, word: Word, index: int, by: int) -> int:
        """Add to a word; return the new value."""
        values = self.words[word.name]
        values[index] = value = wrap(int(values[index]) + int(by), word.width_bits)
        return value

    def exchange(self, flag: Word, index: int, value: int) -> int:
        """Set a flag; return what it was."""
        values = self.words[flag.name]
        old = int(values[index])
        values[index] = value
        return old

    def _grow(self) -> None:
        grown = False
        if self._folios > len(self._by_folio["orders"]):
            self._by_folio = {name: _doubled(values, 0) for name, values in self._by_folio.items()}
            self._stats = np.concatenate([self._stats, np.zeros_like(self._stats)], axis=1)
            self._double(Scope.FOLIO)
            grown = True
        while self._pages > self._page_room:
            self._double(Scope.PAGE)
            self._page_room *= 2
            grown = True
        if grown:
            self._show()

    def _double(self, scope: Scope) -> None:
        for place in self._places:
            if place.word.scope is scope:
                self._words[place.word.name] = _doubled(self._words[place.word.name], place.word.bias)

    def _show(self) -> None:
        # The functions of a scheme index these as the lists of Memory.
        self.words = cast("dict[str, list[int]]", self._words)
        self.orders = cast("tuple[int, ...]", self._by_folio["orders"])
        self.base = cast("list[int]", self._by_folio["base_of"])
        self.kind = cast("list[int]", self._by_folio["kind"])
        self.stats = cast("list[list[int]]", self._stats)
        self.looked = cast("list[Looked]", _Looked(self._by_folio))
        for name in FLAGS:
            setattr(self, name, self._by_folio[name])


class _Looked:
    """What look-ups find, by folio, out of the arrays."""

    def __init__(self, by_folio: Mapping[str, npt.NDArray[Any]]) -> None:
        self._columns = [by_folio[name] for name in LOOKED]

    def __getitem__(self, folio: int) -> Looked:
        return Looked(*(int(column[folio]) for column in self._columns))


def _doubled(values: npt.NDArray[Any], fill: int) -> npt.NDArray[Any]:
    return np.concatenate([values, np.full(len(values), fill, values.dtype)])
