"""Words of folios as rows of a snapshot's table `observed_words`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from mapcount.mapping.schema import ObservedWords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mapcount.scenarios.observation import FolioState, Runs

NOBODY, NOT_IN_THE_SNAPSHOT = -1, -2
"""Of a slot: free, and of an mm that is no row of `mms`."""


def words_table(states: Mapping[int, FolioState]) -> ObservedWords:
    """Return the rows of folios by id. In slots, processes must be named by their `mm_id`."""
    rows = [(folio_id, *row) for folio_id, state in sorted(states.items()) for row in _rows(state)]
    folio_id, word, first, nr_pages, value = zip(*rows, strict=True) if rows else [()] * 5
    names = np.empty(len(word), object)
    names[:] = word
    return ObservedWords(
        np.array(folio_id, np.uint32),
        names,
        np.array(first, np.uint32),
        np.array(nr_pages, np.uint32),
        np.array(value, np.int64),
    )


def _rows(state: FolioState) -> Iterator[tuple[str, int, int, int]]:
    """Yield word, first page, pages and value."""
    for name, value in state.words.items():
        if isinstance(value, int):
            yield name, 0, 1 << state.order, value
        elif name in {"_mm_id", "_mm_id_mapcount"}:
            for slot, one in enumerate(value):
                yield f"{name}[{slot}]", 0, 1 << state.order, _slot(one)
        else:
            first = 0
            for stored, nr_pages in cast("Runs", value):
                yield name, first, nr_pages, stored
                first += nr_pages


def _slot(value: object) -> int:
    if value is None:
        return NOBODY
    if isinstance(value, int):
        return value
    return int(str(value)) if str(value).isdecimal() else NOT_IN_THE_SNAPSHOT
