"""What a primitive does to the value of a word and what it returns, as ops.PRIMITIVES says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.memory import wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.schemes.ops import Primitive

TAKES_ARGUMENT = frozenset({"add", "sub", "store"})

_EFFECTS: dict[str, Callable[[int, int], int]] = {
    "add": lambda old, by: old + by,
    "sub": lambda old, by: old - by,
    "inc": lambda old, _: old + 1,
    "dec": lambda old, _: old - 1,
    "store": lambda _, value: value,
    "load": lambda old, _: old,
    "set": lambda _old, _: 1,
    "clear": lambda _old, _: 0,
    "lock": lambda _old, _: 1,
    "unlock": lambda _old, _: 0,
}
_RESULTS: dict[str, Callable[[int, int], int]] = {
    "none": lambda _old, _new: 0,
    "new": lambda _, new: new,
    "old": lambda old, _: old,
    "zero": lambda _, new: int(new == 0),
    "negative": lambda _, new: int(new < 0),
}


def is_known(primitive: Primitive) -> bool:
    """Return whether an access of this effect and result can be run."""
    return primitive.effect in _EFFECTS and primitive.result in _RESULTS


def blocks(primitive: Primitive, old: int) -> bool:
    """Return whether the thread has to wait: it wants a bit lock that is held."""
    return primitive.effect == "lock" and old != 0


def outcome(primitive: Primitive, width_bits: int, old: int, argument: int) -> tuple[int, int]:
    """Return (what the word holds then, what the primitive returns)."""
    new = wrap(_EFFECTS[primitive.effect](old, argument), width_bits)
    return new, _RESULTS[primitive.result](old, new)
