"""Random logs of a few folios: histories of schemes/history.py as rows, with births, deaths and refused rows between."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

import numpy as np

from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import Kind, Level, MappingLog, Op, Outcome
from mapcount.schemes.history import FolioSpec, World, random_wishes

PMD_ORDER = 3
FOLIOS = [
    FolioSpec(PMD_ORDER, Kind.ANON),
    FolioSpec(PMD_ORDER, Kind.SHMEM),
    FolioSpec(PMD_ORDER, Kind.FILE),
    FolioSpec(2, Kind.ANON),
    FolioSpec(0, Kind.ANON),
    FolioSpec(0, Kind.FILE),
    FolioSpec(PMD_ORDER, Kind.HUGETLB),
    FolioSpec(4, Kind.FILE),
    FolioSpec(5, Kind.ANON),
]


def rows_of(rows: list[tuple]) -> MappingLog:
    """Make a table of (op, level, folio, first, nr, mm, outcome)."""
    given = dict(
        zip(
            ("op", "level", "folio_id", "first_page", "nr_pages", "mm_id", "outcome"),
            zip(*rows, strict=True),
            strict=True,
        )
    )
    return MappingLog(
        **{
            field.name: np.array(given.get(field.name, range(len(rows))), field.metadata["dtype"])
            for field in fields(MappingLog)
        }
    )


def log_of_rows(rows: list[tuple], folios: list[FolioSpec], batch: int = 0) -> Log:
    table = rows_of(rows) if rows else MappingLog.empty()
    size = batch or max(len(rows), 1)

    def batches():
        for begin in range(0, len(table), size):
            yield table.take(slice(begin, begin + size))

    return Log(
        LogMetadata(decided_by="nobody"),
        np.array([spec.order for spec in folios], np.uint8),
        np.array([spec.kind for spec in folios], np.uint8),
        np.zeros(len(folios), bool),
        batches,
    )


@dataclass
class RandomLog:
    rows: list[tuple]
    world: World
    """who maps what after the last row"""

    @property
    def log(self) -> Log:
        return log_of_rows(self.rows, self.world.folios, batch=7)


def random_log(seed: int, steps: int = 97, folios: list[FolioSpec] = FOLIOS) -> RandomLog:
    """Address spaces 1 to 4 of the history are 0 to 3 in the log. Nothing is pinned."""
    rng = random.Random(seed)
    world = World(folios, PMD_ORDER)
    rows: list[tuple] = [(Op.BIRTH, 0, folio, 0, 1 << spec.order, 0, 0) for folio, spec in enumerate(folios)]
    for wish in random_wishes(rng, folios, steps, 4):
        if wish.what == "pin":
            # Something a scheme must not count: it did not happen, or consists of other rows.
            op, outcome = rng.choice([(Op.MAP, 1), (Op.DUP, 1), (Op.FOLIO_SPLIT, 0), (Op.COLLAPSE, 0)])
            rows.append((op, Level.PTE, wish.folio, 0, 1, 0, outcome))
            continue
        rows += [
            (change.op, change.level, change.folio, change.first, change.nr, change.mm - 1, Outcome.DONE)
            for change in world.grant(wish)
        ]
        if rng.random() < 0.03 and folios[wish.folio].kind == Kind.ANON and not world.truths[wish.folio].entries():
            rows.append((Op.DEATH, 0, wish.folio, 0, 1 << folios[wish.folio].order, 0, 0))
            world._born[wish.folio] = False
    return RandomLog(rows, world)
