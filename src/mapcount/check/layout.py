"""The cells of a model: every word of the folio has a number, in the order in which the scheme declares its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.page_tables import page_table
from mapcount.check.references import _refcount
from mapcount.check.surroundings import STATISTICS, VMAS, VMAS_STATISTIC, PG_partially_mapped
from mapcount.errors import UsageError
from mapcount.schemes.words import Scope, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.check.bytecode import Instruction
    from mapcount.check.model import Model
    from mapcount.schemes.memory import Memory


class Cell(NamedTuple):
    """One word of the folio: `at` is the page, or 0."""

    word: Word
    at: int

    def __str__(self) -> str:
        return f"{self.word.name}[{self.at}]" if self.word.scope is Scope.PAGE else self.word.name


class Layout:
    """
    The words of a model's folio as one row of cells.

    They are the scheme's and PG_partially_mapped, and where the model has them or a look-up asks for them: the reference count,
    page tables, statistics, the VMAs that map the folio.
    """

    def __init__(self, model: Model) -> None:
        words = [place.word for place in model.scheme.scheme.places]
        own = len(words)
        words += [
            PG_partially_mapped,
            *([_refcount] if model.references else []),
            *([page_table] if model.page_tables else []),
            *(STATISTICS if model.statistics else ()),
            *([VMAS] if "lookup_vmas" in model.scheme.lookups else []),
        ]
        self.cells = tuple(Cell(word, i) for word in words for i in range(_length(word, model)))
        self._first: dict[str, int] = {}
        for number, cell in enumerate(self.cells):
            self._first.setdefault(cell.word.name, number)
        self.names = tuple(self._first)
        if len(self.names) != len(words):
            raise UsageError(f"{model.scheme.id}: two words have one name")
        self.of_scheme = frozenset(self.names[:own])

    def __len__(self) -> int:
        return len(self.cells)

    def number(self, word: Word, index: int) -> int:
        """Return the number of a cell. Raises UsageError for a word that is not declared, or an index outside the folio."""
        first = self._first.get(word.name)
        if first is None:
            raise UsageError(f"the scheme uses {word.name}, and does not declare where it lies")
        if not (index >= 0 and first + index < len(self.cells) and self.cells[first + index].word == word):
            raise UsageError(f"there is no {word.name}[{index}] in this folio")
        return first + index

    def cells_of(self, one: Instruction) -> tuple[int, ...]:
        """Return the cells that an access may be about: one, or all of its word if the index is reckoned."""
        assert one.word is not None
        if isinstance(one.a, int):
            return (self.number(one.word, one.a),)
        return tuple(number for number, cell in enumerate(self.cells) if cell.word == one.word)

    def statistic(self, number: int) -> int:
        """Return the number of the cell of a statistic."""
        return self._first[VMAS.name if number == VMAS_STATISTIC else STATISTICS[number].name]

    def read(self, memory: Memory) -> tuple[int, ...]:
        """Return the cells of the first folio of plain memory."""
        state = memory.state() | {
            PG_partially_mapped.name: tuple(memory.partially_mapped),
            VMAS.name: (memory.looked[0].vmas,),
        }
        return tuple(state[cell.word.name][cell.at] for cell in self.cells)

    def write(self, cells: Sequence[int], memory: Memory) -> None:
        """Put the cells into the first folio of plain memory."""
        for cell, value in zip(self.cells, cells, strict=False):
            if cell.word.name in self.of_scheme:
                memory.words[cell.word.name][cell.at] = value
            elif cell.word is PG_partially_mapped:
                memory.partially_mapped[0] = memory.deferred[0] = value
            elif cell.word in {_refcount, page_table}:
                memory.words[cell.word.name] = [*memory.words.get(cell.word.name, [])[: cell.at], value]
            elif cell.word is VMAS:
                memory.looked[0] = memory.looked[0]._replace(vmas=value)
            else:
                memory.stats[STATISTICS.index(cell.word)][0] = value


def _length(word: Word, model: Model) -> int:
    if word is page_table:
        return model.mms + 1
    return 1 << model.order if word.scope is Scope.PAGE else 1
