"""Costs as evidence: what operations and readers do to the words of designs on a folio of 2 MiB (cost/), design by design."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.cost.operations import find_operations
from mapcount.cost.price import price
from mapcount.cost.readers import reader_prices
from mapcount.schemes.catalogue import find_scheme

if TYPE_CHECKING:
    from mapcount.cost.price import Price
    from mapcount.cost.readers import ReaderPrice

PMD_ORDER = 9
ERAS = {
    "nr-pages-mapped": "6.2 to 6.9",
    "total-mapcount": "the patch of the thread",
    "large-mapcount": "6.12 to 6.14",
    "mm-id": "6.15 and later",
    "no-page-mapcount": "the same, without counts per page",
}
"""The designs that most answers compare, and the kernels that have them."""


def operation_price(scheme: str, operation: str, *, at_once: bool) -> Price:
    """Return what an operation of `mapcount cost` takes: with all pages in one call, or page by page (references, too)."""
    [found] = find_operations([operation])
    return price(find_scheme(scheme), found, PMD_ORDER, rmap_batched=at_once, references_batched=at_once)


def reader_price(scheme: str, reader: str) -> ReaderPrice:
    """Return what asking takes once, of a folio that two processes map by PTEs. Raises StopIteration for no such reader."""
    return next(one for one in reader_prices([find_scheme(scheme)], [PMD_ORDER]) if one.reader == reader)
