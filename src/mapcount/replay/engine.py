"""Replay: a log, or a snapshot with a named history, through any schemes, one after the other."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mapcount.errors import BadLogError, SeparatePagesError, UsageError
from mapcount.mapping.schema import Outcome
from mapcount.mapping.snapshot import Snapshot
from mapcount.replay.compiled import CompiledReplay
from mapcount.replay.cost import MAX_ORDER
from mapcount.replay.histories import DEFAULT_HISTORY, log_of
from mapcount.replay.machine_code import is_kept
from mapcount.replay.plain import PlainReplay
from mapcount.replay.result import FolioSpecs, Replayed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mapcount.mapping.log import Log
    from mapcount.mapping.schema import U8, Bools, MappingLog
    from mapcount.schemes.bind import BoundScheme

ENGINES = ("auto", "compiled", "plain")


PLAIN_PAGES = 1 << 17
"""Up to so many pages, of all replays together, the plain engine takes no longer than compiling does (some 0.3 s)."""


class _Engine(Protocol):
    def __init__(self, scheme: BoundScheme, folios: FolioSpecs, swapcache: Bools | None, *, cost: bool) -> None: ...

    def count(self, log: MappingLog) -> None: ...

    def result(self) -> Replayed: ...


def replay(
    source: Log | Snapshot,
    schemes: Iterable[BoundScheme],
    *,
    history: str | None = None,
    cost: bool = False,
    engine: str = "auto",
    replays: int = 1,
) -> list[Replayed]:
    """
    Return what each scheme has counted after the last row of a log, in the order of `schemes`.

    A snapshot has no past: `history` names the one to assume (histories.HISTORIES; `whole-then-trimmed` unless told
    otherwise). `cost` counts what counting took. `engine` is `compiled`, `plain`, or `auto`: whichever is done first; the
    result is the same. `replays` tells it how many like this one there will be in all. Each scheme reads the log anew, in
    batches: memory is needed for folios, not for rows. The list holds the words of all schemes; who needs one at a time
    takes replay_each.

    Raises UsageError, BadLogError for a row that cannot be, SchemeSourceError for a scheme that cannot be compiled.
    """
    return list(replay_each(source, schemes, history=history, cost=cost, engine=engine, replays=replays))


def replay_each(
    source: Log | Snapshot,
    schemes: Iterable[BoundScheme],
    *,
    history: str | None = None,
    cost: bool = False,
    engine: str = "auto",
    replays: int = 1,
) -> Iterator[Replayed]:
    """Give what `replay` returns, one scheme at a time: whoever drops each before the next needs memory for one."""
    _check(engine)
    if isinstance(source, Snapshot):
        log = log_of(source, history or DEFAULT_HISTORY)
    elif history is not None:
        raise UsageError(f"history {history!r} was given, but a log has its own")
    else:
        log = source
    if len(log.orders) and log.orders.max() > MAX_ORDER:
        raise BadLogError(f"the log has a folio of order {log.orders.max()}; the largest possible is {MAX_ORDER}")
    folios = FolioSpecs.of(log.orders, log.kinds)
    kind = _engine(engine, folios.nr_pages * replays)
    return (_replay_one(log, folios, scheme, kind, cost=cost, other=engine == "auto") for scheme in schemes)


def to_compile(schemes: Iterable[BoundScheme], orders: U8, replays: int) -> int:
    """Return how many of these schemes so many replays over such folios will compile: some tenths of a second each."""
    pages = int(np.left_shift(1, orders.astype(np.int64)).sum())
    compiled = _engine("auto", pages * replays) is CompiledReplay
    return sum(compiled and not is_kept(scheme) for scheme in schemes)


def _replay_one(
    log: Log, folios: FolioSpecs, scheme: BoundScheme, kind: type[_Engine], *, cost: bool, other: bool
) -> Replayed:
    """Replay with an engine, or if it cannot count the costs and the `other` is allowed, from the beginning with that."""
    try:
        return _counted(log, folios, scheme, kind, cost=cost)
    except SeparatePagesError:
        if not other:
            raise
        return _counted(log, folios, scheme, PlainReplay, cost=cost)


def _counted(log: Log, folios: FolioSpecs, scheme: BoundScheme, kind: type[_Engine], *, cost: bool) -> Replayed:
    running = kind(scheme, folios, log.swapcache, cost=cost)
    for batch in log.batches():
        refused = batch.outcome != Outcome.DONE
        running.count(batch.take(np.flatnonzero(~refused)) if refused.any() else batch)
    return running.result()


def _check(name: str) -> None:
    if name not in ENGINES:
        raise UsageError(f"there is no engine {name!r}; there are: {', '.join(ENGINES)}")
    if name == "compiled" and not _llvmlite_is_installed():
        raise UsageError("llvmlite is not installed: pip install llvmlite, or leave the choice to engine='auto'")


def _engine(name: str, nr_pages: int) -> type[_Engine]:
    """Choose an engine; `nr_pages` are those of all replays that there will be."""
    if name != "auto":
        return CompiledReplay if name == "compiled" else PlainReplay
    return PlainReplay if nr_pages <= PLAIN_PAGES or not _llvmlite_is_installed() else CompiledReplay


def _llvmlite_is_installed() -> bool:
    return importlib.util.find_spec("llvmlite") is not None
