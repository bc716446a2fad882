"""Memory models: what a thread may do out of its program's order. Sequential consistency, x86's TSO, and a weak one.

`sc`: every access happens in its place.
`tso`: plain stores wait in a buffer, first in, first out, that which gives a bit lock back among them; the thread's own loads
see them, LOCKed accesses and full barriers wait until it is empty. This is x86. Where counters change by LOCKed operations
alone it allows what `sc` allows; plain stores under a bit lock (6.15 and later) may be seen late by readers without that lock,
and by whoever unlocks and then reads another word.
`weak`: a plain store, and a read-modify-write that orders nothing (void and _relaxed ones whose value is not used), may be
done late: after later accesses to other words, up to the next access or barrier that orders, and in any order among
themselves; a release comes after all that stood before it. A reader's plain loads may be done early, in any order, up to the
last barrier before them; those of one word stay in order. Whatever `tso` allows is allowed. This is more than arm64 does in
some cases (it does not look at dependencies) and less than the kernel's own memory model in others (loads of operations keep
their place, so load buffering is not seen, and a load does not come after what follows it): it is not LKMM.

In both a call is over, and a lock is given back, when all that it put off is done. Source of the orders: atomic_t.txt and
memory-barriers.txt in Documentation/ of 7.1; ops.PRIMITIVES.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mapcount.check.effects import outcome
from mapcount.schemes.ops import Access, Ordering, Primitive

if TYPE_CHECKING:
    from mapcount.schemes.words import Word

MODELS = ("sc", "tso", "weak")
TITLES = {
    "sc": "sequentially consistent",
    "tso": "x86-TSO: plain stores may be seen late",
    "weak": "weak: loads early, unordered stores and read-modify-writes late; not LKMM",
}


class Late(NamedTuple):
    """An access that a thread has put off."""

    cell: int
    primitive: Primitive
    word: Word
    argument: int
    pc: int
    """where it stands in the program"""

    def value(self, old: int) -> int:
        """Return what the cell holds when it is done."""
        return outcome(self.primitive, self.word.width_bits, old, self.argument)[0]


def may_be_late(memory: str, primitive: Primitive) -> bool:
    """Return whether an access may be put off."""
    if memory == "sc":
        return False
    if primitive.access is Access.STORE:
        return primitive.ordering in {Ordering.NONE, Ordering.RELEASE}
    return memory == "weak" and primitive.access is Access.LOCKED and _orders_nothing(primitive)


def always_late(memory: str, primitive: Primitive) -> bool:
    """Return whether it always waits in the buffer first, as a plain store does on x86."""
    return memory == "tso" and may_be_late(memory, primitive)


def _orders_nothing(primitive: Primitive) -> bool:
    return primitive.ordering is Ordering.NONE and primitive.result == "none"


def waits_for_late(memory: str, primitive: Primitive, cell: int, late: tuple[Late, ...]) -> bool:
    """Return whether an access has to wait until what was put off is done."""
    if not late:
        return False
    if memory == "tso":
        return primitive.access is Access.LOCKED
    ordered = primitive.ordering in {Ordering.FULL, Ordering.RELEASE}
    return ordered or any(one.cell == cell for one in late)


def barrier_waits(memory: str, primitive: Primitive, late: tuple[Late, ...]) -> bool:
    """Return whether a barrier has to wait until what was put off is done."""
    if memory == "tso":
        return bool(late) and primitive.ordering is Ordering.FULL
    return bool(late) and primitive.ordering in {Ordering.FULL, Ordering.WRITE}


def forwarded(cell: int, late: tuple[Late, ...]) -> int | None:
    """Return what a thread's own load sees of the store that it put off; None: it has to look."""
    own = [one for one in late if one.cell == cell]
    return own[-1].value(0) if own and own[-1].primitive.access is Access.STORE else None


def may_be_done(memory: str, late: tuple[Late, ...]) -> tuple[int, ...]:
    """Return which of the accesses that were put off may be done next, by number: of one word the oldest, a release first."""
    if memory == "tso":
        return (0,) if late else ()
    cells = [one.cell for one in late]
    released = [one.primitive.ordering is Ordering.RELEASE for one in late]
    return tuple(n for n, cell in enumerate(cells) if cell not in cells[:n] and not (n and released[n]))


def ends_early_loads(primitive: Primitive) -> bool:
    """Return whether loads behind an access or a barrier may not be done before it."""
    return primitive.ordering in {Ordering.FULL, Ordering.ACQUIRE, Ordering.READ}
