"""The operations that a scheme may use: the kernel's atomics, plain accesses, bit locks, and questions to its surroundings.

A scheme calls them by these names with the memory first. Here they are plain Python, the reference; the compiler
(replay/) and the checker (check/) take the same calls from the source and implement what PRIMITIVES says of each.

Ordering as in Documentation/atomic_t.txt: void read-modify-writes and `_relaxed` ones order nothing, those that return a
value order everything. On x86 all of them are LOCKed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.words import Word

# Asked at every operation, so the members of the enumeration are looked up once.
_ANON = frozenset({int(Kind.ANON), int(Kind.KSM)})
_SHMEM, _HUGETLB = int(Kind.SHMEM), int(Kind.HUGETLB)

NR_ANON_MAPPED = 0
NR_FILE_MAPPED = 1
NR_ANON_THPS = 2
NR_SHMEM_PMDMAPPED = 3
NR_FILE_PMDMAPPED = 4
NR_STATS = 5
"""The statistics that rmap changes, in pages, as in enum node_stat_item."""


class Access(enum.Enum):
    """How an operation touches memory."""

    LOCKED = "locked"
    """an atomic read-modify-write"""
    STORE = "store"
    LOAD = "load"
    NONE = "none"
    """not memory that a scheme declares"""


class Ordering(enum.Enum):
    """What an operation orders."""

    NONE = "none"
    ACQUIRE = "acquire"
    RELEASE = "release"
    READ = "read"
    WRITE = "write"
    FULL = "full"


@dataclass(frozen=True)
class Primitive:
    """What an operation does, for those who do not run this file's Python."""

    name: str
    access: Access
    effect: str
    """`add` the argument, `sub`, `inc`, `dec`, `store`, `load`, `set`, `clear`, `lock`, `unlock`, `ask`, `look`, `tell` or
    `barrier`"""
    result: str = "none"
    """`none`, `new` (value after), `old` (value before), `zero` (is the new value 0), `negative` (is it below 0)"""
    ordering: Ordering = Ordering.NONE


def _table() -> dict[str, Primitive]:
    locked, load, store, none = Access.LOCKED, Access.LOAD, Access.STORE, Access.NONE
    full = Ordering.FULL
    rows = (
        Primitive("atomic_add", locked, "add"),
        Primitive("atomic_sub", locked, "sub"),
        Primitive("atomic_inc", locked, "inc"),
        Primitive("atomic_dec", locked, "dec"),
        Primitive("atomic_add_return", locked, "add", "new", full),
        Primitive("atomic_sub_return", locked, "sub", "new", full),
        Primitive("atomic_add_return_relaxed", locked, "add", "new"),
        Primitive("atomic_sub_return_relaxed", locked, "sub", "new"),
        Primitive("atomic_inc_and_test", locked, "inc", "zero", full),
        Primitive("atomic_dec_and_negative", locked, "dec", "negative", full),
        Primitive("atomic_read", load, "load", "new"),
        Primitive("atomic_set", store, "store"),
        Primitive("read", load, "load", "new"),
        Primitive("store", store, "store"),
        Primitive("test_bit", load, "load", "new"),
        Primitive("set_bit", locked, "set"),
        Primitive("clear_bit", locked, "clear"),
        Primitive("store_bit", store, "store"),
        Primitive("test_and_set_bit", locked, "set", "old", full),
        Primitive("test_and_clear_bit", locked, "clear", "old", full),
        Primitive("bit_spin_lock", locked, "lock", "none", Ordering.ACQUIRE),
        Primitive("bit_spin_unlock", store, "unlock", "none", Ordering.RELEASE),
        Primitive("smp_mb", none, "barrier", "none", full),
        Primitive("smp_rmb", none, "barrier", "none", Ordering.READ),
        Primitive("smp_wmb", none, "barrier", "none", Ordering.WRITE),
        Primitive("folio_first_page", none, "ask", "new"),
        Primitive("folio_test_anon", none, "ask", "new"),
        Primitive("folio_test_shmem", none, "ask", "new"),
        Primitive("folio_test_hugetlb", none, "ask", "new"),
        Primitive("folio_maybe_dma_pinned", none, "ask", "new"),
        Primitive("current_mm", none, "ask", "new"),
        Primitive("lookup_page_table", none, "look", "new"),
        Primitive("lookup_vma", none, "look", "new"),
        Primitive("lookup_vmas", none, "look", "new"),
        Primitive("folio_test_partially_mapped", none, "ask", "new"),
        Primitive("mod_stat", none, "tell"),
        Primitive("deferred_split_folio", none, "tell"),
    )
    return {row.name: row for row in rows}


PRIMITIVES = _table()
LOOKUPS = frozenset({"current_mm", "lookup_page_table", "lookup_vma", "lookup_vmas"})
"""Questions whose answers follow from who maps the folio: whoever runs a scheme that asks them has to keep page tables."""


def atomic_add(m: Memory, word: Word, index: int, value: int) -> None:
    """Add atomically; orders nothing."""
    m.change(word, index, value)


def atomic_sub(m: Memory, word: Word, index: int, value: int) -> None:
    """Subtract atomically; orders nothing."""
    m.change(word, index, -value)


def atomic_inc(m: Memory, word: Word, index: int) -> None:
    """Add one atomically; orders nothing."""
    m.change(word, index, 1)


def atomic_dec(m: Memory, word: Word, index: int) -> None:
    """Subtract one atomically; orders nothing."""
    m.change(word, index, -1)


def atomic_add_return(m: Memory, word: Word, index: int, value: int) -> int:
    """Add atomically and return the new value; fully ordered."""
    return m.change(word, index, value)


def atomic_sub_return(m: Memory, word: Word, index: int, value: int) -> int:
    """Subtract atomically and return the new value; fully ordered."""
    return m.change(word, index, -value)


def atomic_add_return_relaxed(m: Memory, word: Word, index: int, value: int) -> int:
    """Add atomically and return the new value; orders nothing."""
    return m.change(word, index, value)


def atomic_sub_return_relaxed(m: Memory, word: Word, index: int, value: int) -> int:
    """Subtract atomically and return the new value; orders nothing."""
    return m.change(word, index, -value)


def atomic_inc_and_test(m: Memory, word: Word, index: int) -> int:
    """Add one atomically and return whether the new value is 0; fully ordered."""
    return int(m.change(word, index, 1) == 0)


def atomic_dec_and_negative(m: Memory, word: Word, index: int) -> int:
    """Subtract one atomically and return whether the new value is below 0: atomic_add_negative(-1, ...); fully ordered."""
    return int(m.change(word, index, -1) < 0)


def atomic_read(m: Memory, word: Word, index: int) -> int:
    """Return the value of an atomic counter: a plain load, not to be torn."""
    return m.load(word, index)


def atomic_set(m: Memory, word: Word, index: int, value: int) -> None:
    """Store into an atomic counter: a plain store."""
    m.store(word, index, value)


def read(m: Memory, word: Word, index: int) -> int:
    """Return the value of a word: a plain load."""
    return m.load(word, index)


def store(m: Memory, word: Word, index: int, value: int) -> None:
    """Store into a word: a plain store."""
    m.store(word, index, value)


def test_bit(m: Memory, flag: Word, index: int) -> int:
    """Return a flag: a plain load of its word."""
    return m.load(flag, index)


def set_bit(m: Memory, flag: Word, index: int) -> None:
    """Set a flag atomically; orders nothing."""
    m.exchange(flag, index, 1)


def clear_bit(m: Memory, flag: Word, index: int) -> None:
    """Clear a flag atomically; orders nothing."""
    m.exchange(flag, index, 0)


def store_bit(m: Memory, flag: Word, index: int, value: int) -> None:
    """Set or clear a flag by a plain store of its word (__set_bit, __clear_bit): under a lock, or before anyone sees it."""
    m.store(flag, index, value)


def test_and_set_bit(m: Memory, flag: Word, index: int) -> int:
    """Set a flag atomically and return what it was; fully ordered."""
    return m.exchange(flag, index, 1)


def test_and_clear_bit(m: Memory, flag: Word, index: int) -> int:
    """Clear a flag atomically and return what it was; fully ordered."""
    return m.exchange(flag, index, 0)


def bit_spin_lock(m: Memory, flag: Word, index: int) -> None:
    """Take a bit lock: one atomic read-modify-write when it is free; acquire."""
    if m.exchange(flag, index, 1):
        raise AssertionError(f"{flag.name}[{index}] is locked already: it would spin for ever")


def bit_spin_unlock(m: Memory, flag: Word, index: int) -> None:
    """Release a bit lock by a plain store (__bit_spin_unlock); release."""
    m.store(flag, index, 0)


def smp_mb(m: Memory) -> None:
    """Order all accesses before with all after."""


def smp_rmb(m: Memory) -> None:
    """Order loads before with loads after."""


def smp_wmb(m: Memory) -> None:
    """Order stores before with stores after."""


def folio_first_page(m: Memory, folio: int) -> int:
    """Return the number of the folio's first page, for a reader that is asked of another one (compound_head)."""
    return int(m.base[folio])


def folio_test_anon(m: Memory, folio: int) -> int:
    """Return whether the folio is anonymous memory (KSM included)."""
    return int(m.kind[folio] in _ANON)


def folio_test_shmem(m: Memory, folio: int) -> int:
    """Return whether the folio belongs to shmem (folio_test_swapbacked of a folio that is not anon)."""
    return int(m.kind[folio] == _SHMEM)


def folio_test_hugetlb(m: Memory, folio: int) -> int:
    """Return whether the folio is a hugetlb one."""
    return int(m.kind[folio] == _HUGETLB)


def folio_maybe_dma_pinned(m: Memory, folio: int) -> int:
    """Return whether someone may have pinned the folio for DMA: of the surroundings, not a scheme's word."""
    return m.pinned[folio]


def current_mm(m: Memory, folio: int) -> int:
    """Return an address space that maps the folio, 0 if none does: whoever asks a reader has it mapped as a rule."""
    return m.looked[folio].mapper


def lookup_page_table(m: Memory, folio: int) -> int:
    """
    Look how many pages of the folio the page table at hand maps within the VMA at hand, those of this very change left out.

    Of a mapping and a dup what was there before, of an unmapping what is left; a PMD entry maps all. It reads as many
    entries as the folio has pages. The page-table lock, which the caller holds, keeps all others away.
    """
    m.look(1 << m.orders[folio])
    return m.looked[folio].here


def lookup_vma(m: Memory, folio: int) -> int:
    """
    Look as lookup_page_table does, in all page tables of the VMA at hand.

    A folio that lies across the end of a page table is in two of them, of which only one is locked.
    """
    m.look(1 << m.orders[folio])
    return m.looked[folio].in_vma


def lookup_vmas(m: Memory, folio: int) -> int:
    """
    Walk the rmap of the folio and return the VMAs that map any of it; in an unmapping those that are left.

    It reads as many entries of each of them as the folio has pages, and takes locks that no unmapping can take in a kernel
    as it is: those of the tree of VMAs, and the page tables' one after the other.
    """
    vmas = m.vmas(folio)
    m.look(vmas << m.orders[folio])
    return vmas


def folio_test_partially_mapped(m: Memory, folio: int) -> int:
    """Return PG_partially_mapped, which deferred_split_folio sets (6.12 and later)."""
    return m.partially_mapped[folio]


def mod_stat(m: Memory, folio: int, stat: int, pages: int) -> None:
    """Change a statistic of the folio's node and memory cgroup by so many pages (NR_ANON_MAPPED, ...)."""
    m.stats[stat][folio] += pages


def deferred_split_folio(m: Memory, folio: int, order: int) -> None:
    """
    Tell that rmap found an anon folio partially mapped: it is queued to be split, unless of order 1 or in the swap cache.

    Sets PG_partially_mapped (sticky until it is split or freed) where the kernel has that. Source: mm/huge_memory.c
    deferred_split_folio(), 6.12: commit 8422acdc97ed ("mm: introduce a pageflag for partially mapped folios").
    """
    if order > 1 and not m.swapcache[folio]:
        m.deferred[folio] = 1
        m.partially_mapped[folio] = 1
