"""The words of a folio out of a guest's memory, by the names and in the form of scenarios/observation.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mapcount.kernels.mapped_rows import run_lengths
from mapcount.mapping.schema import Kind
from mapcount.scenarios.observation import FolioState

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from mapcount.kernels.guest_memory import GuestMemory
    from mapcount.kernels.layout import Layout
    from mapcount.mapping.schema import U8
    from mapcount.scenarios.observation import WordValue

_ANON, _KSM = 1, 3
"""PAGE_MAPPING_ANON, PAGE_MAPPING_KSM in the low bits of page->mapping."""
_MM_ID = 0x7FFFFFFF
_LARGE = ("compound_mapcount", "_entire_mapcount", "_large_mapcount", "_nr_pages_mapped")


@dataclass(frozen=True)
class RawFolio:
    """The struct pages of a folio: its head's frame, its order, what kind it is, and 64 bytes a page."""

    head: int
    order: int
    kind: Kind
    pages: U8
    mapping: int
    refcount: int
    is_zero: bool


def read_folio(memory: GuestMemory, head: int, *, hugetlb: bool = False) -> RawFolio:
    """Return the folio whose first page is frame `head`. Of what the kernel calls it only hugetlb must be told."""
    layout = memory.layout
    first = memory.pages(head, 1)
    flags = _u64(first, layout.page["flags"])
    order, pages = 0, first
    if flags >> layout.flags["head"] & 1:
        order = _order(layout, memory.pages(head, 2))
        pages = memory.pages(head, 1 << order)
    mapping = _u64(first, layout.page["mapping"])
    zero = bool(flags >> layout.flags["reserved"] & 1) or head == memory.huge_zero_pfn()
    kind = Kind.HUGETLB if hugetlb else _kind(mapping, swapbacked=bool(flags >> layout.flags["swapbacked"] & 1))
    return RawFolio(head, order, kind, pages, mapping, _s32(pages, layout.page["_refcount"]), zero)


def state_of(memory: GuestMemory, folio: RawFolio, processes: Mapping[int, str], *, page_mapcount: bool) -> FolioState:
    """Return a folio as observation.py has it; `processes` are names by the ids in _mm_ids."""
    layout, pages, words = memory.layout, folio.pages, dict[str, "WordValue"]()
    counts_pages = page_mapcount or not folio.order
    if folio.kind is not Kind.HUGETLB and counts_pages:
        words["_mapcount"] = run_lengths(_column(pages, layout.page["_mapcount"], "<i4"))
    if folio.order:
        for name in _LARGE:
            if name in layout.folio and (counts_pages or name != "_nr_pages_mapped"):
                words[name] = _s32(pages, layout.folio[name])
        words |= _slots(layout, pages, processes)
        if "compound_mapcount" in layout.folio and folio.kind is not Kind.HUGETLB and "double_map" in layout.flags:
            words["PG_double_map"] = _page_flag(layout, pages, 1, "double_map")
    if folio.kind is Kind.ANON:
        words |= _anon_words(memory, folio)
    words["_refcount"] = folio.refcount
    return FolioState(folio.order, folio.kind, words)


def _anon_words(memory: GuestMemory, folio: RawFolio) -> dict[str, WordValue]:
    layout, pages, words = memory.layout, folio.pages, dict[str, "WordValue"]()
    if "anon_exclusive" in layout.flags:
        flags = _column(pages, layout.page["flags"], "<u8")
        words["PG_anon_exclusive"] = run_lengths(flags >> np.uint64(layout.flags["anon_exclusive"]) & np.uint64(1))
    if folio.order > 1:
        if "partially_mapped" in layout.flags:
            words["PG_partially_mapped"] = _page_flag(layout, pages, 1, "partially_mapped")
        at = layout.folio["_deferred_list" if "_deferred_list" in layout.folio else "deferred_list"]
        following, own = _u64(pages, at), memory.page_address(folio.head) + at
        # An empty list points at itself; what was taken off one is poison, 0xdead....
        words["deferred"] = int(following >> 48 == 0xFFFF and following != own)
    return words


def _slots(layout: Layout, pages: U8, processes: Mapping[int, str]) -> dict[str, WordValue]:
    if "_mm_ids" not in layout.folio:
        return {}
    value = _u64(pages, layout.folio["_mm_ids"])
    ids = [value & _MM_ID, value >> 32 & _MM_ID]
    names = [None if not number else processes.get(number, f"mm id {number}") for number in ids]
    return {
        "_mm_id": (names[0], names[1]),
        "_mm_id_mapcount": (
            _s32(pages, layout.folio["_mm_id_mapcount[0]"]),
            _s32(pages, layout.folio["_mm_id_mapcount[1]"]),
        ),
        "shared": value >> 63,
    }


def _order(layout: Layout, pages: U8) -> int:
    for name in ("compound_order", "_folio_order"):
        if name in layout.folio:
            return int(pages.ravel()[layout.folio[name]])
    return int(pages.ravel()[layout.folio["_flags_1"]])  # its low byte


def _kind(mapping: int, *, swapbacked: bool) -> Kind:
    if mapping & _KSM == _KSM:
        return Kind.KSM
    if mapping & _ANON:
        return Kind.ANON
    return Kind.SHMEM if swapbacked else Kind.FILE


def _page_flag(layout: Layout, pages: U8, page: int, name: str) -> int:
    return int(_column(pages, layout.page["flags"], "<u8")[page]) >> layout.flags[name] & 1


def _column(pages: U8, at: int, form: str) -> npt.NDArray[np.integer]:
    width = np.dtype(form).itemsize
    column: npt.NDArray[np.integer] = np.ascontiguousarray(pages[:, at : at + width]).view(form)[:, 0]
    return column


def _u64(pages: U8, at: int) -> int:
    return int.from_bytes(pages.ravel()[at : at + 8].tobytes(), "little")


def _s32(pages: U8, at: int) -> int:
    return int.from_bytes(pages.ravel()[at : at + 4].tobytes(), "little", signed=True)
