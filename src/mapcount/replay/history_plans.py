"""Orders of events that end in the same mappings: what the histories of histories.py are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from mapcount.mapping.schema import Op
from mapcount.replay.history_rows import Block, Rows

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, Bools

Plan: TypeAlias = Callable[[Block], Iterator[Rows]]
"""Gives the rows of a block, stage by stage."""


def whole(block: Block) -> Iterator[Rows]:
    """Born whole, shared whole, then trimmed, each in the order of the mms."""
    yield block.stage(block.births())
    yield from _whole(block, np.arange(len(block.head)), gone_from=block.folios)


def shared_after_trim(block: Block) -> Iterator[Rows]:
    """Born whole; what nobody needs is unmapped, then the rest is shared, then the first mm unmaps what it does not need."""
    yield block.stage(block.births())
    anon, kept = block.anon(block.folio), block.kept(block.folio)
    first, others = np.flatnonzero(anon & block.leads), np.flatnonzero(anon & ~block.leads)
    alone, with_pmd = first[~kept[first]], first[kept[first]]
    unmapped = _unmapped_anon(block)
    yield block.stage(
        block.whole_by_gone(Op.FIRST_MAP, 0, unmapped),
        block.whole(Op.FIRST_MAP, first),
        block.maps(Op.MAP, ~anon[block.mapper]),
    )
    yield block.stage(block.whole_by_gone(Op.UNMAP, 0, unmapped))
    yield block.stage(block.splits(alone), block.trims_of_leaders(alone, unused=True))
    given = block.primary & (anon & ~block.leads & ~kept)[block.mapper]
    extra = block.extra & anon[block.mapper]
    shared_pmd = others[kept[others]]
    yield block.stage(
        block.whole(Op.DUP, shared_pmd),
        block.splits(shared_pmd),
        block.trims(shared_pmd),
        block.maps(Op.DUP, given),
        block.maps(Op.MAP, extra & ~block.leads[block.mapper]),
    )
    yield block.stage(
        block.splits(with_pmd),
        block.trims(with_pmd),
        block.trims_of_leaders(alone, unused=False),
        block.maps(Op.MAP, extra & block.leads[block.mapper]),
    )


def as_mapped(block: Block) -> Iterator[Rows]:
    """Mapped as it is now, and never otherwise, but for anon folios that PMDs and PTEs map."""
    yield block.stage(block.births())
    mixed = block.anon(block.folio) & block.mixed(block.folio)
    yield block.stage(block.maps(Op.MAP, ~mixed[block.mapper]))
    yield from _whole(block, np.flatnonzero(mixed), gone_from=np.empty(0, np.int64))


def _whole(block: Block, mappers: I64, *, gone_from: I64) -> Iterator[Rows]:
    """
    Let these mappers have anon folios whole and trim them, and map others on demand.

    Mms that are gone had those of the folios `gone_from` whole: anon ones that nobody maps any more, and if the history
    has such ancestors, all but hugetlb.
    """
    anon = mappers[block.anon(block.folio[mappers])]
    chosen: Bools = np.zeros(len(block.head), bool)
    chosen[mappers] = True
    is_anon = block.anon(block.entries.folio)
    new, on_demand = _folios_of_gone(block, gone_from)
    numbers = range(len(block.gone) if block.haunted else 1)
    for number in numbers:
        first = Op.DUP if number else Op.FIRST_MAP
        yield block.stage(
            block.whole_by_gone(first, number, new), block.whole_by_gone(Op.MAP, number, on_demand, ptes=True)
        )
    shared = ~block.leads[anon] | np.isin(block.folio[anon], new)
    yield block.stage(
        block.whole(np.where(shared, Op.DUP, Op.FIRST_MAP), anon),
        block.maps(Op.MAP, chosen[block.mapper] & ~is_anon),
    )
    for number in numbers:
        yield block.stage(
            block.whole_by_gone(Op.UNMAP, number, new), block.whole_by_gone(Op.UNMAP, number, on_demand, ptes=True)
        )
    extra = block.extra & chosen[block.mapper] & is_anon
    yield block.stage(block.splits(anon), block.trims(anon), block.maps(Op.MAP, extra))


def _unmapped_anon(block: Block) -> I64:
    return block.folios[block.anon(block.folios) & ~np.isin(block.folios, block.folio)]


def _folios_of_gone(block: Block, folios: I64) -> tuple[I64, I64]:
    """Return which of these folios mms that are gone had whole: as new ones, and by PTEs on demand."""
    mapped = np.isin(folios, block.folio)
    new = block.anon(folios) & (~mapped | block.haunted)
    on_demand = block.on_demand(folios) & mapped & block.haunted
    return folios[new], folios[on_demand]
