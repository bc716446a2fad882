"""All schemes that ship, in the order of history. Adding one is a file, a line here, a test and a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.errors import UsageError
from mapcount.schemes import (
    complete_mappings,
    double_map,
    large_mapcount,
    mm_id,
    no_page_mapcount,
    nr_pages_mapped,
    original_thp,
    rmap_id,
    table_pairs,
    total_mapcount,
    total_mapped_pages,
    zero_one_many,
)
from mapcount.schemes.bind import BoundScheme, bind

if TYPE_CHECKING:
    from mapcount.schemes.scheme import Scheme

SCHEMES: tuple[Scheme, ...] = (
    original_thp.SCHEME,
    double_map.SCHEME,
    zero_one_many.SCHEME,
    nr_pages_mapped.SCHEME,
    table_pairs.SCHEME,
    total_mapcount.SCHEME,
    complete_mappings.SCHEME,
    rmap_id.SCHEME,
    large_mapcount.SCHEME,
    mm_id.SCHEME,
    no_page_mapcount.SCHEME,
    total_mapped_pages.SCHEME,
)

LOADED: dict[str, Scheme] = {}
"""Designs of this process, by id (load.py)."""


def scheme_ids() -> list[str]:
    """Return every id that `find_scheme` knows, variants after their scheme."""
    return [
        scheme.id if not variant else f"{scheme.id}:{variant}"
        for scheme in SCHEMES
        for variant in ("", *scheme.variants)
    ]


def find_scheme(scheme_id: str) -> BoundScheme:
    """Return the scheme of an id, `name` or `name:variant`. Raises UsageError that lists the known ones."""
    name, _, variant = scheme_id.partition(":")
    for scheme in (*SCHEMES, *LOADED.values()):
        if scheme.id == name:
            return bind(scheme, variant)
    raise UsageError(f"there is no scheme {scheme_id!r}; there are: {', '.join(scheme_ids())}")
