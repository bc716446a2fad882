"""Who reads in a kernel, under which locks, what they rely on, and what happens if that does not hold. One row a caller.

Locks are those of the caller, checked in the source that is named; `locks` are kinds (locks.py), the page-table lock and
mmap_lock being those of address space 1. What the folio lock keeps out is what takes it: faults and migration. fork, zap and
the split of a PMD never take it (include/linux/rmap.h, mm/memory.c, 7.1).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, RMAP_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterable

READER_MM = 1
_LOCKS = {
    "folio": FOLIO_LOCK,
    "rmap": RMAP_LOCK,
    "ptl": PAGE_TABLE + READER_MM,
    "mmap": MMAP_LOCK + READER_MM,
}


class Class(enum.Enum):
    """What a wrong value amounts to."""

    STALE = "stale"
    """it was true, and may not be any more: accepted, no way of counting cures it"""
    ESTIMATE = "approximate by design"
    """it is wrong without any race too: the scheme guesses, or has given up exactness"""
    TORN = "torn"
    """it was never true; nobody comes to harm"""
    RECHECKED = "re-checked"
    """it was never true; the caller knows, and looks again before it acts"""
    CONSEQUENTIAL = "consequential"
    """it was never true, and the caller acts on it"""


@dataclass(frozen=True)
class Context:
    """
    A caller of a reader.

    `asks` are readers (or questions of callers.py), the first that a scheme has is asked. `relies` are the properties that
    it needs, `wrong` the class of a violation. `writers` names the mixes (mixes.py) that it is explored with by default.
    """

    id: str
    function: str
    asks: tuple[str, ...]
    locks: tuple[str, ...]
    reference: bool
    relies: tuple[str, ...]
    wrong: Class
    damage: str
    recheck: str
    writers: tuple[str, ...]
    source: str
    approximates: str = ""
    """what the model allows and a kernel may not"""
    by_default: bool = True
    """it has a row in the default set; else it asks what another one does, under locks that make no difference"""
    rechecked_by: str = ""
    """the caller that goes on after this look to the point of no return, and so is the model of `recheck`"""

    def holds(self, more: Iterable[str] = ()) -> tuple[int, ...]:
        """Return its locks by number, and those of these kinds that it does not have; what is no lock has no number."""
        return tuple(_LOCKS[kind] for kind in dict.fromkeys((*self.locks, *sorted(more))) if kind in _LOCKS)


CONTEXTS: dict[str, Context] = {
    one.id: one
    for one in (
        Context(
            "mapcount",
            "anyone",
            ("folio_mapcount",),
            (),
            reference=True,
            relies=("explainable", "never-under", "never-over", "no-false-unmapped"),
            wrong=Class.TORN,
            damage="the number of mappings is one that the folio never had",
            recheck="",
            writers=("zap-fault", "pmd-and-ptes"),
            source='the thread of August 2023: "people check the mapcount while holding no locks"',
        ),
        Context(
            "kpagecount",
            "/proc/kpagecount",
            ("page_mapcount", "folio_average_page_mapcount"),
            (),
            reference=False,
            relies=("explainable",),
            wrong=Class.TORN,
            damage="a tool shows a count that the page never had",
            recheck="",
            writers=("zap-fault",),
            source="fs/proc/page.c get_kpage_count(), 7.3: neither lock nor reference, words copied first (snapshot_page)",
        ),
        Context(
            "smaps",
            "smaps_account()",
            ("page_mapcount", "folio_average_page_mapcount"),
            ("ptl",),
            reference=False,
            relies=("explainable",),
            wrong=Class.TORN,
            damage="Pss and Uss are off by this page",
            recheck="",
            writers=("zap-fault",),
            source="fs/proc/task_mmu.c smaps_pte_range(), 7.3: the page-table lock of the process that is read",
        ),
        Context(
            "compaction",
            "isolate_migratepages_block()",
            ("extra_references",),
            (),
            reference=True,
            relies=("pin-never-hidden", "never-over"),
            wrong=Class.RECHECKED,
            damage="a pinned folio is isolated, or a movable one skipped: wasted work",
            recheck="migration compares and freezes the reference count when all is unmapped",
            writers=("fork-zap",),
            source='mm/compaction.c, 6.5 to 7.3: a reference of its own, "admittedly racy"; C leaves the order open',
            rechecked_by="migration",
        ),
        Context(
            "split",
            "can_split_folio(), __folio_split()",
            ("extra_references_mapcount_first",),
            ("folio", "rmap"),
            reference=True,
            relies=("pin-never-hidden", "never-over"),
            wrong=Class.RECHECKED,
            damage="a split is tried in vain, or not tried",
            recheck="the references are frozen when all is unmapped; if that fails the split is undone",
            writers=("fork-zap",),
            source="mm/huge_memory.c __folio_split(), 7.3: folio lock, anon_vma lock, refcount freeze",
            rechecked_by="split-to-the-end",
        ),
        Context(
            "collapse",
            "__collapse_huge_page_isolate(), write_protect_page()",
            ("extra_references_mapcount_first",),
            ("folio", "ptl", "mmap"),
            reference=False,
            relies=("pin-never-hidden",),
            wrong=Class.CONSEQUENTIAL,
            damage="a page that somebody pinned is copied or merged: what is written through the pin is lost",
            recheck="",
            writers=("hand-over",),
            approximates=(
                "the reference beyond the mappings is any; from 5.19 on a pin of an anon page makes it exclusive to its "
                "process first (GUP unshares, fork copies), so of these traces only other references are left, or large "
                "folios of which another page is shared"
            ),
            source=(
                "mm/khugepaged.c, mm/ksm.c, 7.3: folio lock, page-table lock, mmap_lock (khugepaged: for writing); KSM of "
                "folios of one page"
            ),
        ),
        Context(
            "lazyfree",
            "__discard_anon_folio_pmd_locked()",
            ("extra_references",),
            ("folio", "rmap", "ptl"),
            reference=True,
            relies=("pin-never-hidden",),
            wrong=Class.CONSEQUENTIAL,
            damage="a folio that somebody pinned is thrown away",
            recheck="",
            writers=("split-zap",),
            approximates=(
                "the reference beyond the mappings is any; from 5.19 on a pin of an anon page makes it exclusive to its "
                "process first (GUP unshares, fork copies), so of these traces only other references are left, or large "
                "folios of which another page is shared"
            ),
            source="mm/huge_memory.c, 7.3: PMD cleared, references before mappings; the folio's, rmap's and page-table lock",
        ),
        Context(
            "reclaim",
            "shrink_folio_list(), try_to_unmap()",
            ("folio_mapped",),
            ("folio",),
            reference=True,
            relies=("no-false-unmapped",),
            wrong=Class.RECHECKED,
            damage="a folio that is mapped is taken for unmapped",
            recheck="__remove_mapping() and folio_migrate_mapping() freeze the references, of which each mapping has one",
            writers=("pmd-and-ptes",),
            source="mm/vmscan.c and mm/rmap.c, 7.3: the folio lock; the rmap's lock as well while it walks",
            rechecked_by="remove-mapping",
        ),
        Context(
            "madvise",
            "madvise_cold_or_pageout_pte_range(), madvise_free_pte_range()",
            ("mapped_shared",),
            ("ptl",),
            reference=False,
            relies=("no-false-exclusive",),
            wrong=Class.CONSEQUENTIAL,
            damage="memory that another process uses is paged out, split or marked for freeing",
            recheck="",
            writers=("hand-over",),
            source="mm/madvise.c, 7.3: the page-table lock of the process that asks",
        ),
        Context(
            "move_pages",
            "add_folio_for_migration()",
            ("mapped_shared",),
            (),
            reference=True,
            relies=("no-false-exclusive",),
            wrong=Class.CONSEQUENTIAL,
            damage="memory of other processes is moved without the right to",
            recheck="",
            writers=("hand-over",),
            approximates="a kernel whose folio_walk_start() takes the page-table lock (7.3 does): see madvise",
            source="mm/migrate.c, 6.5: a reference, no page-table lock (7.3 holds it: see madvise)",
        ),
        Context(
            "cow-reuse",
            "wp_can_reuse_anon_folio()",
            ("others_by_owner", "others_by_refcount"),
            ("ptl",),
            reference=False,
            relies=("no-false-exclusive", "no-false-shared"),
            wrong=Class.CONSEQUENTIAL,
            damage="a process writes to memory that another one, or a pin, still sees",
            recheck="",
            writers=("hand-over",),
            source="mm/memory.c do_wp_page(), 5.9 to 7.1: the page-table lock of the process that writes",
        ),
        Context(
            "cow-by-mapcount",
            "reuse_swap_page()",
            ("others_by_mapcount",),
            ("folio", "ptl"),
            reference=False,
            relies=("no-false-exclusive",),
            wrong=Class.CONSEQUENTIAL,
            damage="a process writes to memory that another one, or a pin, still sees",
            recheck="",
            writers=("hand-over",),
            source="mm/memory.c do_wp_page() and mm/swapfile.c, up to 5.17 for THPs: folio lock and page-table lock",
        ),
        Context(
            "kpageflags",
            "/proc/kpageflags",
            ("folio_mapped",),
            (),
            reference=False,
            relies=("no-false-unmapped",),
            wrong=Class.TORN,
            damage="a tool shows a mapped page without MMAP",
            recheck="",
            writers=("pmd-and-ptes",),
            source="fs/proc/page.c stable_page_flags(), 7.3: neither lock nor reference; words are copied first",
            by_default=False,
        ),
        Context(
            "referenced",
            "folio_referenced()",
            ("folio_mapcount",),
            (),
            reference=True,
            relies=("never-under",),
            wrong=Class.CONSEQUENTIAL,
            damage="the rmap walk stops early, references are missed, and a folio in use is reclaimed",
            recheck="",
            writers=("zap-fault",),
            source="mm/rmap.c, 7.3: counted down from the first reading; the folio lock for file folios alone",
            by_default=False,
        ),
        Context(
            "memory-failure",
            "hwpoison_user_mappings(), unmap_poisoned_folio()",
            ("folio_mapped",),
            ("folio",),
            reference=True,
            relies=("no-false-unmapped",),
            wrong=Class.CONSEQUENTIAL,
            damage="a poisoned page is taken for unmapped, and processes that map it are not told",
            recheck="",
            writers=("pmd-and-ptes",),
            source="mm/memory-failure.c, 7.3: the folio lock",
            by_default=False,
        ),
        Context(
            "numa",
            "numa_migrate_check(), folio_can_map_prot_numa(), migrate_misplaced_folio_prepare()",
            ("mapped_shared",),
            ("ptl",),
            reference=False,
            relies=("no-false-exclusive", "no-false-shared"),
            wrong=Class.TORN,
            damage="tasks are grouped, or pages scanned and moved, for nothing",
            recheck="",
            writers=("hand-over",),
            source="mm/memory.c, mm/mempolicy.c, mm/migrate.c, 7.3: the page-table lock (6.5 without it when it moves)",
            by_default=False,
        ),
        Context(
            "madvise-whole",
            "madvise_cold_or_pageout_pte_range(), madvise_free_pte_range()",
            ("folio_mapcount",),
            ("ptl",),
            reference=False,
            relies=("never-under",),
            wrong=Class.CONSEQUENTIAL,
            damage="a folio that others map is taken for one that is mapped once a page, and paged out or marked for freeing",
            recheck="",
            writers=("zap-fault",),
            approximates="a kernel before 6.10, which does not ask this (3931b871c494, avoid split during MADV_PAGEOUT)",
            source="mm/madvise.c, 7.3: the number of mappings against that of pages, under the page-table lock",
            by_default=False,
        ),
        Context(
            "khugepaged-scan",
            "collapse_scan_pmd(), collapse_scan_file()",
            ("extra_references_mapcount_first",),
            ("ptl", "mmap"),
            reference=False,
            relies=("pin-never-hidden", "never-over"),
            wrong=Class.RECHECKED,
            damage="a collapse is tried in vain, or not tried",
            recheck="__collapse_huge_page_isolate() asks again with the folio locked (see collapse)",
            writers=("hand-over",),
            approximates="a scan of files holds neither lock, and from 2025 on a reference of its own",
            source='mm/khugepaged.c, 7.3: "Here the check is racy, but such cases are ephemeral"',
            by_default=False,
        ),
        Context(
            "migration",
            "isolate_migratepages_block(), migrate_pages()",
            ("migration",),
            (),
            reference=True,
            relies=("pin-never-hidden",),
            wrong=Class.CONSEQUENTIAL,
            damage="a folio that somebody pinned is copied: what is written through the pin is lost",
            recheck="",
            writers=("fork-zap", "fault-touch"),
            source=(
                "mm/migrate.c migrate_folio_unmap(), folio_migrate_mapping(), 7.3: the folio lock, the rmap's while it walks, "
                "the page-table locks one by one"
            ),
            by_default=False,
        ),
        Context(
            "split-to-the-end",
            "__folio_split(), __folio_freeze_and_split_unmapped()",
            ("split_to_the_end",),
            ("folio", "rmap"),
            reference=True,
            relies=("pin-never-hidden",),
            wrong=Class.CONSEQUENTIAL,
            damage="a folio that somebody pinned is split under him",
            recheck="",
            writers=("fork-zap",),
            source="mm/huge_memory.c, 7.3: the folio's and the rmap's lock, the page-table locks one by one",
            by_default=False,
        ),
        Context(
            "remove-mapping",
            "shrink_folio_list(), __remove_mapping()",
            ("remove_mapping",),
            ("folio",),
            reference=True,
            relies=("no-false-unmapped",),
            wrong=Class.CONSEQUENTIAL,
            damage="a folio that is mapped is freed",
            recheck="",
            writers=("pmd-and-ptes",),
            source="mm/vmscan.c, 7.3: the folio lock; references of the page cache and its own are expected",
            by_default=False,
        ),
    )
}
