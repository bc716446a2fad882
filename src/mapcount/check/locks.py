"""The locks of rmap's callers: who excludes whom. They are no words: a thread waits where another one excludes it.

A lock is taken together with the first access under it and given back together with the last one: whoever takes it earlier
or gives it back later only forbids interleavings (taking a lock commutes with what other threads do before, releasing it with
what they do afterwards), so nothing is lost. In a scheme's or caller's source `hold`, `hold_shared` and `release` name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

FOLIO_LOCK = 0
"""PG_locked."""
RMAP_LOCK = 1
"""anon_vma's or i_mmap's lock, that of whoever walks the rmap."""
PAGE_TABLE = 2
"""Plus the number of an address space: the lock of its one page table."""
MMAP_LOCK = 12
"""Plus the number of an address space."""
EVERYTHING = 22
"""A lock around every call, which no kernel has: what is wrong under it too is no race."""
MOST_MMS = 9
BIT_LOCKS = "bits"
ENTRIES = "entries"
FREEZE = "freeze"
REFERENCE = "reference"
NOT_THE_READERS = frozenset({BIT_LOCKS, ENTRIES, FREEZE})
"""Kinds that a reader cannot hold beyond its own."""
KINDS = {
    "folio": (FOLIO_LOCK, 1),
    "rmap": (RMAP_LOCK, 1),
    "ptl": (PAGE_TABLE, 10),
    "mmap": (MMAP_LOCK, 10),
    BIT_LOCKS: (0, 0),
    ENTRIES: (0, 0),
    FREEZE: (0, 0),
    REFERENCE: (0, 0),
}
"""
By the name of a switch: the first lock of the kind, and how many there are; none of what is no lock, and a switch all the same.

Bit locks are words of the scheme: taken out they are set and cleared as ever, and nobody waits. Migration entries and the
freeze are what protects a caller that goes ahead (rechecks.py): without entries what it unmaps is merely gone, without the
freeze it does not compare the references before it acts. The reference is the reader's own.
"""
TITLES = {
    "folio": "folio lock",
    "rmap": "anon_vma or i_mmap lock",
    "ptl": "page-table lock",
    "mmap": "mmap_lock",
    BIT_LOCKS: "bit locks of the scheme",
    ENTRIES: "migration entries where a caller unmaps",
    FREEZE: "references compared and frozen before a caller acts",
    REFERENCE: "a reference of the reader's own",
}


def hold(m: Memory, lock: int) -> None:
    """Take a lock for oneself alone. In plain Python nothing waits: the schedule keeps to the locks."""


def hold_shared(m: Memory, lock: int) -> None:
    """Take a lock that others may hold in the same way, for reading."""


def release(m: Memory, lock: int) -> None:
    """Give a lock back, in whichever way it was taken."""


def held_alone(lock: int) -> int:
    """Return the bit of a lock that is held by one alone."""
    return 2 << 2 * lock


def held_shared(lock: int) -> int:
    """Return the bit of a lock that is held for reading."""
    return 1 << 2 * lock


def excluded_by(lock: int, *, shared: bool) -> int:
    """Return the bits that others must not hold when a thread takes a lock."""
    return held_alone(lock) if shared else held_alone(lock) | held_shared(lock)


def bits_of(kinds: frozenset[str]) -> int:
    """Return all bits of the locks of these kinds, and of EVERYTHING."""
    return (
        sum(3 << 2 * lock for kind in kinds for lock in range(KINDS[kind][0], sum(KINDS[kind]))) | 3 << 2 * EVERYTHING
    )


def locks_in_words(taken: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of locks, by their numbers."""
    return names_of(sum(held_alone(lock) for lock in taken))


def names_of(held: int) -> tuple[str, ...]:
    """Return the locks that stand in a set of bits, in words."""
    found = []
    for kind, (first, count) in KINDS.items():
        for lock in range(first, first + count):
            if held & (held_alone(lock) | held_shared(lock)):
                of = f" of mm {lock - first}" if count > 1 else ""
                found.append(f"{TITLES[kind]}{of}{' for reading' if held & held_shared(lock) else ''}")
    return tuple(found)
