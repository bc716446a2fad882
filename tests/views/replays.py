"""A scheme after the mappings of a snapshot, by plain-Python operations one run after the other: no engine is needed."""

from __future__ import annotations

import numpy as np

from mapcount.mapping.schema import Level, Op
from mapcount.replay.result import FolioSpecs, Replayed
from mapcount.schemes.catalogue import find_scheme

UNSEEN_MM = 1 << 20


def changes_of(snapshot):
    """Give (op, level, folio, first, nr, mm) that map what a snapshot says is mapped, in the order of its rows."""
    runs, unseen = snapshot.runs, snapshot.unseen
    for i in range(len(runs)):
        row = (runs.level[i], runs.folio_id[i], runs.first_page[i], runs.nr_pages[i], runs.mm_id[i] + 1)
        yield (Op.MAP, *map(int, row))
    for i in range(len(unseen)):
        for layer in range(int(unseen.mappings[i])):
            row = (unseen.folio_id[i], unseen.first_page[i], unseen.nr_pages[i], UNSEEN_MM + layer)
            yield (Op.MAP, int(Level.PTE), *map(int, row))


def replay(snapshot, scheme_id, changes=None):
    """Return a Replayed of the snapshot's folios after `changes` (`changes_of`, unless given)."""
    bound = find_scheme(scheme_id)
    folios = snapshot.folios
    specs = FolioSpecs.of(folios.order, folios.kind)
    memory = bound.memory(folios.order.tolist(), folios.kind.tolist())
    memory.swapcache = folios.swapcache.astype(int).tolist()
    for op, level, folio, first, nr, mm in changes_of(snapshot) if changes is None else changes:
        base = memory.base[folio]
        bound.functions["apply"](memory, op, level, folio, memory.orders[folio], base + first, nr, mm)
    answers = {}
    for reader in bound.scheme.readers:
        function = bound.functions[reader.name]
        answers[reader.name] = np.array(
            [
                function(memory, folio, order, memory.base[folio] + page)
                for folio, order in enumerate(memory.orders)
                for page in range(1 << order if reader.per_page else 1)
            ],
            np.int64,
        )
    return Replayed(
        scheme=bound,
        folios=specs,
        words={name: np.array(values) for name, values in memory.words.items()},
        stats=np.array(memory.stats, np.int64).reshape(len(memory.stats), len(folios)),
        deferred=np.array(memory.deferred, np.bool_),
        partially_mapped=np.array(memory.partially_mapped, np.bool_),
        answers=answers,
    )
