"""Folios by kind, order and state: whole or in part, of one address space or of several, both at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.survey.coverage import total_by
from mapcount.survey.small import join_small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mapcount.mapping.schema import U8
    from mapcount.survey.facts import Facts

WHOLE, WHOLE_SHARED, PART, PART_SHARED, UNKNOWN = range(5)
STATES = ("whole", "whole-shared", "part", "part-shared", "unknown")
"""
Names by code. `whole`: somebody maps every page; `part`: some pages, and surely not all. `-shared`: several address spaces
map it, else all mappings belong to one. `unknown`: one of the two cannot be said.
"""


@dataclass(frozen=True)
class StateRow:
    """All folios of one kind, order and state; bytes of order-0 folios are all mapped."""

    kind: str
    order: int
    state: str
    """One of STATES."""
    folios: int
    bytes: int
    mapped_bytes: int
    wasted_bytes: int


def state_codes(facts: Facts) -> U8:
    """Return the state of each large folio, an index into STATES."""
    whole, told = facts.mapped_pages == facts.pages, facts.exclusive | facts.shared
    code = np.where(whole, WHOLE, PART) + facts.shared
    return np.where(told & (whole | facts.partial), code, UNKNOWN).astype(np.uint8)


def state_rows(facts: Facts) -> list[StateRow]:
    """Return a row for each kind, order and state that occurs, in that order; order 0 from the aggregates."""
    rows = [*_small(facts), *_large(facts)]
    return sorted(rows, key=lambda row: (Kind[row.kind.upper()], row.order, STATES.index(row.state)))


def _large(facts: Facts) -> Iterator[StateRow]:
    folios, page = facts.snapshot.folios, facts.snapshot.meta.page_size
    key = (folios.kind.astype(np.int64) << 16) + (folios.order.astype(np.int64) << 8) + state_codes(facts)
    found, cell = np.unique(key, return_inverse=True)
    count = np.bincount(cell, minlength=len(found)).tolist()
    pages, mapped, wasted = (
        total_by(cell, values, len(found)).tolist() for values in (facts.pages, facts.mapped_pages, facts.wasted_pages)
    )
    for i, code in enumerate(found.tolist()):
        kind, order, state = Kind(code >> 16).name.lower(), code >> 8 & 0xFF, STATES[code & 0xFF]
        yield StateRow(kind, order, state, count[i], pages[i] * page, mapped[i] * page, wasted[i] * page)


def _small(facts: Facts) -> Iterator[StateRow]:
    small, page = join_small(facts.snapshot), facts.snapshot.meta.page_size
    for kind in np.unique(small.kind).tolist():
        of_kind = small.kind == kind
        whole, shared = (int(small.pages[of_kind & chosen].sum()) for chosen in (small.exclusive, small.shared))
        unknown = int(small.pages[of_kind].sum()) - whole - shared
        for state, pages in ((WHOLE, whole), (WHOLE_SHARED, shared), (UNKNOWN, unknown)):
            if pages:
                yield StateRow(Kind(kind).name.lower(), 0, STATES[state], pages, pages * page, pages * page, 0)
