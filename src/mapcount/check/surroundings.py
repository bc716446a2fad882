"""What a scheme asks and tells its surroundings (ops.py: `ask`, `tell`), as the checker sees it.

The kind of a folio and its pins do not change while a model runs: their answers are constants. PG_partially_mapped does, so
it is a word like those of the scheme. Statistics commute and no scheme reads them: changing one is a thread's own work.

What a look into a page table finds is a constant too: page-table locks keep all others away, and what a thread did before is
known. A walk of the rmap sees what others do, here all at once: a walk that takes one lock after the other sees more.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from mapcount.schemes import ops
from mapcount.schemes.ops import NR_STATS, Access, Primitive
from mapcount.schemes.words import Word, folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

PG_partially_mapped = folio_flag("PG_partially_mapped", "flags")
STATISTICS: tuple[Word, ...] = tuple(folio_word(f"stat {number}", width_bits=64) for number in range(NR_STATS))
"""Named as Memory.state() names them."""
VMAS = folio_word("VMAs that map")
VMAS_STATISTIC = NR_STATS
"""Changed like a statistic: an entry is set after it was counted, and cleared before it is taken off the counts."""

_ACCESSES = {
    "folio_test_partially_mapped": (
        Primitive("folio_test_partially_mapped", Access.LOAD, "load", "new"),
        PG_partially_mapped,
    ),
    "lookup_vmas": (Primitive("lookup_vmas", Access.LOAD, "load", "new"), VMAS),
    "deferred_split_folio": (Primitive("deferred_split_folio", Access.LOCKED, "set"), PG_partially_mapped),
}
_CONSTANT = frozenset(
    {
        "folio_first_page",
        "folio_test_anon",
        "folio_test_shmem",
        "folio_test_hugetlb",
        "folio_maybe_dma_pinned",
        "current_mm",
        "lookup_page_table",
        "lookup_vma",
    }
)


def constant_answer(name: str, memory: Memory) -> int | None:
    """Return what ops.py answers to a question that nothing in a model changes; None if it is not such a question."""
    return int(getattr(ops, name)(memory, 0)) if name in _CONSTANT else None


def shared_access(name: str) -> tuple[Primitive, Word] | None:
    """Return the access to a word of the surroundings that a question or a message is; None if it is none."""
    return _ACCESSES.get(name)


def is_queued(memory: Memory) -> bool:
    """Return whether deferred_split_folio does anything to folio 0, by asking ops.py."""
    tried = copy.deepcopy(memory)
    tried.partially_mapped[0] = 0
    ops.deferred_split_folio(tried, 0, tried.orders[0])
    return bool(tried.partially_mapped[0])
