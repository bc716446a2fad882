"""Functions whose branches can be counted by hand."""

from __future__ import annotations

FAST = 0


def entry(a, b):
    """Six ways: `a`, `b`, and a loop."""
    if a and b:
        return helper(a)
    for _ in range(a):
        pass
    if FAST:
        return unreachable(a)
    return 0


def helper(a):
    """Two ways."""
    if a == 1:
        return 1
    return 2


def unreachable(a):
    """Two ways, but only if FAST."""
    return 1 if a else 2
