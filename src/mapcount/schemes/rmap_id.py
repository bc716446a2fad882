"""rmap-id: total-mapcount, and sums from which follows whether one address space has all mappings. November 2023.

What it counts: the words of total_mapcount.py, and one to six 64-bit values (rmap_ids.py), to which every mapping adds numbers
that stand for its mm. A sequence count goes around total and values, with any number of writers inside.

Why: whoever wants to reuse a page on write, and whoever wants to leave shared memory alone, has to know whether "I am the only
one who maps any of it". A total cannot say so. The values can, exactly and at once, for any number of mms: unlike the slots of
mm_id.py, they forget nobody.

What it cannot answer: who else maps it, or how many do; only whether it is all mine. One mm with more mappings than the folio
has pages (a file mapped twice, a PMD that is being replaced by PTEs) counts as several.

What it costs: four to nine LOCKed operations more for each call, two of them on the sequence count, and a fourth struct
page, from 8 bytes (order 2) to 48 (order 15) a folio (tables of bytes take all six values for granted). As measured by its
author, unmapping a 2 MiB folio of PTEs took 49 % longer and fork 106 % (Xeon 4210R, without what the later patches win back
by letting a writer who is alone do without LOCKed operations, which is not modelled here).

What became of it: not merged. Two slots and a bit lock (mm_id.py), which cost nothing on top of the total, took its place;
they may say "shared" of what is not.

Sources: "[PATCH WIP v1 00/20] mm: precise "mapped shared" vs. "mapped exclusively" detection for PTE-mapped THP / partially-
mappable folios", David Hildenbrand, 24 November 2023 (20231124132626.235350-1-david@redhat.com), patches 6, 7 and 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import PAGES_MAPPED, STATISTICS_BY_PAGE, TOTAL_IS_SUM
from mapcount.schemes.nr_pages_mapped import page_mapcount
from mapcount.schemes.ops import (
    atomic_add,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_set,
    current_mm,
    deferred_split_folio,
    folio_test_anon,
    folio_test_hugetlb,
    set_bit,
    test_bit,
)
from mapcount.schemes.pages_mapped import (
    ENTIRELY_MAPPED,
    map_pages_one_by_one,
    pages_from_first_pmd,
    pages_from_last_pmd,
    unmap_pages_one_by_one,
)
from mapcount.schemes.rmap_ids import (
    VALUES,
    VALUES_ARE_SUMS,
    _rmap_atomic_seqcount,
    change_rmap_values,
    has_matching_rmap_values,
    rmap_read_begin,
    rmap_read_retry,
    rmap_write_begin,
    rmap_write_end,
)
from mapcount.schemes.scheme import REFUSED, Promise, Quantity, Reader, Scheme
from mapcount.schemes.small_folios import dup_small, map_small, new_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.total_mapcount import (
    _total_mapcount,
    dup_hugetlb,
    folio_mapcount,
    folio_mapped,
    map_hugetlb,
    new_hugetlb,
    unmap_hugetlb,
)
from mapcount.schemes.words import PG_anon_exclusive, _entire_mapcount, _mapcount, _nr_pages_mapped

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory

__all__ = [
    "SCHEME",
    "dup_hugetlb",
    "folio_mapcount",
    "folio_mapped",
    "map_hugetlb",
    "new_hugetlb",
    "page_mapcount",
    "unmap_hugetlb",
]


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map a new anon folio for the first time, by PTEs."""
    if order == 0:
        new_small(m, folio, page)
        return
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        set_bit(m, PG_anon_exclusive, i)
    atomic_set(m, _nr_pages_mapped, folio, nr)
    set_total_mapcount(m, folio, order, nr, mm)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, _entire_mapcount, folio, 0)
    atomic_set(m, _nr_pages_mapped, folio, ENTIRELY_MAPPED)
    set_total_mapcount(m, folio, order, 1, mm)
    set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs, the total last: of an anon folio page by page, of a file's once for all."""
    if order == 0:
        map_small(m, folio, page)
        return
    mapped = 0
    if folio_test_anon(m, folio):
        for i in range(page, page + nr):
            mapped += map_pages_one_by_one(m, folio, i, 1)
            add_total_mapcount(m, folio, order, 1, mm)
    else:
        mapped = map_pages_one_by_one(m, folio, page, nr)
        add_total_mapcount(m, folio, order, nr, mm)
    mod_mapped(m, folio, mapped)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    mapped = -1
    if atomic_inc_and_test(m, _entire_mapcount, folio):
        mapped = pages_from_first_pmd(m, folio, order)
    add_total_mapcount(m, folio, order, 1, mm)
    if mapped >= 0:
        mod_pmdmapped(m, folio, 1 << order)
        mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map, one after the other: the total first."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    unmapped = 0
    for i in range(page, page + nr):
        add_total_mapcount(m, folio, order, -1, mm)
        unmapped += unmap_pages_one_by_one(m, folio, i, 1)
    if unmapped:
        mod_mapped(m, folio, -unmapped)
        if folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    unmapped = -1
    add_total_mapcount(m, folio, order, -1, mm)
    if atomic_dec_and_negative(m, _entire_mapcount, folio):
        unmapped = pages_from_last_pmd(m, folio, order)
    if unmapped >= 0:
        mod_pmdmapped(m, folio, -(1 << order))
        mod_mapped(m, folio, -unmapped)
        if unmapped and unmapped < 1 << order and folio_test_anon(m, folio):
            deferred_split_folio(m, folio, order)


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork, page by page."""
    if order == 0:
        return dup_small(m, folio, page)
    if must_copy(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        share(m, folio, i)
        atomic_inc(m, _mapcount, i)
        add_total_mapcount(m, folio, order, 1, mm)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork."""
    if must_copy(m, folio, page, 1):
        return REFUSED
    share(m, folio, page)
    atomic_inc(m, _entire_mapcount, folio)
    add_total_mapcount(m, folio, order, 1, mm)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: in between it is counted by both, one mapping more than there are."""
    exclusive = test_bit(m, PG_anon_exclusive, page)
    for i in range(page, page + (1 << order)):
        hand_down(m, i, 1, exclusive)
        map_ptes(m, folio, order, i, 1, mm)
    unmap_pmd(m, folio, order, page, mm)


def set_total_mapcount(m: Memory, folio: int, order: int, nr: int, mm: int) -> None:
    """Set total and values of a folio that nobody else knows yet."""
    atomic_set(m, _total_mapcount, folio, nr - 1)
    change_rmap_values(m, folio, order, nr, mm, 1)


def add_total_mapcount(m: Memory, folio: int, order: int, nr: int, mm: int) -> None:
    """Add `nr` mappings by `mm` to total and values, or take them away (below 0)."""
    rmap_write_begin(m, folio)
    atomic_add(m, _total_mapcount, folio, nr)
    change_rmap_values(m, folio, order, nr, mm, 0)
    rmap_write_end(m, folio)


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether others than the one who asks, who has it mapped, map the folio (folio_mapped_shared)."""
    mapcount = folio_mapcount(m, folio, order, page)
    if order == 0 or folio_test_hugetlb(m, folio):
        return mapcount > 1
    mm = current_mm(m, folio)
    while True:
        seq = rmap_read_begin(m, folio)
        mapcount = folio_mapcount(m, folio, order, page)
        if mapcount > 1 << order:
            return 1
        exclusive = has_matching_rmap_values(m, folio, order, mapcount, mm)
        if not rmap_read_retry(m, folio, seq):
            return not exclusive


SCHEME = Scheme(
    id="rmap-id",
    title="total-mapcount and sums that tell whether one address space has all mappings",
    module=__name__,
    places=(
        _mapcount.at(48),
        PG_anon_exclusive.at(0, bit=17),
        _total_mapcount.at(16, page=1),
        _entire_mapcount.at(20, page=1),
        _nr_pages_mapped.at(24, page=1),
        _rmap_atomic_seqcount.at(40, page=1),
        *(value.at(16 + 8 * number, page=3) for number, value in enumerate(VALUES[:4])),
        *(value.at(16 + 8 * number, page=4) for number, value in enumerate(VALUES[4:])),
    ),
    readers=(
        Reader("folio_mapcount", Quantity.ENTRIES, Promise.EXACT, "one word: what it returns was true at some moment"),
        Reader("folio_mapped", Quantity.MAPPED, Promise.EXACT, "one word"),
        Reader(
            "page_mapcount", Quantity.PAGE_ENTRIES, Promise.EXACT, "two words, read one after the other", per_page=True
        ),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.NEVER_LESS,
            "asked by an mm that maps it, and exact while there are no more mappings than pages; above that yes. As posted, "
            "sums of orders 6 to 9 wrap where a field of an ID is above 127 (see rmap_ids.py)",
        ),
    ),
    when="proposed in November 2023, not merged",
    based_on=(6, 7),
    referee="none: no kernel has it",
    sources=(
        '"[PATCH WIP v1 07/20] mm/rmap_id: track if one ore multiple MMs map a partially-mappable folio", 24 Nov 2023',
        '"[PATCH WIP v1 11/20] mm/rmap_id: support for 1, 2 and 3 values by manual calculation"',
    ),
    cannot={
        "partially_mapped": "no flag says so; that it was found is only seen by the folio being in the deferred split queue"
    },
    invariants=(TOTAL_IS_SUM, PAGES_MAPPED, VALUES_ARE_SUMS, STATISTICS_BY_PAGE),
    scalable=("ENTIRELY_MAPPED",),
    narrow={"WRITERS": 0xFFF, "SEQUENCE_STEP": 0x1000, "HALF_BITS": 12, "LOW_HALF": 0xFFF},
    stays=("_rmap_atomic_seqcount",),
    refuses_pinned=True,
    unsupported_orders=(1,),
)
