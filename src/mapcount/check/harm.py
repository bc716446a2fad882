"""What a wrong value amounts to: its class, and what comes of it for whoever relied on the property that it breaks."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Class(enum.Enum):
    """What a value amounts to, from the least to the worst."""

    STALE = "stale"
    """it was true, and may not be any more: accepted, no way of counting cures it"""
    ESTIMATE = "approximate by design"
    """it is wrong without any race too: the scheme guesses, or has given up exactness"""
    TORN = "torn"
    """it was never true; nobody comes to harm"""
    RECHECKED = "re-checked"
    """it was never true; the caller knows, and looks again before it acts"""
    CONSEQUENTIAL = "consequential"
    """it was never true, and the caller acts on it"""


class Harm(NamedTuple):
    """What comes of it when a property does not hold."""

    kind: Class
    damage: str
    recheck: str = ""
    """how the caller looks again; for RECHECKED alone"""


NOBODY = Harm(Class.TORN, "nobody is known to rely on it here")
"""Of a property that was asked for, and that the caller does not need."""
_SEVERITY = list(Class)


def worst(kinds: Iterable[Class]) -> Class:
    """Return the worst class of these. ValueError if there are none."""
    return max(kinds, key=_SEVERITY.index)
