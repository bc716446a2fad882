"""What the one who asks gives: the mappings of a machine, taken when a question needs them and only once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from mapcount.mapping.snapshot import Snapshot


class Taken(NamedTuple):
    """A snapshot that holds folios, and whose it is, as the beginning of a sentence."""

    snapshot: Snapshot
    whose: str


class Given:
    """Where evidence about a machine comes from."""

    def __init__(self, take: Callable[[], Taken]) -> None:
        self._take = take

    @cached_property
    def taken(self) -> Taken:
        """The machine. Raises what `take` raises."""
        return self._take()
