"""Rows by kind and order: how much memory is in folios of each size, how it is mapped, and what nobody maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Kind
from mapcount.survey.coverage import total_by
from mapcount.survey.small import join_small
from mapcount.survey.types import SizeRow

if TYPE_CHECKING:
    from mapcount.mapping.schema import I64, U8, Bools, Runs
    from mapcount.survey.facts import Facts

_ORDERS = 64
"""More than any order there is: kind * _ORDERS + order numbers the rows."""


def size_rows(facts: Facts) -> list[SizeRow]:
    """Return one row per kind and order that occurs, by kind, then order."""
    folios, page = facts.snapshot.folios, facts.snapshot.meta.page_size
    code = folios.kind.astype(np.int64) * _ORDERS + folios.order
    occurs = np.bincount(code, minlength=1) > 0
    rows = np.flatnonzero(occurs)
    cell = (np.cumsum(occurs) - 1)[code]

    def count(chosen: Bools) -> list[int]:
        return np.bincount(cell[chosen], minlength=len(rows)).tolist()  # type: ignore[no-any-return]

    def size(pages: I64) -> list[int]:
        return (total_by(cell, pages, len(rows)) * page).tolist()  # type: ignore[no-any-return]

    mapped, by_pmd, by_pte = facts.mapped_pages, facts.by_pmd, facts.by_pte
    columns: dict[str, list[int]] = {
        "folios": np.bincount(cell, minlength=len(rows)).tolist(),
        "bytes": size(facts.pages),
        "mapped_bytes": size(mapped),
        "fully_mapped": count(mapped == facts.pages),
        "partially_mapped": count(facts.partial),
        "unmapped_bytes": size(facts.unmapped_pages),
        "wasted_bytes": size(facts.wasted_pages),
        "exclusive": count(facts.exclusive),
        "shared": count(facts.shared),
        "unknown": count((mapped > 0) & ~facts.exclusive & ~facts.shared),
        "pmd_mapped_bytes": size(np.where(by_pmd, facts.pages, 0)),
        "pmd_only": count(by_pmd & ~by_pte),
        "pte_only": count(by_pte & ~by_pmd),
        "pmd_and_pte": count(by_pmd & by_pte),
    }
    columns |= _run_columns(facts.snapshot.runs, folios.order, cell, len(rows), page)
    contiguous = _contiguous(facts, cell, rows % _ORDERS)
    large = [
        SizeRow(
            kind=Kind(row // _ORDERS).name.lower(),
            order=row % _ORDERS,
            folio_bytes=page << row % _ORDERS,
            contiguous_bytes=contiguous[i],
            **{name: values[i] for name, values in columns.items()},
        )
        for i, row in enumerate(rows.tolist())
    ]
    return sorted(_small_rows(facts) + large, key=lambda row: (Kind[row.kind.upper()], row.order))


def _shift(runs: Runs, page_size: int) -> I64:
    """Return how many pages the address of each run is off its place in the folio: low zero bits are alignment."""
    shift: I64 = (runs.address // page_size).astype(np.int64) - runs.first_page
    return shift


def _run_columns(runs: Runs, order: U8, cell: I64, rows: int, page: int) -> dict[str, list[int]]:
    row = cell[runs.folio_id]
    aligned = _shift(runs, page) & ((1 << order.astype(np.int64)) - 1)[runs.folio_id] == 0

    def size(pages: I64) -> list[int]:
        return (total_by(row, pages, rows) * page).tolist()  # type: ignore[no-any-return]

    pages = runs.nr_pages.astype(np.int64)
    return {"run_bytes": size(pages), "aligned_bytes": size(pages * aligned)}


def _contiguous(facts: Facts, cell: I64, order_of_row: I64) -> list[dict[str, int]]:
    """Return, by row and block size, the bytes of runs in whole blocks that are aligned in address and folio alike."""
    runs, page = facts.snapshot.runs, facts.snapshot.meta.page_size
    found: list[dict[str, int]] = [{} for _ in order_of_row]
    shift, pages = _shift(runs, page), facts.pages[runs.folio_id]
    # A whole folio at an aligned address is in blocks of every size; only the others need to be looked at for each.
    whole = (runs.nr_pages == pages) & (shift & (pages - 1) == 0)
    in_whole = total_by(cell[runs.folio_id[whole]], pages[whole], len(order_of_row))
    rest = np.flatnonzero(~whole)
    row, first, low_bits = cell[runs.folio_id[rest]], runs.first_page[rest].astype(np.int64), shift[rest]
    end = first + runs.nr_pages[rest]
    for k in range(1, int(order_of_row.max(initial=0)) + 1):
        # Runs shorter than a block, or not aligned to it, cannot hold a larger one either: they drop out for good.
        keep = (end >> k) > ((first - 1) >> k) + 1
        keep &= low_bits & ((1 << k) - 1) == 0
        if not keep.all():
            row, first, end, low_bits = row[keep], first[keep], end[keep], low_bits[keep]
        blocks = total_by(row, (end >> k) - ((first - 1) >> k) - 1, len(order_of_row))
        for i in np.flatnonzero(order_of_row >= k).tolist():
            found[i][str(page << k)] = int((blocks[i] << k) + in_whole[i]) * page
    return found


def _small_rows(facts: Facts) -> list[SizeRow]:
    small, page = join_small(facts.snapshot), facts.snapshot.meta.page_size
    rows = []
    for kind in np.flatnonzero(np.bincount(small.kind)).tolist():
        of_kind = small.kind == kind
        exclusive = int(small.pages[of_kind & small.exclusive].sum())
        shared = int(small.pages[of_kind & small.shared].sum())
        folios = int(small.pages[of_kind].sum())
        run_bytes = int(facts.snapshot.small.pages[facts.snapshot.small.kind == kind].sum()) * page
        rows.append(
            SizeRow(
                kind=Kind(kind).name.lower(),
                order=0,
                folio_bytes=page,
                folios=folios,
                bytes=folios * page,
                mapped_bytes=folios * page,
                fully_mapped=folios,
                partially_mapped=0,
                unmapped_bytes=0,
                wasted_bytes=0,
                exclusive=exclusive,
                shared=shared,
                unknown=folios - exclusive - shared,
                pmd_mapped_bytes=0,
                pmd_only=0,
                pte_only=folios,
                pmd_and_pte=0,
                aligned_bytes=run_bytes,
                run_bytes=run_bytes,
            )
        )
    return rows
