"""Replay in plain Python, on schemes/memory.py: the reference of the compiled one, and what runs where there is no llvmlite."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Level, Op
from mapcount.replay.check_rows import bad_row, first_bad_row
from mapcount.replay.cost import COST_COLUMNS, COUNTED, Costs
from mapcount.replay.looks import Looks
from mapcount.replay.operations import array_type
from mapcount.replay.result import FolioSpecs, Replayed
from mapcount.schemes.looked import Looked
from mapcount.schemes.ops import Access
from mapcount.schemes.words import Scope

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools, MappingLog
    from mapcount.schemes.bind import BoundScheme
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Reader


class PlainReplay:
    """One scheme over some folios. `count` batch after batch, then `result`."""

    def __init__(self, scheme: BoundScheme, folios: FolioSpecs, swapcache: Bools | None, *, cost: bool) -> None:
        self._scheme, self._folios = scheme, folios
        self._memory = scheme.memory(folios.orders.tolist(), folios.kinds.tolist(), record=cost)
        if swapcache is not None:
            self._memory.swapcache = [int(bit) for bit in swapcache]
        self._costs = Costs.none() if cost else None
        # Where a word is: in the page of the folio with that number, or (None) in every page.
        self._folio_page = {
            place.word.name: None if place.word.scope is Scope.PAGE else place.page for place in scheme.scheme.places
        }
        self._looks = Looks(folios) if scheme.lookups else None
        self._refused = 0
        self.struct_pages: set[int] = set()
        """With `cost`: pages of the folios whose struct pages were touched so far."""

    def copy(self) -> PlainReplay:
        """Return one that goes on from here apart, with no costs yet."""
        other = copy.copy(self)
        vars(other).update(
            _memory=self._memory.copy(),
            _costs=None if self._costs is None else Costs.none(),
            _looks=copy.deepcopy(self._looks),
            struct_pages=set(),
        )
        return other

    @property
    def costs(self) -> Costs | None:
        """The costs of all that was counted so far; they go on growing."""
        return self._costs

    def count(self, log: MappingLog) -> None:
        """Count rows of outcome DONE. Raises BadLogError for one that cannot be; those before it are counted."""
        columns = (log.op, log.level, log.folio_id, log.first_page, log.nr_pages, log.mm_id)
        wrong = first_bad_row(log, self._folios)
        rows = zip(*(column[:wrong].tolist() for column in columns), strict=True)
        looks = None if self._looks is None else self._looks.of(log, wrong).tolist()
        for number, (op, level, folio, first, nr, mm) in enumerate(rows):
            if looks is not None and op not in {Op.COLLAPSE, Op.FOLIO_SPLIT}:
                self._memory.looked[folio] = Looked(*looks[number])
            if op in {Op.BIRTH, Op.DEATH}:
                self._reset(folio)
            elif op in COUNTED:
                page = self._memory.base[folio] + (first if level == Level.PTE else 0)
                order = self._memory.orders[folio]
                # A log numbers its mms from 0; for a scheme 0 is nobody.
                refused = self._scheme.functions["apply"](self._memory, op, level, folio, order, page, nr, mm + 1)
                self._refused += int(refused)
                if self._costs is not None:
                    self._add_cost(self._costs.table[op, level, order], folio, nr)
        if wrong is not None:
            raise bad_row(log, wrong, self._folios)

    def result(self) -> Replayed:
        """Return the words as they are now, and what the readers say."""
        m = self._memory
        words = {
            place.word.name: np.array(m.words[place.word.name], array_type(place.word))
            for place in self._scheme.scheme.places
        }
        touched, m.touched = m.touched, None
        answers = {
            reader.name: self._ask(reader)
            for reader in self._scheme.scheme.readers
            if reader.name in self._scheme.functions
        }
        m.touched = touched
        return Replayed(
            self._scheme,
            self._folios,
            words,
            np.array(m.stats, np.int64),
            np.array(m.deferred, bool),
            np.array(m.partially_mapped, bool),
            answers,
            self._refused,
            self._costs,
        )

    def _reset(self, folio: int) -> None:
        m = self._memory
        base, end = m.base[folio], m.base[folio] + (1 << m.orders[folio])
        for place in self._scheme.scheme.places:
            values = m.words[place.word.name]
            if place.word.scope is Scope.PAGE:
                values[base:end] = [place.word.bias] * (end - base)
            else:
                values[folio] = place.word.bias
        for flags in (m.deferred, m.partially_mapped, *m.stats):
            flags[folio] = 0

    def _ask(self, reader: Reader) -> I64:
        m: Memory = self._memory
        function = self._scheme.functions[reader.name]
        answers = []
        for folio, (order, base) in enumerate(zip(m.orders, m.base, strict=True)):
            pages = range(base, base + (1 << order)) if reader.per_page else [base]
            answers += [int(function(m, folio, order, page)) for page in pages]
        return np.array(answers, np.int64)

    def _add_cost(self, sums: I64, folio: int, nr: int) -> None:
        touched = self._memory.touched
        assert touched is not None
        base = self._memory.base[folio]
        lines = {at if (page := self._folio_page[word]) is None else base + page for _, word, at in touched}
        self.struct_pages |= lines
        kinds = [touch.access for touch in touched]
        spent = {
            "operations": 1,
            "pages": nr,
            "locked": kinds.count(Access.LOCKED),
            "stores": kinds.count(Access.STORE),
            "loads": kinds.count(Access.LOAD),
            "lines": len(lines),
            "lookups": self._memory.lookups,
            "entries_read": self._memory.entries_read,
        }
        sums += [spent[name] for name in COST_COLUMNS]
        touched.clear()
        self._memory.lookups = self._memory.entries_read = 0
