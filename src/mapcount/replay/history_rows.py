"""The rows that histories are made of, for a block of folios at a time: folios do not depend on each other.

A mapper is an mm that maps a folio. Its entries are the mappings of it that the snapshot has; all but overlapping ones can
be what is left of one mapping of the whole folio: they are `primary`. The others (an mm that maps a page twice) are
mapped in addition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mapcount.mapping.schema import Kind, Level, Op
from mapcount.replay.entries import NO_VMA

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, U8, U32, Bools
    from mapcount.replay.entries import Entries

_ROW = np.dtype(
    [
        ("key", np.int64),  # the order of rows within a stage
        ("op", np.uint8),
        ("mm_id", np.uint32),
        ("vma_id", np.uint32),
        ("address", np.uint64),
        ("folio_id", np.uint32),
        ("first_page", np.uint32),
        ("nr_pages", np.uint32),
        ("level", np.uint8),
    ]
)
Rows: TypeAlias = npt.NDArray[np.void]
_STEPS = 4
"""What a mapper does within a stage has keys from _STEPS times its number on."""
_FAR = np.int64(1) << 32
"""More than the pages of any folio."""


class Block:
    """Mappers and entries of some folios, and the rows that histories are made of."""

    def __init__(
        self,
        entries: Entries,
        folios: I64,
        orders: U8,
        kinds: U8,
        *,
        page_size: int,
        pmd_order: int,
        gone: U32,
        haunted: bool,
    ) -> None:
        self._page_size, self._pmd_order, self.gone, self.haunted = page_size, pmd_order, gone, haunted
        self.entries, self.folios = entries, folios
        self._orders, self._kinds = orders.astype(np.int64), kinds
        folio, mm = entries.folio, entries.mm
        begins = np.ones(len(entries), bool)
        begins[1:] = (folio[1:] != folio[:-1]) | (mm[1:] != mm[:-1])
        self.mapper = np.cumsum(begins) - 1
        """Of an entry."""
        self.head = np.flatnonzero(begins)
        """The first entry of each mapper."""
        self.folio = folio[self.head]
        """The folio of each mapper."""
        self.leads = np.ones(len(self.head), bool)
        """The mapper is the first of its folio."""
        self.leads[1:] = self.folio[1:] != self.folio[:-1]
        self.begin = entries.address[self.head] - entries.first[self.head].astype(np.uint64) * np.uint64(page_size)
        """Where a mapper has, or would have, the folio's first page."""
        self._decide_levels()

    def _decide_levels(self) -> None:
        entries, total = self.entries, len(self._orders)
        any_pmd, any_pte = np.zeros(total, bool), np.zeros(total, bool)
        any_pmd[entries.folio[entries.level != Level.PTE]] = True
        any_pte[entries.folio[entries.level == Level.PTE]] = True
        aligned = self.begin % np.uint64(self._page_size << self._pmd_order) == 0
        born = any_pmd.copy()
        born[self.folio[self.leads & aligned]] = True
        mapped = np.zeros(total, bool)
        mapped[self.folio] = True
        self._by_pmd: Bools = (born | ~mapped) & (self._orders == self._pmd_order)
        """By folio: it was mapped by a PMD when it was new."""
        self._mixed: Bools = any_pmd & any_pte
        self.keeps_pmd = self._by_pmd[self.folio] & (entries.level[self.head] != Level.PTE)
        """The mapper still has that PMD."""
        self._kept_by_folio: Bools = np.zeros(total, bool)
        self._kept_by_folio[self.folio[self.keeps_pmd]] = True
        self._find_primary()

    def _find_primary(self) -> None:
        entries, mapper = self.entries, self.mapper
        candidate = (entries.level == Level.PTE) & ~self.keeps_pmd[mapper]
        end = np.where(candidate, entries.first + entries.nr, 0) + mapper * _FAR
        before = np.concatenate([[0], np.maximum.accumulate(end)[:-1]]) if len(end) else end
        self.primary: Bools = candidate & (entries.first + mapper * _FAR >= before)
        kept = np.zeros(len(entries), bool)
        kept[self.head[self.keeps_pmd]] = True
        self.extra: Bools = ~self.primary & ~kept

    # Which folios and mappers.

    def anon(self, folio: I64) -> Bools:
        """Tell which of these folios are anon (KSM is not: it is mapped on demand)."""
        found: Bools = self._kinds[folio] == Kind.ANON
        return found

    def on_demand(self, folio: I64) -> Bools:
        """Tell which of these folios are neither anon nor hugetlb."""
        found: Bools = ~np.isin(self._kinds[folio], (Kind.ANON, Kind.HUGETLB))
        return found

    def mixed(self, folio: I64) -> Bools:
        """Tell which of these folios both PMDs and PTEs map."""
        return self._mixed[folio]

    def kept(self, folio: I64) -> Bools:
        """Tell which of these folios PMDs that were there at first still map."""
        return self._kept_by_folio[folio]

    def pages(self, folio: I64) -> I64:
        """Return the pages of these folios."""
        return np.left_shift(np.int64(1), self._orders[folio])

    # Rows.

    def births(self) -> Rows:
        """Every folio begins."""
        return self._rows(Op.BIRTH, self.folios, mm=self.gone[0], first=0, nr=self.pages(self.folios), key=self.folios)

    def whole(self, op: Op | npt.NDArray[Any], mappers: I64) -> Rows:
        """These mappers map, or are given, the whole folio."""
        folio = self.folio[mappers]
        level = np.where(self._by_pmd[folio], Level.PMD, Level.PTE)
        key = mappers * _STEPS
        return self._of_mappers(op, mappers, first=0, nr=self.pages(folio), level=level, key=key)

    def whole_by_gone(self, op: Op, number: int, folio: I64, *, ptes: bool = False) -> Rows:
        """An mm that is gone by now maps, is given or unmaps the whole of these folios."""
        level = np.where(self._by_pmd[folio] & (not ptes), Level.PMD, Level.PTE)
        key = folio * _STEPS + number
        return self._rows(op, folio, mm=self.gone[number], first=0, nr=self.pages(folio), level=level, key=key)

    def splits(self, mappers: I64) -> Rows:
        """Those of these mappers that keep no PMD replace theirs by PTEs."""
        mappers = mappers[self._by_pmd[self.folio[mappers]] & ~self.keeps_pmd[mappers]]
        nr = self.pages(self.folio[mappers])
        return self._of_mappers(Op.SPLIT_MAPPING, mappers, first=0, nr=nr, level=Level.PMD, key=mappers * _STEPS + 1)

    def trims(self, mappers: I64) -> Rows:
        """Those of these mappers that keep no PMD unmap what their primary entries do not map."""
        mappers = mappers[~self.keeps_pmd[mappers]]
        chosen = np.zeros(len(self.head), bool)
        chosen[mappers] = True
        rows = np.flatnonzero(self.primary & chosen[self.mapper])
        nr_pages = self.pages(self.folio[mappers])
        # A last, empty one behind the folio's last page closes each mapper.
        of = np.concatenate([self.mapper[rows], mappers])
        first = np.concatenate([self.entries.first[rows], nr_pages])
        end = np.concatenate([self.entries.first[rows] + self.entries.nr[rows], nr_pages])
        order = np.argsort(of, kind="stable")
        of, first, end = of[order], first[order], end[order]
        before = np.zeros(len(of), np.int64)
        before[1:] = np.where(of[1:] == of[:-1], end[:-1], 0)
        gap = first > before
        return self._unmaps(of[gap], before[gap], (first - before)[gap])

    def trims_of_leaders(self, mappers: I64, *, unused: bool) -> Rows:
        """Let these mappers, one a folio, unmap what no primary entry maps (`unused`), or the rest that is not theirs."""
        folio = self.folio[mappers]
        base = np.cumsum(self.pages(folio)) - self.pages(folio)
        place = np.full(len(self._orders), -1, np.int64)
        place[folio] = base
        total = int(self.pages(folio).sum())
        rows = np.flatnonzero(self.primary & (place[self.entries.folio] >= 0))
        mine = np.isin(self.mapper[rows], mappers)
        by_any, by_mine = self._covered(rows, place, total), self._covered(rows[mine], place, total)
        wanted = ~by_any if unused else by_any & ~by_mine
        wanted_before = np.concatenate([[False], wanted[:-1]]) if total else wanted
        begins = np.zeros(total, bool)
        begins[base] = True
        starts = np.flatnonzero(wanted & (begins | ~wanted_before))
        stops = np.flatnonzero(np.concatenate([wanted_before & (begins | ~wanted), wanted[-1:]]))
        which = np.searchsorted(base, starts, side="right") - 1
        return self._unmaps(mappers[which], starts - base[which], stops - starts)

    def _covered(self, rows: I64, place: I64, total: int) -> Bools:
        """Tell which pages, laid out one folio after the other from `place` on, these entries map."""
        change = np.zeros(total + 1, np.int64)
        first = place[self.entries.folio[rows]] + self.entries.first[rows]
        np.add.at(change, first, 1)
        np.add.at(change, first + self.entries.nr[rows], -1)
        covered: Bools = np.cumsum(change)[:-1] > 0
        return covered

    def _unmaps(self, mappers: I64, first: I64, nr: I64) -> Rows:
        return self._of_mappers(Op.UNMAP, mappers, first=first, nr=nr, level=Level.PTE, key=mappers * _STEPS + 2)

    def maps(self, op: Op, chosen: Bools) -> Rows:
        """The chosen entries are mapped as they are."""
        rows, entries = np.flatnonzero(chosen), self.entries
        return self._rows(
            op,
            entries.folio[rows],
            mm=entries.mm[rows],
            vma=entries.vma[rows],
            address=entries.address[rows],
            first=entries.first[rows],
            nr=entries.nr[rows],
            level=entries.level[rows],
            key=self.mapper[rows] * _STEPS + 3,
        )

    def stage(self, *parts: Rows) -> Rows:
        """Return rows in the order of their mappers; those of PTEs end where a page table does."""
        rows = np.concatenate(parts)
        return self._within_tables(rows[np.argsort(rows["key"], kind="stable")])

    def _within_tables(self, rows: Rows) -> Rows:
        page = (rows["address"] // np.uint64(self._page_size)).astype(np.int64)
        last = page + rows["nr_pages"] - 1
        tables = (last >> self._pmd_order) - (page >> self._pmd_order) + 1
        # A new folio is mapped by one call, at an aligned address; where it is now it may have been moved to.
        tables[(rows["level"] != Level.PTE) | np.isin(rows["op"], (Op.BIRTH, Op.FIRST_MAP)) | (tables < 1)] = 1
        if (tables == 1).all():
            return rows
        source = np.repeat(np.arange(len(rows)), tables)
        number = np.arange(len(source)) - np.repeat(np.cumsum(tables) - tables, tables)
        parts = rows[source]
        divided = tables[source] > 1
        begin = np.where(number > 0, ((page[source] >> self._pmd_order) + number) << self._pmd_order, page[source])
        end = np.minimum(((begin >> self._pmd_order) + 1) << self._pmd_order, last[source] + 1)
        parts["first_page"][divided] += (begin - page[source])[divided].astype(np.uint32)
        parts["address"][divided] = (begin * self._page_size)[divided].astype(np.uint64)
        parts["nr_pages"][divided] = (end - begin)[divided].astype(np.uint32)
        return parts

    def _of_mappers(
        self, op: Op | npt.NDArray[Any], mappers: I64, *, first: Any, nr: I64, level: Any, key: I64
    ) -> Rows:
        address = self.begin[mappers] + np.asarray(first, np.uint64) * np.uint64(self._page_size)
        head = self.head[mappers]
        return self._rows(
            op,
            self.folio[mappers],
            mm=self.entries.mm[head],
            vma=self.entries.vma[head],
            address=address,
            first=first,
            nr=nr,
            level=level,
            key=key,
        )

    def _rows(
        self,
        op: Any,
        folio: I64,
        *,
        mm: Any,
        first: Any,
        nr: Any,
        key: I64,
        vma: Any = NO_VMA,
        address: Any = 0,
        level: Any = Level.PTE,
    ) -> Rows:
        rows = np.empty(len(folio), _ROW)
        values = (key, op, mm, vma, address, folio, first, nr, level)
        for name, value in zip(_ROW.names or (), values, strict=True):
            rows[name] = value
        return rows
