"""From the plugin's records to the accesses to the named words of one folio.

Exact, as recorded: the order, the instruction, address, width, load or store, LOCKed or plain, and the value of the accessed
bytes just after. Derived: the value before a store, which is what the last access to these bytes left, or the copy of the
struct pages from before. Every load is held against that: `torn` counts those that saw something else, as would be if
anyone stored unseen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mapcount.kernels.access_words import CONTAINERS
from mapcount.kernels.word_access import WordAccess
from mapcount.schemes.ops import Access
from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mapcount.kernels.access_words import WordBits

LOAD, STORE, LOCKED_LOAD, LOCKED_STORE, ENTRY = range(5)
"""Kinds of records, as in accesses.c."""
NO_BIT = 0xFF
_HOW = {LOAD: Access.LOAD, STORE: Access.STORE, LOCKED_STORE: Access.LOCKED}
"""A LOCKed instruction is a load and a store of one address, and one access."""
_COMPOUND_HEAD = (8, 16)
"""Bytes of a tail page by which it belongs to its folio."""


@dataclass(frozen=True)
class Record:
    """
    A record of the plugin: `value` is that of the `size` bytes at `address` just after; ENTRY has but the function.

    `bit` is which bit, counted from the address, an instruction that sets or clears one is about; NO_BIT for others.
    """

    kind: int
    pc: int
    address: int = 0
    size: int = 0
    value: int = 0
    bit: int = NO_BIT
    context: int = 0


@dataclass
class FolioLog:
    """What happened to one folio: accesses to words in order, and how often something else in its struct pages was stored."""

    accesses: list[WordAccess] = field(default_factory=list)
    others: Counter[tuple[Access, str]] = field(default_factory=Counter)
    torn: int = 0


@dataclass(frozen=True)
class Decoder:
    """
    How to read the records of one kernel.

    `rest` names other bytes of struct page, by offset: (name, width). `function_of` gives the function of an instruction.
    """

    words: Sequence[WordBits]
    rest: Mapping[int, tuple[str, int]]
    function_of: Callable[[int], str]
    renamed_mm_id: Callable[[int], int] = int

    def decode(self, records: Sequence[Record], head: int, before: bytes, *, since: int = 0) -> FolioLog:
        """
        Return what was done to the folio whose struct pages begin at address `head` and held `before`.

        Records before number `since` only change what its words hold.
        """
        log, memory = FolioLog(), bytearray(before)
        for number, record in enumerate(records):
            offset = record.address - head
            if record.kind == ENTRY or not 0 <= offset < len(memory):
                continue
            page, byte = divmod(offset, STRUCT_PAGE_BYTES)
            own = bytes(memory[page * STRUCT_PAGE_BYTES : (page + 1) * STRUCT_PAGE_BYTES])
            now = own[:byte] + record.value.to_bytes(8, "little")[: record.size] + own[byte + record.size :]
            memory[offset : offset + record.size] = now[byte : byte + record.size]
            log.torn += record.kind in {LOAD, LOCKED_LOAD} and own != now
            if number >= since and record.kind in _HOW:
                self._note(log, _HOW[record.kind], record, page, byte, own, now)
        return log

    def _note(self, log: FolioLog, how: Access, record: Record, page: int, byte: int, own: bytes, now: bytes) -> None:
        touched = [word for word in self.words if word.overlaps(page, byte, byte + record.size)]
        if record.bit != NO_BIT:
            number = 8 * byte + record.bit
            found = [word for word in touched if word.width == 1 and word.low == number]
        else:
            found = touched if how is Access.LOAD else _meant(touched, own, now)
        function = self.function_of(record.pc)
        for word in found:
            before, after = (self._value(word, held) for held in (own, now))
            log.accesses.append(
                WordAccess(how, word.name, 0 if word.page is not None else page, before, after, function)
            )
        if not found and how is not Access.LOAD:
            container = CONTAINERS.get(touched[0].name, "") if touched and own == now else ""
            if container and container != "flags":
                log.accesses.append(WordAccess(how, container, 0, 0, 0, function))
            else:
                log.others[how, self._rest_name(page, byte)] += 1

    def _value(self, word: WordBits, held: bytes) -> int:
        value = word.value(held)
        return self.renamed_mm_id(value) if word.name.startswith("_mm_id[") and value else value

    def _rest_name(self, page: int, byte: int) -> str:
        name = next((name for at, (name, width) in self.rest.items() if at <= byte < at + width), "rest")
        return name if not page or name == "flags" else f"tail {name}"


def _meant(touched: list[WordBits], own: bytes, now: bytes) -> list[WordBits]:
    """Return the words that a store is about: those it changes; if it changes nothing, the only counter there."""
    changed = int.from_bytes(own, "little") ^ int.from_bytes(now, "little")
    for word in touched:
        changed &= ~(((1 << word.width) - 1) << word.low)
    if changed:
        return []
    different = [word for word in touched if word.value(own) != word.value(now)]
    return touched if not different and len(touched) == 1 and touched[0].width > 1 else different


def born_at(records: Sequence[Record], head: int, nr_pages: int, function_of: Callable[[int], str]) -> int:
    """
    Return the number of the first record after the page allocator made a folio of these struct pages.

    That is after the last access by the function that joined the last tail page to it.
    """
    first, end = _COMPOUND_HEAD
    tails = range(head + STRUCT_PAGE_BYTES, head + nr_pages * STRUCT_PAGE_BYTES)
    joins = [
        record
        for record in records
        if record.kind == STORE and record.address in tails and first <= record.address % STRUCT_PAGE_BYTES < end
    ]
    if not joins:
        return 0
    maker = function_of(joins[-1].pc)
    own = range(head, tails.stop)
    return 1 + max(
        number for number, record in enumerate(records) if record.address in own and function_of(record.pc) == maker
    )


def until_freed(accesses: Sequence[WordAccess]) -> tuple[WordAccess, ...]:
    """Return the accesses up to the one that takes the last reference: what follows is the page allocator's."""
    for number, access in enumerate(accesses):
        if access.word == "_refcount" and access.how is Access.LOCKED and not access.after:
            return tuple(accesses[: number + 1])
    return tuple(accesses)
