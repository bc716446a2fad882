"""A log of mappings: how who maps what changed, read batch by batch, with what must be known to replay it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mapcount.mapping import schema

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from mapcount.mapping.schema import U8, Bools, MappingLog


@dataclass(frozen=True)
class LogMetadata:
    """How a log came to be. Written as meta.json."""

    holds: str = "log"
    schema_version: int = schema.SCHEMA_VERSION
    mapcount_version: str = ""
    decided_by: str = ""
    """Whose policies made the decisions (reuse, deferred splits): an era, or `snapshot with history NAME`. Other schemes
    that count the same log do so in an open loop: they would perhaps have decided otherwise."""
    host: str = ""
    kernel_release: str = ""
    page_size: int = 4096
    pmd_order: int = 9
    command_line: str = ""
    notes: list[str] = field(default_factory=list)
    """Whatever else a reader must know, one sentence each."""


@dataclass(frozen=True, eq=False)
class Log:
    """
    The rows of a log, in order, and the folios that they are about.

    `batches` may be called again and again; each time it gives all rows anew, as MappingLog tables of some thousands of
    rows. Folios are numbered by their row in `orders` and `kinds` (mapping.schema.Kind), address spaces from 0.
    """

    meta: LogMetadata
    orders: U8
    kinds: U8
    swapcache: Bools
    """in the swap cache all along: no row is about that"""
    batches: Callable[[], Iterator[MappingLog]]

    def held(self) -> Log:
        """Return the same log with its rows in memory, some 50 bytes each: for who reads it again and again."""
        batches = tuple(self.batches())
        return replace(self, batches=lambda: iter(batches))

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> int:
        """Write a .maplog directory; return its bytes. As Snapshot.save, but batch by batch."""
        from mapcount.mapping.log_store import save

        return save(self, path, force=force)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Log:
        """Open a .maplog directory. Raises BadLogError if it is none; a damaged batch shows when it is read."""
        from mapcount.mapping.log_store import load

        return load(path)
