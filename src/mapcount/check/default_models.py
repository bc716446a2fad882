"""The default set of models: what `mapcount check` explores when nothing is named. At most MOST_MODELS."""

from __future__ import annotations

from mapcount.check.cells import AT_REST, Cell
from mapcount.check.contexts import CONTEXTS
from mapcount.check.named import NAMED
from mapcount.schemes.catalogue import SCHEMES, find_scheme

MOST_MODELS = 150
PAGES = 2
"""Of the models with a reader, where a scheme counts folios of two pages; else LARGER."""
LARGER = 4
REST_WRITERS = ("halves",)
"""For the properties at rest, four pages: folios of two are never queued to be split."""


def default_cells(schemes: tuple[str, ...] = (), pages: int | None = None) -> tuple[Cell, ...]:
    """
    Return the cells of these schemes (default: all of the catalogue, without their variants), in the order of history.

    `pages` is the size of the folio instead of the default ones.
    """
    chosen = schemes or tuple(scheme.id for scheme in SCHEMES)
    cells = [cell for scheme in chosen for cell in _cells(scheme, pages)]
    named = [one.cell for one in NAMED.values() if one.cell.scheme in chosen]
    return tuple(dict.fromkeys([*cells, *named]))


def default_pages(scheme: str) -> int:
    """Return the pages of a scheme's models with a reader: two, or more where it does not count such folios."""
    return LARGER if 1 in find_scheme(scheme).scheme.unsupported_orders else PAGES


def _cells(scheme: str, pages: int | None) -> list[Cell]:
    size = pages or default_pages(scheme)
    found = [Cell(scheme, context.id, context.writers[0], size) for context in CONTEXTS.values() if context.by_default]
    return found + [Cell(scheme, AT_REST, writers, pages or LARGER) for writers in REST_WRITERS]
