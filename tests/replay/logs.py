"""Random logs of a few folios: histories of schemes/history.py as rows, with births, deaths and refused rows between."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

import numpy as np

from mapcount.mapping.log import Log, LogMetadata
from mapcount.mapping.schema import Kind, Level, MappingLog, Op, Outcome
from mapcount.schemes.history import FolioSpec, World, random_wishes
from mapcount.schemes.looked import Looked

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


def rows_of(rows: list[tuple], addresses: list[int] | None = None) -> MappingLog:
    """Make a table of (op, level, folio, first, nr, mm, outcome)."""
    given = {} if addresses is None else {"address": addresses}
    given |= dict(
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


def log_of_rows(rows: list[tuple], folios: list[FolioSpec], batch: int = 0, addresses: list[int] | None = None) -> Log:
    table = rows_of(rows, addresses) if rows else MappingLog.empty()
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
    looked: list[Looked]
    """what look-ups find in each row, by brute force"""
    addresses: list[int]

    @property
    def log(self) -> Log:
        return log_of_rows(self.rows, self.world.folios, 7, self.addresses)


def random_log(seed: int, steps: int = 97, folios: list[FolioSpec] = FOLIOS) -> RandomLog:
    """Address spaces 1 to 4 of the history are 0 to 3 in the log. Nothing is pinned."""
    rng = random.Random(seed)
    world = World(folios, PMD_ORDER)
    looked, addresses = [Looked()] * len(folios), [0] * len(folios)
    rows: list[tuple] = [(Op.BIRTH, 0, folio, 0, 1 << spec.order, 0, 0) for folio, spec in enumerate(folios)]
    for wish in random_wishes(rng, folios, steps, 4):
        if wish.what == "pin":
            # Something a scheme must not count: it did not happen, or consists of other rows.
            op, outcome = rng.choice([(Op.MAP, 1), (Op.DUP, 1), (Op.FOLIO_SPLIT, 0), (Op.COLLAPSE, 0)])
            rows.append((op, Level.PTE, wish.folio, 0, 1, 0, outcome))
            looked.append(Looked())
            addresses.append(0)
            continue
        for change in world.grant(wish):
            rows.append((change.op, change.level, change.folio, change.first, change.nr, change.mm - 1, Outcome.DONE))
            truth = world.truths[change.folio]
            looked.append(truth.looked(change.mm, vma=change.vma, added=change.added))
            # Each VMA has a page table of its own for each folio.
            addresses.append(4096 * (512 * (1 + 2 * change.folio + change.vma) + change.first))
        if rng.random() < 0.03 and folios[wish.folio].kind == Kind.ANON and not world.truths[wish.folio].entries():
            rows.append((Op.DEATH, 0, wish.folio, 0, 1 << folios[wish.folio].order, 0, 0))
            looked.append(Looked())
            addresses.append(0)
            world._born[wish.folio] = False
    return RandomLog(rows, world, looked, addresses)
