"""double-map: a count per page, a count of PMDs, and a flag that says when the first holds one too many. Linux 4.5 to 6.1.

What it counts: `compound_mapcount` the PMD entries. `_mapcount` of each page its PTEs, and on top

* of an anon folio one more while PG_double_map is set: from the first PMD split that leaves another PMD mapping, to the
  last PMD's removal. That one stands for all PMDs, so that a page whose last PTE goes is not taken for unmapped.
* of a file or shmem folio every PMD entry: P + 1 LOCKed operations for each. PG_double_map then only says that a PTE
  mapped it once, and stays when all is unmapped.

Why: 4.5 let one process map a huge page by PTEs while others keep their PMD, so that splitting a PMD cannot fail. Kirill
A. Shutemov's rework replaced the counts of pins in tail pages; file THPs came with 4.8.

What it cannot answer: how many mappings a folio has, without looking at all its pages (P + 2 loads), none of which is
locked, so that the sum may be a number that was never true; who maps it, but by a guess from the first page.

Its weak spot: an anon folio that gets a PTE while a PMD maps it and the flag is clear, or the reverse, makes NR_ANON_MAPPED
count pages twice, for good if its PMD is split before the PTE goes (derived from the steps, not seen on a kernel). fork
and PMD splits never do that, so the histories of the conformance test do not either: `anon_mixed_by_split_only`.

What became of it: 6.2 deleted the flag and the P + 1 operations (nr_pages_mapped.py).

Variants: `before-5.19` has no AnonExclusive: copy-on-write asks page_trans_huge_mapcount(), the largest count of any page,
and fork refuses every folio that may be pinned (since 5.9); PG_double_map of a file folio is never cleared. `seqlock` is
Andrea Arcangeli's and David Hildenbrand's proposal of 2021: writers that move counts from PMD to pages hold a bit lock and
make a sequence count odd, readers of anon folios try again (mapcount_seqlock.py).

Deferred split: whenever the last PTE of a page of an anon folio goes, even if that was the folio's last mapping; when the
last PMD goes and PTEs map some but not all pages (before f1fe80d4ae33, 5.5: whenever pages became unmapped).

Sources: commits 53f9263baba6 ("mm: rework mapcount accounting to enable 4k mapping of THPs"), dd78fedde4b9 ("rmap: support
file thp"), bd55b0c2d64e ("mm/thp: ClearPageDoubleMap in first page_add_file_rmap()"); mm/rmap.c, mm/huge_memory.c and
mm/util.c of 6.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mapcount.mapping.schema import Kind
from mapcount.schemes.anon_exclusive import hand_down, must_copy, share
from mapcount.schemes.invariants import STATISTICS_BY_PAGE
from mapcount.schemes.mapcount_seqlock import (
    MAPCOUNT_LOCK,
    SEQLOCK,
    mapcount_lock,
    mapcount_read_begin,
    mapcount_read_retry,
    mapcount_seqcount,
    mapcount_unlock,
)
from mapcount.schemes.ops import (
    atomic_add,
    atomic_dec,
    atomic_dec_and_negative,
    atomic_inc,
    atomic_inc_and_test,
    atomic_read,
    atomic_set,
    clear_bit,
    deferred_split_folio,
    folio_maybe_dma_pinned,
    folio_test_anon,
    folio_test_hugetlb,
    set_bit,
    test_and_clear_bit,
    test_and_set_bit,
    test_bit,
)
from mapcount.schemes.scheme import REFUSED, Invariant, Promise, Quantity, Reader, Scheme, Variant
from mapcount.schemes.small_folios import map_small, unmap_small
from mapcount.schemes.statistics import mod_mapped, mod_pmdmapped
from mapcount.schemes.words import PG_anon_exclusive, _mapcount, folio_flag, folio_word

if TYPE_CHECKING:
    from mapcount.schemes.memory import Memory
    from mapcount.schemes.scheme import Words
    from mapcount.schemes.truth import FolioTruth

ANON_EXCLUSIVE = 1
"""0: 4.5 to 5.18."""

compound_mapcount = folio_word("compound_mapcount", bias=-1)
PG_double_map = folio_flag("PG_double_map", "flags")


def new_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map new anon pages for the first time. No kernel of these maps a large folio so: it takes what PMD splits leave."""
    for i in range(page, page + nr):
        atomic_set(m, _mapcount, i, 0)
        if ANON_EXCLUSIVE:
            set_bit(m, PG_anon_exclusive, i)
    mod_mapped(m, folio, nr)


def new_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new anon folio for the first time, by a PMD."""
    atomic_set(m, compound_mapcount, folio, 0)
    if ANON_EXCLUSIVE:
        set_bit(m, PG_anon_exclusive, page)
    mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, 1 << order)


def map_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Map `nr` pages by PTEs, one after the other; each tells a large file folio that a PTE maps it."""
    if order == 0:
        map_small(m, folio, page)
        return
    anon = folio_test_anon(m, folio)
    for i in range(page, page + nr):
        if not anon:
            set_bit(m, PG_double_map, folio)
        if atomic_inc_and_test(m, _mapcount, i):
            mod_mapped(m, folio, 1)


def map_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map the folio by a PMD."""
    if folio_test_anon(m, folio):
        if atomic_inc_and_test(m, compound_mapcount, folio):
            mod_pmdmapped(m, folio, 1 << order)
            mod_mapped(m, folio, 1 << order)
    else:
        map_file_pmd(m, folio, order, page)


def map_file_pmd(m: Memory, folio: int, order: int, page: int) -> None:
    """Map a file or shmem folio by a PMD: each page is counted, then the PMD."""
    mapped = 0
    for i in range(page, page + (1 << order)):
        mapped += atomic_inc_and_test(m, _mapcount, i)
    if atomic_inc_and_test(m, compound_mapcount, folio):
        if ANON_EXCLUSIVE and mapped == 1 << order and test_bit(m, PG_double_map, folio):
            clear_bit(m, PG_double_map, folio)
        mod_pmdmapped(m, folio, 1 << order)
    mod_mapped(m, folio, mapped)


def unmap_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> None:
    """Unmap `nr` pages that PTEs map, one after the other; an anon folio is queued even if that was its last mapping."""
    if order == 0:
        unmap_small(m, folio, page)
        return
    anon = folio_test_anon(m, folio)
    for i in range(page, page + nr):
        if atomic_dec_and_negative(m, _mapcount, i):
            mod_mapped(m, folio, -1)
            if anon:
                deferred_split_folio(m, folio, order)


def unmap_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap the folio from a PMD."""
    if folio_test_anon(m, folio):
        if atomic_dec_and_negative(m, compound_mapcount, folio):
            mod_pmdmapped(m, folio, -(1 << order))
            unmapped = take_back_double_map(m, folio, order, page)
            if unmapped and unmapped < 1 << order:
                deferred_split_folio(m, folio, order)
            mod_mapped(m, folio, -unmapped)
    else:
        unmap_file_pmd(m, folio, order, page)


def unmap_file_pmd(m: Memory, folio: int, order: int, page: int) -> None:
    """Unmap a file or shmem folio from a PMD: pages first, as when it was mapped."""
    unmapped = 0
    for i in range(page, page + (1 << order)):
        unmapped += atomic_dec_and_negative(m, _mapcount, i)
    if atomic_dec_and_negative(m, compound_mapcount, folio):
        mod_pmdmapped(m, folio, -(1 << order))
    mod_mapped(m, folio, -unmapped)


def take_back_double_map(m: Memory, folio: int, order: int, page: int) -> int:
    """After an anon folio's last PMD: take one from each page if the flag was set; return the pages without mapping."""
    unmapped = 1 << order
    if SEQLOCK and not test_bit(m, PG_double_map, folio):
        return unmapped
    mapcount_lock(m, folio)
    if test_and_clear_bit(m, PG_double_map, folio):
        unmapped = unmap_each_page(m, order, page)
    mapcount_unlock(m, folio)
    return unmapped


def unmap_each_page(m: Memory, order: int, page: int) -> int:
    """Take one from the count of each page; return how many are mapped no more."""
    unmapped = 0
    for i in range(page, page + (1 << order)):
        unmapped += atomic_dec_and_negative(m, _mapcount, i)
    return unmapped


def dup_ptes(m: Memory, folio: int, order: int, page: int, nr: int, mm: int) -> int:
    """Share `nr` pages with a child at fork. No statistic changes: they are mapped already."""
    if may_not_share(m, folio, page, nr):
        return REFUSED
    for i in range(page, page + nr):
        if ANON_EXCLUSIVE:
            share(m, folio, i)
        atomic_inc(m, _mapcount, i)
    return 0


def dup_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a folio that a PMD maps with a child at fork. Of a file no kernel does: the child's fault maps it, as here."""
    if not folio_test_anon(m, folio):
        map_file_pmd(m, folio, order, page)
        return 0
    if may_not_share(m, folio, page, 1):
        return REFUSED
    if ANON_EXCLUSIVE:
        share(m, folio, page)
    atomic_inc(m, compound_mapcount, folio)
    return 0


def may_not_share(m: Memory, folio: int, page: int, nr: int) -> int:
    """Return 1 if the folio may be pinned and, from 5.19, one of the pages is exclusive."""
    if ANON_EXCLUSIVE:
        return must_copy(m, folio, page, nr)
    if folio_test_anon(m, folio):
        return folio_maybe_dma_pinned(m, folio)
    return 0


def split_pmd(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Replace an anon folio's PMD mapping by PTEs: up to two more per page, and two less if it was the last PMD."""
    if SEQLOCK:
        split_pmd_locked(m, folio, order, page)
        return
    exclusive = 0
    if ANON_EXCLUSIVE:
        exclusive = test_bit(m, PG_anon_exclusive, page)
    for i in range(page, page + (1 << order)):
        if ANON_EXCLUSIVE:
            hand_down(m, i, 1, exclusive)
        atomic_inc(m, _mapcount, i)
    if atomic_read(m, compound_mapcount, folio) + 1 > 1 and not test_and_set_bit(m, PG_double_map, folio):
        for i in range(page, page + (1 << order)):
            atomic_inc(m, _mapcount, i)
    drop_split_pmd(m, folio, order, page)


def split_pmd_locked(m: Memory, folio: int, order: int, page: int) -> None:
    """Do so where no reader can add up half of it: each page gets its one or two at once."""
    each = 1
    mapcount_lock(m, folio)
    if atomic_read(m, compound_mapcount, folio) + 1 > 1 and not test_and_set_bit(m, PG_double_map, folio):
        each = 2
    for i in range(page, page + (1 << order)):
        atomic_add(m, _mapcount, i, each)
    drop_split_pmd(m, folio, order, page)
    mapcount_unlock(m, folio)


def drop_split_pmd(m: Memory, folio: int, order: int, page: int) -> None:
    """Uncount the PMD that was split; after the last one no page needs its extra count."""
    if atomic_dec_and_negative(m, compound_mapcount, folio):
        mod_pmdmapped(m, folio, -(1 << order))
        if test_and_clear_bit(m, PG_double_map, folio):
            for i in range(page, page + (1 << order)):
                atomic_dec(m, _mapcount, i)


def new_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a new hugetlb folio for the first time."""
    atomic_set(m, compound_mapcount, folio, 0)


def map_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Map a hugetlb folio: no statistics, no count per page."""
    atomic_inc(m, compound_mapcount, folio)


def unmap_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> None:
    """Unmap a hugetlb folio."""
    atomic_dec(m, compound_mapcount, folio)


def dup_hugetlb(m: Memory, folio: int, order: int, page: int, mm: int) -> int:
    """Share a hugetlb folio with a child at fork."""
    map_hugetlb(m, folio, order, page, mm)
    return 0


def folio_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the folio's mappings by looking at all its pages (total_mapcount)."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    if folio_test_hugetlb(m, folio):
        return atomic_read(m, compound_mapcount, folio) + 1
    mapcount = 0
    again = 1
    while again:
        seq = mapcount_read_begin(m, folio)
        mapcount = sum_of_all_pages(m, folio, order, page)
        again = mapcount_read_retry(m, folio, seq)
    return mapcount


def sum_of_all_pages(m: Memory, folio: int, order: int, page: int) -> int:
    """Add up PMDs and the counts of all pages, less what the pages of a file hold of the PMDs, or the flag's of anon."""
    compound = atomic_read(m, compound_mapcount, folio) + 1
    mapcount = compound
    for i in range(page, page + (1 << order)):
        mapcount += atomic_read(m, _mapcount, i) + 1
    if not folio_test_anon(m, folio):
        return mapcount - (compound << order)
    if test_bit(m, PG_double_map, folio):
        mapcount -= 1 << order
    return mapcount


def folio_mapped(m: Memory, folio: int, order: int, page: int) -> int:
    """Tell whether anything maps the folio: a PMD, or the first page found that is mapped."""
    if order == 0:
        return atomic_read(m, _mapcount, page) >= 0
    if atomic_read(m, compound_mapcount, folio) >= 0:
        return 1
    if not folio_test_hugetlb(m, folio):
        for i in range(page, page + (1 << order)):
            if atomic_read(m, _mapcount, i) >= 0:
                return 1
    return 0


def page_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Count the mappings of one page: of an anon folio three words, of a file's one."""
    if order == 0:
        return atomic_read(m, _mapcount, page) + 1
    if folio_test_hugetlb(m, folio):
        return atomic_read(m, compound_mapcount, folio) + 1
    if not folio_test_anon(m, folio):
        return atomic_read(m, _mapcount, page) + 1
    mapcount = 0
    again = 1
    while again:
        seq = mapcount_read_begin(m, folio)
        mapcount = atomic_read(m, _mapcount, page) + 1
        mapcount += atomic_read(m, compound_mapcount, folio) + 1
        mapcount -= test_bit(m, PG_double_map, folio)
        again = mapcount_read_retry(m, folio, seq)
    return mapcount


def mapped_shared(m: Memory, folio: int, order: int, page: int) -> int:
    """Guess whether several map the folio: the first page (folio_estimated_sharers); anon before 5.19: any page."""
    if ANON_EXCLUSIVE or order == 0 or not folio_test_anon(m, folio):
        return page_mapcount(m, folio, order, page) > 1
    mapcount = 0
    again = 1
    while again:
        seq = mapcount_read_begin(m, folio)
        mapcount = page_trans_huge_mapcount(m, folio, order, page)
        again = mapcount_read_retry(m, folio, seq)
    return mapcount > 1


def page_trans_huge_mapcount(m: Memory, folio: int, order: int, page: int) -> int:
    """Return the count of the page of an anon folio that is mapped most: pages, flag, PMDs."""
    most = 0
    for i in range(page, page + (1 << order)):
        mapcount = atomic_read(m, _mapcount, i) + 1
        if mapcount > most:  # noqa: PLR1730 (max is not in the subset)
            most = mapcount
    if test_bit(m, PG_double_map, folio):
        most -= 1
    return most + atomic_read(m, compound_mapcount, folio) + 1


def _counts(words: Words, truth: FolioTruth) -> str | None:
    stored = [value + 1 for value in words.pages("_mapcount")]
    ptes = truth.pte_counts()
    if not words.order:
        return None if stored == ptes else f"_mapcount + 1 is {stored}, the PTEs are {ptes}"
    if words["compound_mapcount"] + 1 != truth.huge_entries():
        return f"compound_mapcount + 1 is {words['compound_mapcount'] + 1}, PMD entries are {truth.huge_entries()}"
    if truth.hugetlb:
        return None
    double = words["PG_double_map"]
    more = double if words.kind == Kind.ANON else truth.huge_entries()
    if stored == [count + more for count in ptes] and (words.kind != Kind.ANON or double <= truth.huge_entries()):
        return None
    return f"_mapcount + 1 is {stored}, PTEs are {ptes}, PMDs {truth.huge_entries()}, PG_double_map {double}"


def _unlocked(words: Words, truth: FolioTruth) -> str | None:
    broken = _counts(words, truth)
    if broken or not words.order:
        return broken
    if words["PG_locked"] or words["mapcount_seqcount"] & 1:
        return f"the lock is {words['PG_locked']}, the sequence count {words['mapcount_seqcount']}"
    return None


COUNTS = Invariant(
    "compound_mapcount + 1 = PMD entries; _mapcount + 1 = PTEs, plus PG_double_map (anon; only while a PMD maps it) "
    "or the PMD entries (file)",
    _counts,
)
COUNTS_UNLOCKED = Invariant(COUNTS.text + "; the lock is free, the sequence count even", _unlocked)

_PLACES = (_mapcount.at(48), compound_mapcount.at(20, page=1), PG_double_map.at(0, page=1, bit=6))

SCHEME = Scheme(
    id="double-map",
    title="a count per page, one of PMDs, and a flag where the first holds one too many",
    module=__name__,
    places=(*_PLACES, PG_anon_exclusive.at(0, bit=17)),
    readers=(
        Reader(
            "folio_mapcount",
            Quantity.ENTRIES,
            Promise.EXACT,
            "P + 2 words, read one after the other: it may add up what never was at one time",
        ),
        Reader(
            "folio_mapped",
            Quantity.MAPPED,
            Promise.EXACT,
            "up to P + 1 words, read one after the other: it may see no mapping though there was always one",
        ),
        Reader(
            "page_mapcount",
            Quantity.PAGE_ENTRIES,
            Promise.EXACT,
            "up to three words, read one after the other",
            per_page=True,
        ),
        Reader(
            "mapped_shared",
            Quantity.SHARED,
            Promise.ESTIMATE,
            "whether the first page (6.1), or any (before 5.19, anon), is mapped more than once: by whom is not known",
        ),
    ),
    when="4.5 to 6.1",
    referee="5.10 (before-5.19) and 6.1 (words after every step); none for seqlock",
    sources=(
        '53f9263baba6 ("mm: rework mapcount accounting to enable 4k mapping of THPs")',
        'dd78fedde4b9 ("rmap: support file thp")',
        "mm/rmap.c, mm/huge_memory.c and mm/util.c, 6.1",
    ),
    cannot={
        "partially_mapped": "no flag says so; that it was found is only seen by the folio being in the deferred split queue"
    },
    variants={
        "before-5.19": Variant(
            {"ANON_EXCLUSIVE": 0},
            "4.5 to 5.18: no AnonExclusive; up to 5.17 the largest count decides copy-on-write",
            _PLACES,
        ),
        "seqlock": Variant(
            {"ANON_EXCLUSIVE": 0, "SEQLOCK": 1},
            "proposed in 2021: a sequence count under which counts move from PMDs to pages",
            (*_PLACES, mapcount_seqcount.at(28, page=1), MAPCOUNT_LOCK.at(0, page=1, bit=0)),
            (COUNTS_UNLOCKED, STATISTICS_BY_PAGE),
        ),
    },
    invariants=(COUNTS, STATISTICS_BY_PAGE),
    refuses_pinned=True,
    anon_mixed_by_split_only=True,
)
