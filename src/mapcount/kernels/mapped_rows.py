"""Pages that a process maps, one by one, as the rows of an observation: stretches of one folio, level and page table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mapcount.mapping.schema import Level
from mapcount.scenarios.observation import Mapped
from mapcount.scenarios.steps import place_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.scenarios.observation import Runs

_PMD_PAGES = 512


def mapped_rows(
    process: str,
    page: npt.NDArray[np.integer],
    pfn: npt.NDArray[np.integer],
    head: npt.NDArray[np.integer],
    level: npt.NDArray[np.integer],
    names: Mapping[int, str],
) -> list[Mapped]:
    """
    Cut pages, sorted and one element each, into runs that are consecutive in addresses and in frames.

    `head` is the frame of the folio's first page, by which `names` has the folio's name.
    """
    if not len(page):
        return []
    begins = (page % page.dtype.type(_PMD_PAGES) == 0) & (level != Level.PUD)
    begins[0] = True
    for column, step in ((page, 1), (pfn, 1), (head, 0), (level, 0)):
        begins[1:] |= column[1:] != column[:-1] + column.dtype.type(step)
    first = np.flatnonzero(begins)
    rows = []
    for at, nr_pages in zip(first.tolist(), np.diff(first, append=len(begins)).tolist(), strict=True):
        area, within = place_of(int(page[at]))
        of = int(head[at])
        rows.append(Mapped(process, area, within, names[of], int(pfn[at]) - of, nr_pages, Level(int(level[at]))))
    return rows


def run_lengths(values: npt.NDArray[np.integer]) -> Runs:
    """Return (value, pages) of the stretches of equal values."""
    if len(values) == 1:  # most folios have one page, and there may be hundreds
        return ((int(values[0]), 1),)
    first = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    return tuple(zip(values[first].tolist(), np.diff(first, append=len(values)).tolist(), strict=True))
