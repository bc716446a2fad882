"""What an era's scheme does to the words of a folio in an operation, access by access, in plain Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.kernels.access_operations import split_into_calls
from mapcount.kernels.word_access import WordAccess
from mapcount.mapping.schema import Level
from mapcount.schemes.memory import Memory
from mapcount.schemes.ops import Access
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.kernels.access_operations import Call, Operation
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.eras import Era
    from mapcount.schemes.words import Word


class RecordingMemory(Memory):
    """Memory that keeps every access with the values before and after."""

    accesses: list[WordAccess]

    def load(self, word: Word, index: int) -> int:
        """Return a word."""
        value = super().load(word, index)
        self._keep(Access.LOAD, word, index, value)
        return value

    def store(self, word: Word, index: int, value: int) -> None:
        """Store a word by a plain store."""
        before = self.words[word.name][index]
        super().store(word, index, value)
        self._keep(Access.STORE, word, index, before)

    def change(self, word: Word, index: int, by: int) -> int:
        """Add to a word by an atomic read-modify-write; return the new value."""
        before = self.words[word.name][index]
        value = super().change(word, index, by)
        self._keep(Access.LOCKED, word, index, before)
        return value

    def exchange(self, flag: Word, index: int, value: int) -> int:
        """Set a flag by an atomic read-modify-write; return what it was."""
        before = super().exchange(flag, index, value)
        self._keep(Access.LOCKED, flag, index, before)
        return before

    def _keep(self, how: Access, word: Word, index: int, before: int) -> None:
        at = index if word.scope is Scope.PAGE else 0
        self.accesses.append(WordAccess(how, word.name, at, before, self.words[word.name][index]))


def accesses_of(scheme: BoundScheme, operation: Operation, era: Era) -> list[WordAccess]:
    """Return the accesses to its words in their order; the era says into how many calls of rmap a change falls."""
    memory = RecordingMemory(scheme.scheme.places, [operation.order], [operation.kind])
    memory.accesses = []
    for change in operation.calls_before:
        _apply(scheme, memory, operation, change, era)
    memory.accesses = []
    for change in operation.calls:
        _apply(scheme, memory, operation, change, era)
    if operation.reads:
        _read_smaps(scheme, memory, operation)
    return memory.accesses


def _read_smaps(scheme: BoundScheme, memory: Memory, operation: Operation) -> None:
    """
    Ask what smaps asks: the mappings of each page, of a PMD's too; without counts per page the mean, once for an entry.

    Source: smaps_account(), fs/proc/task_mmu.c of 7.3.
    """
    by_pmd = operation.calls_before[-1].level is Level.PMD
    for page in range(1 << operation.order):
        if "page_mapcount" in scheme.functions:
            scheme.functions["page_mapcount"](memory, 0, operation.order, page)
        elif not page or not by_pmd:
            scheme.functions["folio_average_page_mapcount"](memory, 0, operation.order, 0)
            scheme.functions["mapped_shared"](memory, 0, operation.order, 0)


def _apply(scheme: BoundScheme, memory: Memory, operation: Operation, change: Call, era: Era) -> None:
    for call in split_into_calls(change, era):
        scheme.functions["apply"](memory, call.op, call.level, 0, operation.order, call.first, call.nr, call.mm)
