"""What a kernel release does: how it counts, what it decides about mappings, and where its /proc is not what one expects.

    era = era_of("6.12.107+deb12-amd64", page_mapcount=None)
    era.scheme          # large-mapcount
    era.policies.reuse  # Reuse.NEVER

Each fact begins with a release and has a source; a later one of the same name takes its place. Not looked at: stable
releases that took a change over (but where a note says so), distributions' patches, and kernels without
CONFIG_TRANSPARENT_HUGEPAGE, which have no large folios to speak of.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mapcount.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST = (4, 5)
"""The first release whose way of counting is in the catalogue."""
LAST_READ = (7, 3)
"""The last release whose source was read."""


class Reuse(enum.Enum):
    """When a write to an anon page that was shared before may go on without a copy."""

    MAPCOUNT = "nobody else maps any page of it (page_trans_huge_mapcount is 1)"
    REFCOUNT = "the folio has one reference, which is the mapping at hand"
    NEVER = "never, if the folio is large"
    OWNER = "one address space has all mappings of the folio, more than one, and no reference is left over"


class SwapIn(enum.Enum):
    """How a page comes back from a swap device that reads at once, such as a RAM disk."""

    SMALL = "page by page; past the swap cache if only this entry stands for it"
    LARGE = (
        "so, but a large folio whose slots follow one another comes back whole if only this entry stands for the page"
    )
    CACHED = "as large as the slots allow, through the swap cache, which every fault then tries to free"


class WriteOrders(enum.Enum):
    """How large a shmem folio may be that is allocated without a VMA, where large ones are wanted always."""

    PMD = "of PMD size alone"
    SIZE = "as large as what is to be written, and aligned to its size"
    ALL = "as large as there is room in the file"


class Punch(enum.Enum):
    """What becomes of a large folio of the page cache of which a part is to go."""

    ZERO = "it stays and is zeroed"
    PAGES = "it is split into pages"
    HALVES = "it is split in halves, again and again, around the first page that goes and the first behind these"


class Bit56(enum.Enum):
    """What bit 56 of a page's entry in /proc/PID/pagemap tells."""

    PAGE = "the page has one mapping"
    FIRST_PAGE = "the page has one mapping; mapped by a PMD: the folio's first page has one"
    FOLIO = "the folio is certainly mapped by one address space"


@dataclass(frozen=True)
class Policies:
    """Decisions of a kernel that change who maps what, or in which calls rmap is told of it."""

    anon_exclusive: bool
    """PageAnonExclusive allows writing without a copy."""
    reuse: Reuse
    """Of a page of a large folio that a PTE maps, if it is not exclusive."""
    reuse_pmd: Reuse
    """Of a folio that a PMD maps, if it is not exclusive."""
    cow_splits_pmd: bool
    """A write to a shared folio that a PMD maps splits the PMD and copies a page; before, it copied the whole folio."""
    fork_refuses_pinned: bool
    """fork copies an anon page that may be pinned (and, with anon_exclusive, is exclusive) at once."""
    large_anon_below_pmd: bool
    """Anon folios smaller than a PMD can be large."""
    batches_file_map: bool
    """A fault that maps several pages of a file folio is one call of rmap; else one a page."""
    batches_split: bool
    """Splitting a PMD maps all pages in one call."""
    batches_fork: bool
    """fork shares consecutive pages of a folio in one call."""
    batches_unmap: bool
    """munmap, exit and MADV_DONTNEED unmap consecutive pages of a folio, within a page table, in one call."""
    queues_below_pmd: bool
    """The deferred split queue takes folios smaller than a PMD."""
    queues_fully_unmapped: bool
    """It takes a folio whose last PTE went in a call that unmapped pages, though there is nothing to split for."""
    partially_mapped_flag: bool
    """PG_partially_mapped tells, in the queue, what was found partially mapped; it stays until split or freed."""
    queues_at_fault: bool
    """Every new anon folio of PMD size is queued at once, to be split if it is mostly zero."""
    split_maps_zero_page: bool
    """Splitting an anon folio maps the zero page for pages that hold nothing but zeros, and frees them."""
    split_stops_at_pmd: bool
    """Splitting an anon folio gives up after the first PMD that it splits, if others still map the folio."""
    fallocate_clears: bool
    """fallocate fills pages that are there but were never read or written: a read fault maps them like others then."""
    shmem_write: WriteOrders
    """How large a shmem folio may be that fallocate or write allocate."""
    punch: Punch
    """What becomes of a large shmem folio of which a part is punched."""
    collapses: bool
    """MADV_COLLAPSE exists."""
    collapse_needs_write: bool
    """It refuses anon memory of which no page table entry may be written."""
    collapse_skips_holes: bool
    """It goes on behind a place where no page table is; else it stops there."""
    collapse_drains: bool
    """It puts pages of a file that it swapped in on the LRU at once; else the first of them makes it give up for now."""
    collapse_empties_tables: bool
    """When pages of a file are collapsed all page tables that mapped them go, not only the caller's."""
    collapse_adds_table: bool
    """It maps pages of a file by a PMD also where the caller has no table of PMDs yet."""
    collapse_of_nothing: bool
    """MADV_COLLAPSE of a range without an aligned piece of PMD size is a success."""
    maps_around_whole_folio: bool
    """A read fault maps the whole of each folio of the page cache that it meets, if VMA and page table have room."""
    maps_whole_shmem_folio: bool
    """A fault that is not resolved around it maps all of a shmem folio without a name, if VMA and page table have room."""
    fork_copies_shared_hugetlb: bool
    """fork copies the entries of a shared hugetlb mapping, too."""
    frees_empty_tables: bool
    """MADV_DONTNEED of all that a page table maps frees the table, so that a PMD may map there again."""
    advice_splits: bool
    """MADV_PAGEOUT splits every large folio that PTEs map; later only those that the range does not cover whole."""
    advice_asks_page: bool
    """It judges by the mapcount of the page at hand whether a large folio is shared; later by the folio."""
    free_asks_first_page: bool
    """MADV_FREE of a page of a large folio judges by the first page's mapcount: not even a folio without it is split."""
    reclaim_splits_lazyfree: bool
    """Reclaim splits a large folio after MADV_FREE before it drops the pages."""
    reclaim_splits_shmem: bool
    """Reclaim splits a large folio of a file in memory before it swaps the pages out."""
    swaps_in_large_shmem: bool
    """A large folio of a file in memory that was swapped out whole comes back whole, from a device that reads at once."""
    migration_asks_page: bool
    """move_pages leaves a large folio alone if the page asked for is mapped more than once; later if the folio seems shared."""
    migration_needs_access: bool
    """move_pages finds nothing where mprotect took all rights away."""
    migration_splits: bool
    """A folio that waits for a deferred split is split before its pages are moved one by one; before, it was moved whole."""
    migration_requeues: bool
    """The copy of a folio in the deferred split queue is queued in its place, and is marked as partially mapped if the folio
    was when its last entry had been taken away: one that PTEs map always is."""
    discards_pmd: bool
    """Of a folio after MADV_FREE it drops, or leaves, a PMD entry as it is; else it splits the PMD first."""
    discards_in_batches: bool
    """It drops such a folio in calls of many pages, so that one page that was written since saves its neighbours."""
    ksm_finds_orphans: bool
    """ksmd merges pages with a KSM page that only processes map whose memory was not advised (children of such as was)."""
    swaps_to_first_cluster: bool
    """Single pages go to the first cluster of a new swap device, beside its header; they are not aligned then."""
    swap_in: SwapIn
    reuse_frees_swap: bool
    """A write to the only mapping frees the swap cache of the page, so that it can be reused."""
    copy_frees_swap: bool
    """A write that copies frees the swap cache of the page that nobody maps any more."""
    dontneed_takes_hugetlb: bool
    """MADV_DONTNEED gives back hugetlb folios, too; before, it was refused."""
    huge_zero_write_is_huge: bool
    """A write to the huge zero folio gets a folio of that size; before, its PMD was split and one page was mapped."""
    queues_after_huge_zero: bool
    """A folio that took the place of the huge zero folio is queued like any new one (`queues_at_fault`)."""
    merges_into_unfaulted: bool
    """A VMA with anon pages that becomes like a neighbour without any is merged with it; before, only the reverse."""
    mremap_checks_first: bool
    """mremap looks at what is to be moved before it unmaps what is in the way, and moves over several VMAs."""


@dataclass(frozen=True)
class Quirks:
    """What /proc tells of mappings, beside the plain numbers of the scheme."""

    bit56: Bit56
    average_page_mapcount: bool
    """kpagecount, the mapmax of numa_maps, and Pss use the folio's mean for each page."""
    private_by_folio: bool
    """Private_ and Shared_ of smaps ask whether the folio may be shared, not how often the page is mapped."""
    whole_folio_mapped: bool
    """AnonPages, Mapped and the memory cgroup's anon and file_mapped count a folio whole while any page is mapped."""
    pss_by_entry: bool = False
    """Pss divides what an entry maps by the mapcount at once; else page by page, so that of a PMD more is rounded off."""


@dataclass(frozen=True)
class Era:
    """A kernel release. `sources` has one for each field of `policies` and `quirks`, and for `scheme`."""

    release: str
    version: tuple[int, int]
    scheme: str
    policies: Policies
    quirks: Quirks
    sources: Mapping[str, str]
    notes: tuple[str, ...]
    """What was assumed, in sentences."""


@dataclass(frozen=True)
class Fact:
    """What holds from a release on, until another one of that name; `page_mapcount`: only with, or without counts per page."""

    since: tuple[int, int]
    name: str
    value: Any
    source: str
    page_mapcount: bool | None = None


_NO_PAGE = "749492229e3b: CONFIG_NO_PAGE_MAPCOUNT"
FACTS = (
    Fact(FIRST, "scheme", "double-map:before-5.19", "53f9263baba6, mm/rmap.c of 5.10"),
    Fact((5, 19), "scheme", "double-map", "6c287605fd56, merged in May 2022; mm/rmap.c of 6.1"),
    Fact((6, 2), "scheme", "nr-pages-mapped", "be5ef2d9b006, 6287b7dae809"),
    Fact((6, 10), "scheme", "large-mapcount:unbatched", "05c5323b2a34"),
    Fact((6, 12), "scheme", "large-mapcount", "43c9074e6f09, mm/rmap.c of 6.12"),
    Fact((6, 15), "scheme", "mm-id", "6af8cb80d3a9", page_mapcount=True),
    Fact((6, 15), "scheme", "no-page-mapcount", _NO_PAGE, page_mapcount=False),
    Fact(FIRST, "anon_exclusive", False, "absent in 5.10"),
    Fact((5, 19), "anon_exclusive", True, "6c287605fd56: sent in March 2022, after the merge window of 5.18"),
    Fact(FIRST, "reuse", Reuse.MAPCOUNT, "6d0a07edd17c: reuse_swap_page()"),
    Fact((5, 9), "reuse", Reuse.REFCOUNT, "09854ba94c6a; mm/memory.c of 6.1 and 6.8, do_wp_page()"),
    Fact((6, 9), "reuse", Reuse.NEVER, '"mm: prohibit the last subpage from reusing the entire large folio", 6.9'),
    Fact((6, 15), "reuse", Reuse.OWNER, "1da190f4d0a6"),
    Fact(FIRST, "reuse_pmd", Reuse.MAPCOUNT, "do_huge_pmd_wp_page(), mm/huge_memory.c of 5.10"),
    Fact((5, 18), "reuse_pmd", Reuse.REFCOUNT, "do_huge_pmd_wp_page(), mm/huge_memory.c of 6.1"),
    Fact(FIRST, "cow_splits_pmd", False, "before 3917c80280c9"),
    Fact((5, 8), "cow_splits_pmd", True, '3917c80280c9 ("thp: change CoW semantics for anon-THP")'),
    Fact(FIRST, "fork_refuses_pinned", False, "before 70e806e4e645"),
    Fact(
        (5, 9), "fork_refuses_pinned", True, '70e806e4e645 ("mm: Do early cow for pinned pages during fork() for ptes")'
    ),
    Fact(FIRST, "large_anon_below_pmd", False, "before 19eaf44954df"),
    Fact(
        (6, 8), "large_anon_below_pmd", True, '19eaf44954df ("mm: thp: support allocation of anonymous multi-size THP")'
    ),
    Fact(FIRST, "batches_file_map", False, "page_add_file_rmap(), mm/rmap.c of 6.5"),
    Fact((6, 6), "batches_file_map", True, '86f35f69db8e ("rmap: add folio_add_file_rmap_range()")'),
    Fact(FIRST, "batches_split", False, "__split_huge_pmd_locked(), mm/huge_memory.c of 6.1"),
    Fact((6, 8), "batches_split", True, "[PATCH v2 00/40] mm/rmap: interface overhaul"),
    Fact(FIRST, "batches_fork", False, "copy_present_pte(), mm/memory.c of 6.8"),
    Fact((6, 9), "batches_fork", True, "[PATCH v3 00/15] mm/memory: optimize fork() with PTE-mapped THP"),
    Fact(FIRST, "batches_unmap", False, "zap_pte_range(), mm/memory.c of 6.8"),
    Fact((6, 9), "batches_unmap", True, "[PATCH v3 00/10] mm/memory: optimize unmap/zap with PTE-mapped THP"),
    Fact(FIRST, "queues_below_pmd", False, "mm/rmap.c of 6.5: folio_test_pmd_mappable()"),
    Fact((6, 8), "queues_below_pmd", True, "mm/rmap.c of 6.8: folio_test_large()"),
    Fact(FIRST, "queues_fully_unmapped", True, "page_remove_rmap(), mm/rmap.c of 6.1 and 6.5"),
    Fact(
        (6, 10),
        "queues_fully_unmapped",
        False,
        '"mm/rmap: do not add fully unmapped large folio to deferred split list"',
    ),
    Fact(FIRST, "partially_mapped_flag", False, "before 8422acdc97ed"),
    Fact(
        (6, 12), "partially_mapped_flag", True, '8422acdc97ed ("mm: introduce a pageflag for partially mapped folios")'
    ),
    Fact(FIRST, "queues_at_fault", False, "before dafff3f4c850"),
    Fact((6, 12), "queues_at_fault", True, 'dafff3f4c850 ("mm: split underused THPs")'),
    Fact(FIRST, "split_maps_zero_page", False, "before b1f202060afe"),
    Fact(
        (6, 12),
        "split_maps_zero_page",
        True,
        'b1f202060afe ("mm: remap unused subpages to shared zeropage when splitting isolated thp")',
    ),
    Fact(FIRST, "split_stops_at_pmd", False, "unmap_page(), mm/huge_memory.c of 5.10 and 6.1"),
    Fact(
        (6, 16),
        "split_stops_at_pmd",
        True,
        '60fbb14396d5 ("mm/huge_memory: adjust try_to_migrate_one() and split_huge_pmd_locked()")',
    ),
    Fact(
        (7, 0),
        "split_stops_at_pmd",
        False,
        '"mm/huge_memory: fix early failure try_to_migrate() when split huge pmd for shared THP", later in stable 6.18',
    ),
    Fact(FIRST, "fallocate_clears", True, "shmem_getpage_gfp(), mm/shmem.c of 5.10"),
    Fact(
        (5, 14),
        "fallocate_clears",
        False,
        '050dcb5c85bb ("huge tmpfs: fix fallocate(vanilla) advance over huge pages")',
    ),
    Fact(FIRST, "shmem_write", WriteOrders.PMD, "before acd7ccb284b8"),
    Fact((6, 14), "shmem_write", WriteOrders.SIZE, 'acd7ccb284b8 ("mm: shmem: add large folio support for tmpfs")'),
    Fact(
        (6, 17),
        "shmem_write",
        WriteOrders.ALL,
        "\"mm: shmem: fix the strategy for the tmpfs 'huge=' options\"",
    ),
    Fact(FIRST, "punch", Punch.ZERO, "before 71725ed10c40"),
    Fact((5, 7), "punch", Punch.PAGES, '71725ed10c40 ("mm: huge tmpfs: try to split_huge_page() when punching hole")'),
    Fact((6, 15), "punch", Punch.HALVES, '7460b470a131 ("mm/truncate: use folio_split() in truncate operation")'),
    Fact(FIRST, "collapses", False, "before 7d8faaf15545"),
    Fact((6, 1), "collapses", True, '7d8faaf15545 ("mm/madvise: introduce MADV_COLLAPSE sync hugepage collapse")'),
    Fact(FIRST, "collapse_needs_write", True, "SCAN_PAGE_RO, mm/khugepaged.c of 6.1"),
    Fact(
        (6, 18),
        "collapse_needs_write",
        False,
        '"mm: enable khugepaged anonymous collapse on non-writable regions"',
    ),
    Fact(FIRST, "collapse_skips_holes", False, "madvise_collapse(), mm/khugepaged.c of 6.1"),
    Fact((7, 0), "collapse_skips_holes", True, '"mm/khugepaged: continue to collapse on SCAN_PMD_NONE"'),
    Fact(FIRST, "collapse_drains", False, "before efa3d814fa15"),
    Fact((6, 4), "collapse_drains", True, 'efa3d814fa15 ("mm/khugepaged: drain lru after swapping in shmem")'),
    Fact(FIRST, "collapse_empties_tables", False, "retract_page_tables(), mm/khugepaged.c of 6.1"),
    Fact(
        (6, 6),
        "collapse_empties_tables",
        True,
        '1d65b771bc08 ("mm/khugepaged: retract_page_tables() without mmap or vma lock")',
    ),
    Fact(FIRST, "collapse_adds_table", False, "collapse_pte_mapped_thp(), mm/khugepaged.c of 6.1"),
    Fact(
        (6, 18),
        "collapse_adds_table",
        True,
        'f8a01513f574 ("mm/khugepaged: do not fail collapse_pte_mapped_thp() on SCAN_PMD_NULL")',
    ),
    Fact(FIRST, "collapse_of_nothing", False, "madvise_collapse(), mm/khugepaged.c of 6.1; seen with 6.18"),
    Fact((7, 3), "collapse_of_nothing", True, "madvise_collapse(), mm/khugepaged.c of 7.3"),
    Fact(FIRST, "maps_around_whole_folio", False, "before 357b92761d94"),
    Fact((6, 18), "maps_around_whole_folio", True, '357b92761d94 ("mm/filemap: map entire large folio faultaround")'),
    Fact(FIRST, "maps_whole_shmem_folio", False, "before 43e027e41423"),
    Fact(
        (6, 11),
        "maps_whole_shmem_folio",
        True,
        '43e027e41423 ("mm: memory: extend finish_fault() to support large folio")',
    ),
    Fact(FIRST, "fork_copies_shared_hugetlb", True, "copy_page_range(), mm/memory.c of 5.10"),
    Fact((6, 0), "fork_copies_shared_hugetlb", False, 'bcd51a3c679d ("hugetlb: lazy page table copies in fork()")'),
    Fact(FIRST, "frees_empty_tables", False, "before 6375e95f381e"),
    Fact(
        (6, 14),
        "frees_empty_tables",
        True,
        '6375e95f381e ("mm: pgtable: reclaim empty PTE page in madvise(MADV_DONTNEED)"): CONFIG_PT_RECLAIM, on x86-64',
    ),
    Fact(FIRST, "advice_splits", True, "madvise_cold_or_pageout_pte_range(), mm/madvise.c of 6.1"),
    Fact(
        (6, 10),
        "advice_splits",
        False,
        '3931b871c494 ("mm: madvise: avoid split during MADV_PAGEOUT and MADV_COLD")',
    ),
    Fact(FIRST, "advice_asks_page", True, "madvise_cold_or_pageout_pte_range(), mm/madvise.c of 6.1"),
    Fact(FIRST, "free_asks_first_page", False, "madvise_free_pte_range(), mm/madvise.c of 5.10"),
    Fact(
        (6, 1), "free_asks_first_page", True, "seen on 6.1.192 (a stable kernel); cold and pageout ask the page there"
    ),
    Fact(
        (6, 3),
        "advice_asks_page",
        False,
        '07e8c82b5eff ("madvise: convert madvise_cold_or_pageout_pte_range() to use folios")',
    ),
    Fact(FIRST, "reclaim_splits_lazyfree", True, "shrink_page_list(), mm/vmscan.c of 5.10"),
    Fact(
        (6, 0),
        "reclaim_splits_lazyfree",
        False,
        "shrink_folio_list(), mm/vmscan.c of 6.1",
    ),
    Fact(FIRST, "reclaim_splits_shmem", True, "shrink_page_list(), mm/vmscan.c of 5.10"),
    Fact(
        (6, 12),
        "reclaim_splits_shmem",
        False,
        '809bc86517cc ("mm: shmem: support large folio swap out")',
    ),
    Fact(FIRST, "swaps_in_large_shmem", False, "shmem_swapin_folio(), mm/shmem.c; a guest of 6.12"),
    Fact(
        (6, 14),
        "swaps_in_large_shmem",
        True,
        '1dd44c0af4fb ("mm: shmem: skip swapcache for swapin of synchronous swap device")',
    ),
    Fact(FIRST, "migration_asks_page", True, "add_page_for_migration(), mm/migrate.c of 6.1"),
    Fact((6, 9), "migration_asks_page", False, "add_page_for_migration(), mm/migrate.c: folio_likely_mapped_shared()"),
    Fact(FIRST, "migration_needs_access", False, "add_page_for_migration(), follow_page_pte(), mm/gup.c of 5.10"),
    Fact(
        (6, 1),
        "migration_needs_access",
        True,
        '474098edac26 ("mm/gup: replace FOLL_NUMA by gup_can_follow_protnone()"); a guest of 6.1.192',
    ),
    Fact(
        (6, 6),
        "migration_needs_access",
        False,
        'd74943a2f3cd ("mm/gup: reintroduce FOLL_NUMA as FOLL_HONOR_NUMA_FAULT")',
    ),
    Fact(FIRST, "migration_splits", False, "migrate_pages_batch(), mm/migrate.c of 6.8; guests of 5.10 and 6.1"),
    Fact(
        (6, 10),
        "migration_splits",
        True,
        '7262f208ca68 ("mm/migrate: split source folio if it is on deferred split list")',
    ),
    Fact(FIRST, "migration_requeues", False, "__folio_migrate_mapping(), mm/migrate.c; guests of 5.10 and 6.1"),
    Fact((6, 12), "migration_requeues", True, "in stable releases: a guest of 6.12.118"),
    Fact((6, 13), "migration_requeues", False, "guests of 6.16.12 and 6.18.15"),
    Fact((7, 0), "migration_requeues", True, "migrate_folio_move(), mm/migrate.c of 7.3; a guest of 7.0.13"),
    Fact(FIRST, "discards_pmd", False, "try_to_unmap_one(), mm/rmap.c of 6.1; a guest of 6.12"),
    Fact(
        (6, 15),
        "discards_pmd",
        True,
        '"mm: avoid splitting pmd for lazyfree pmd-mapped THP in try_to_unmap"; guests of 6.16 and 6.18',
    ),
    Fact((7, 3), "discards_pmd", False, "try_to_unmap_one(), mm/rmap.c of 7.3"),
    Fact(FIRST, "discards_in_batches", False, "before 354dffd29575"),
    Fact(
        (6, 15),
        "discards_in_batches",
        True,
        '354dffd29575 ("mm: support batched unmap for lazyfree large folios during reclamation")',
    ),
    Fact(FIRST, "ksm_finds_orphans", True, "guests of 5.10 to 6.12"),
    Fact((7, 3), "ksm_finds_orphans", False, "a guest of 7.3"),
    Fact(FIRST, "swaps_to_first_cluster", False, "guests of 5.10 to 6.16"),
    Fact((6, 18), "swaps_to_first_cluster", True, "guests of 6.18 and 7.3"),
    Fact(FIRST, "swap_in", SwapIn.SMALL, "do_swap_page(), mm/memory.c of 6.1"),
    Fact(
        (6, 12),
        "swap_in",
        SwapIn.LARGE,
        '242d12c98174 ("mm: support large folios swap-in for sync io devices")',
    ),
    Fact(
        (7, 0),
        "swap_in",
        SwapIn.CACHED,
        '"mm, swap: never bypass the swap cache even for SWP_SYNCHRONOUS_IO"; do_swap_page(), mm/memory.c of 7.3',
    ),
    Fact(FIRST, "reuse_frees_swap", False, "do_wp_page(), mm/memory.c of 5.10"),
    Fact(
        (5, 18),
        "reuse_frees_swap",
        True,
        '53a05ad9f21d ("mm: optimize do_wp_page() for exclusive pages in the swapcache")',
    ),
    Fact(FIRST, "copy_frees_swap", False, "wp_page_copy(), mm/memory.c of 5.10"),
    Fact((5, 14), "copy_frees_swap", True, 'f4c4a3f48480 ("mm: free idle swap cache page after COW")'),
    Fact(FIRST, "dontneed_takes_hugetlb", False, "madvise_dontneed_free(), mm/madvise.c of 5.10"),
    Fact((5, 18), "dontneed_takes_hugetlb", True, '90e7e7f5ef3f ("mm: enable MADV_DONTNEED for hugetlb mappings")'),
    Fact(FIRST, "huge_zero_write_is_huge", False, "do_huge_pmd_wp_page(), mm/huge_memory.c of 6.12"),
    Fact((6, 13), "huge_zero_write_is_huge", True, '"mm: allocate THP on hugezeropage wp-fault", 6.13'),
    Fact(FIRST, "queues_after_huge_zero", False, "do_huge_zero_wp_pmd(), mm/huge_memory.c: seen on 6.16"),
    Fact((6, 18), "queues_after_huge_zero", True, "seen on 6.18; map_anon_folio_pmd_pf(), mm/huge_memory.c of 7.3"),
    Fact(
        FIRST, "merges_into_unfaulted", False, "is_mergeable_anon_vma(), mm/mmap.c of 5.10; seen on 5.10, 6.1 and 6.12"
    ),
    Fact(
        (6, 16),
        "merges_into_unfaulted",
        True,
        '"mm/vma: fix incorrectly disallowed anonymous VMA merges"; is_mergeable_anon_vma(), mm/vma.c of 7.3; seen on 6.16',
    ),
    Fact(FIRST, "mremap_checks_first", False, "mremap_to(), mm/mremap.c of 6.12"),
    Fact((6, 17), "mremap_checks_first", True, 'd23cb648e365 ("mm/mremap: permit mremap() move of multiple VMAs")'),
    Fact(FIRST, "bit56", Bit56.FIRST_PAGE, "pagemap_pmd_range(), fs/proc/task_mmu.c of 6.1"),
    Fact((6, 11), "bit56", Bit56.PAGE, "2c1f057e5be6"),
    Fact((6, 15), "bit56", Bit56.FIRST_PAGE, "pagemap_pmd_range_thp(), fs/proc/task_mmu.c of 7.3", page_mapcount=True),
    Fact((6, 15), "bit56", Bit56.FOLIO, "fs/proc/task_mmu.c of 7.3", page_mapcount=False),
    Fact(FIRST, "average_page_mapcount", False, "page_mapcount()"),
    Fact((6, 15), "average_page_mapcount", True, "ae4192b7691c; " + _NO_PAGE, page_mapcount=False),
    Fact(FIRST, "private_by_folio", False, "smaps_account()"),
    Fact((6, 15), "private_by_folio", True, "smaps_account(), fs/proc/task_mmu.c of 7.3", page_mapcount=False),
    Fact(FIRST, "whole_folio_mapped", False, "mm/rmap.c"),
    Fact((6, 15), "whole_folio_mapped", True, _NO_PAGE, page_mapcount=False),
    Fact(FIRST, "pss_by_entry", False, "smaps_account(); at once in the RFC of April 2026 alone"),
)


def era_of(release: str, *, page_mapcount: bool | None) -> Era:
    """
    Return what is known of a kernel release, as `uname -r` says it.

    `page_mapcount` tells whether it counts per page (CONFIG_PAGE_MAPCOUNT); None is "not known", and the default is
    assumed and noted. Raises UsageError if the release cannot be read, if no scheme covers it (before 4.5), or if it has
    no kernel without counts per page (before 6.15).
    """
    version = parse_release(release)
    if version < FIRST:
        raise UsageError(f"Linux {release}: ways of counting are known from {FIRST[0]}.{FIRST[1]} on, not before")
    if page_mapcount is False and version < (6, 15):
        raise UsageError(f"Linux {release} always counts per page: CONFIG_NO_PAGE_MAPCOUNT came with 6.15")
    counts = page_mapcount is not False
    facts = {
        fact.name: fact
        for fact in FACTS
        if fact.since <= version and (fact.page_mapcount is None or fact.page_mapcount == counts)
    }
    return Era(
        release,
        version,
        facts["scheme"].value,
        Policies(**{field.name: facts[field.name].value for field in fields(Policies)}),
        Quirks(**{field.name: facts[field.name].value for field in fields(Quirks)}),
        {name: fact.source for name, fact in facts.items()},
        _notes(release, version, page_mapcount=page_mapcount),
    )


def parse_release(release: str) -> tuple[int, int]:
    """Return (6, 12) of "6.12.107+deb12-amd64". Raises UsageError if it does not begin with two numbers."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})(?!\d)", release)
    if not match:
        raise UsageError(f"{release!r} is no kernel release: it should begin like 6.12")
    return int(match[1]), int(match[2])


def _notes(release: str, version: tuple[int, int], *, page_mapcount: bool | None) -> tuple[str, ...]:
    notes = []
    if page_mapcount is None and version >= (6, 15):
        notes.append("Whether this kernel counts per page is not known: the default is assumed, that it does.")
    if version > LAST_READ:
        notes.append(f"The source of {release} was not read: it is taken for {LAST_READ[0]}.{LAST_READ[1]}.")
    if version in {(6, 6), (6, 10)}:
        notes.append("Later stable releases of this one judge bit 56 page by page, as 6.11 does (6.6.44 and after).")
    return tuple(notes)
