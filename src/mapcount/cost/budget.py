"""The struct page budget: what 64, 32, 16 or 8 bytes a page mean for a machine, and which designs still fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.schemes.footprint import GIB, STRUCT_PAGE_SIZES, fit
from mapcount.schemes.words import STRUCT_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mapcount.schemes.bind import BoundScheme


@dataclass(frozen=True)
class Budget:
    """One size of struct page. Sizes in bytes."""

    struct_page_bytes: int
    memmap_bytes_per_gib: int
    memmap_bytes: int
    """of the machine's memory"""
    saved_bytes: int
    """of the machine's memory, beside today's struct page"""
    fits: tuple[str, ...]
    """schemes that it has room for"""
    fits_not: tuple[str, ...]


def budget(schemes: Sequence[BoundScheme], memory_bytes: int) -> list[Budget]:
    """Return what each size of struct page takes of a machine with so much memory of 4 KiB pages."""
    rows = []
    for size in STRUCT_PAGE_SIZES:
        fits = {scheme.id: fit(scheme.scheme, size) for scheme in schemes}
        per_gib = next(iter(fits.values())).memmap_bytes_per_gib
        taken = memory_bytes * per_gib // GIB
        rows.append(
            Budget(
                size,
                per_gib,
                taken,
                taken * STRUCT_PAGE_BYTES // size - taken,
                tuple(name for name, one in fits.items() if one.fits),
                tuple(name for name, one in fits.items() if not one.fits),
            )
        )
    return rows
