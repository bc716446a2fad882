"""Differences between model and kernel that are known and explained. Each has a reason, and a test that shows it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.schemes.eras import parse_release

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mapcount.agreement.differences import Difference


@dataclass(frozen=True)
class Allowance:
    """Kernels from `since` on and before `until`, the field, which differences of it, why, and where that is seen."""

    since: tuple[int, int]
    until: tuple[int, int]
    field: str
    applies: Callable[[Difference], bool]
    reason: str
    source: str


ALLOWED: tuple[Allowance, ...] = ()


def allowance_for(difference: Difference, release: str, allowed: Sequence[Allowance] = ALLOWED) -> Allowance | None:
    """Return why a difference from a kernel of that release is no mistake; None if it may be one."""
    version = parse_release(release)
    for one in allowed:
        if one.since <= version < one.until and one.field == difference.field and one.applies(difference):
            return one
    return None
