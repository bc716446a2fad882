"""The default set of models: what `mapcount check` explores when nothing is named. At most MOST_MODELS.

Its matrix is about folios of two and of four pages. Of the models with a reader the smaller folio is in the set, of those at
rest the larger one; the other size as well where it violates something else (`BOTH_SIZES`). That it does not anywhere else is
known from exploring all of them: tests/check/sizes.txt has every verdict at both sizes, and a test explores them anew. Whoever
names a scheme, or a reader, gets both sizes of everything.
"""

from __future__ import annotations

from mapcount.check.cells import AT_REST, Cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.named import NAMED
from mapcount.schemes.catalogue import SCHEMES, find_scheme

MOST_MODELS = 150
SIZES = (2, 4)
"""Pages of a folio, where a scheme counts folios of two; else four alone."""
REST_WRITERS = ("three-halves",)
"""For the properties at rest, three writers; folios of two pages are never queued to be split."""
BOTH_SIZES = frozenset(
    {
        ("double-map", "mapcount"),
        ("zero-one-many", "collapse"),
        ("nr-pages-mapped", "mapcount"),
        ("table-pairs", "collapse"),
        ("complete-mappings", "smaps"),
        ("complete-mappings", AT_REST),
    }
)
"""Schemes and callers whose models violate different properties with two pages and with four."""


def default_cells(schemes: tuple[str, ...] = (), pages: int | None = None) -> tuple[Cell, ...]:
    """
    Return the default set; or, of these schemes or of folios of so many pages, all cells, in the order of history.

    The variants of a scheme are not in the default set.
    """
    chosen = schemes or tuple(scheme.id for scheme in SCHEMES)
    cells = [cell for scheme in chosen for cell in _cells(scheme, (pages,) if pages else sizes_of(scheme))]
    if not schemes and not pages:
        cells = [cell for cell in cells if _is_in_the_set(cell)]
    named = [one.cell for one in NAMED.values() if one.cell.scheme in chosen]
    return tuple(dict.fromkeys([*cells, *named]))


def sizes_of(scheme: str) -> tuple[int, ...]:
    """Return the pages of the folios that a scheme is explored with."""
    return tuple(
        pages for pages in SIZES if pages.bit_length() - 1 not in find_scheme(scheme).scheme.unsupported_orders
    )


def _cells(scheme: str, sizes: tuple[int, ...]) -> list[Cell]:
    asked = [(context.id, context.writers[0]) for context in CONTEXTS.values() if context.by_default]
    asked += [(AT_REST, writers) for writers in REST_WRITERS]
    return [Cell(scheme, context, writers, pages) for context, writers in asked for pages in sizes]


def _is_in_the_set(cell: Cell) -> bool:
    sizes = sizes_of(cell.scheme)
    usual = max(sizes) if cell.context == AT_REST else min(sizes)
    return cell.pages == usual or (cell.scheme, cell.context) in BOTH_SIZES
