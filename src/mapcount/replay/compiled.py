"""Replay in machine code: the same result as the plain one, some hundred times faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.errors import SeparatePagesError
from mapcount.replay.check_rows import bad_row, first_bad_row
from mapcount.replay.cost import Costs
from mapcount.replay.emit import COLUMNS, FLAGS, GAPPED, readers_of
from mapcount.replay.looks import LOOKED, Looks
from mapcount.replay.machine_code import load_drivers
from mapcount.replay.operations import array_name, array_type
from mapcount.replay.result import FolioSpecs, Replayed
from mapcount.schemes.ops import NR_STATS
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools, MappingLog
    from mapcount.schemes.bind import BoundScheme


class CompiledReplay:
    """One scheme over some folios. `count` batch after batch, then `result`, once."""

    def __init__(self, scheme: BoundScheme, folios: FolioSpecs, swapcache: Bools | None, *, cost: bool) -> None:
        self._scheme, self._folios = scheme, folios
        self._drivers = load_drivers(scheme, cost=cost)
        self._costs = Costs.none() if cost else None
        self._words = {
            place.word.name: np.full(
                folios.nr_pages if place.word.scope is Scope.PAGE else len(folios),
                place.word.bias,
                array_type(place.word),
            )
            for place in scheme.scheme.places
        }
        self._stats = np.zeros((NR_STATS, len(folios)), np.int64)
        self._flags = {name: np.zeros(len(folios), np.uint8) for name in FLAGS}
        if swapcache is not None:
            self._flags["swapcache"][:] = swapcache
        arrays = {array_name(place.word): self._words[place.word.name] for place in scheme.scheme.places}
        self._arrays = arrays | self._flags | {"stats": self._stats}
        self._arrays |= {
            "orders": np.ascontiguousarray(folios.orders),
            "base_of": np.ascontiguousarray(folios.base),
            "kind": np.ascontiguousarray(folios.kinds),
        }
        self._looks = Looks(folios) if scheme.lookups else None
        if self._looks:
            self._arrays |= {name: np.zeros(len(folios), np.int64) for name in LOOKED}
        self._refused = 0

    def count(self, log: MappingLog) -> None:
        """Count rows of outcome DONE. Raises BadLogError for one that cannot be, SeparatePagesError with costs."""
        arrays = self._arrays | {name: np.ascontiguousarray(getattr(log, name)) for name in COLUMNS}
        if self._costs is not None:
            arrays["costs"] = self._costs.table
        if self._looks is not None:
            arrays["looks"] = self._looks.of(log, first_bad_row(log, self._folios))
        row, refused = self._drivers.run_rows(arrays, len(log))
        self._refused += refused
        if row == GAPPED:
            raise SeparatePagesError(
                f"{self._scheme.id}: one operation touched the words of pages that are not consecutive; "
                "cache lines are counted from the lowest to the highest, and would be wrong"
            )
        if row >= 0:
            raise bad_row(log, row, self._folios)

    def result(self) -> Replayed:
        """Return the words as they are now, and what the readers say."""
        by_folio, by_page = (readers_of(self._scheme, per_page=per_page) for per_page in (False, True))
        folio_answers = np.zeros((len(by_folio), len(self._folios)), np.int64)
        page_answers = np.zeros((len(by_page), self._folios.nr_pages), np.int64)
        drivers = self._drivers if self._costs is None else load_drivers(self._scheme)
        drivers.ask(self._arrays | {"by_folio": folio_answers, "by_page": page_answers}, self._folios.nr_pages)
        found: dict[str, I64] = dict(zip(by_folio, folio_answers, strict=True)) | dict(
            zip(by_page, page_answers, strict=True)
        )
        return Replayed(
            self._scheme,
            self._folios,
            self._words,
            self._stats,
            self._flags["deferred"].astype(bool),
            self._flags["partially_mapped"].astype(bool),
            {reader.name: found[reader.name] for reader in self._scheme.scheme.readers if reader.name in found},
            self._refused,
            self._costs,
        )
