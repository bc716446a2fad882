"""Compiling several schemes at once, one process for each CPU: the first comparison need not do one after the other."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

from mapcount.replay.engine import is_quick
from mapcount.replay.module_cache import can_keep

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mapcount.mapping.schema import U8


def compile_schemes(scheme_ids: Sequence[str], orders: U8, replays: int, *, say: Callable[[str], None]) -> None:
    """
    Compile those of the catalogue's schemes that so many replays over such folios want compiled, and that are not yet.

    `say` is told before it begins. What fails here is left to who needs the scheme: the same error comes up there.
    """
    from mapcount.schemes.catalogue import find_scheme

    cold = [scheme_id for scheme_id in scheme_ids if not is_quick(find_scheme(scheme_id), orders, replays)]
    workers = min(len(cold), os.cpu_count() or 1)
    if workers < 2 or not can_keep():
        return
    say(f"compiling {len(cold)} ways of counting, once: some seconds for each")
    # spawn: numba and numpy may have threads, which a fork would leave behind.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(_compile, scheme_id) for scheme_id in cold]:
            done.exception()


def _compile(scheme_id: str) -> None:
    import numpy as np

    from mapcount.mapping.schema import MappingLog
    from mapcount.replay.compiled import CompiledReplay
    from mapcount.replay.result import FolioSpecs
    from mapcount.schemes.catalogue import find_scheme

    none = np.empty(0, np.uint8)
    running = CompiledReplay(find_scheme(scheme_id), FolioSpecs.of(none, none), None, cost=False)
    running.count(MappingLog.empty())
    running.result()
