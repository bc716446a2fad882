"""Who reads in a kernel, under which locks, what they rely on, and what happens if that does not hold. One row a caller.

Locks are those of the caller, checked in the source that is named; `locks` are kinds (locks.py), the page-table lock and
mmap_lock being those of address space 1. What the folio lock keeps out is what takes it: faults and migration. fork, zap and
the split of a PMD never take it (include/linux/rmap.h, mm/memory.c, 7.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mapcount.check.harm import Class, Harm
from mapcount.check.locks import FOLIO_LOCK, MMAP_LOCK, PAGE_TABLE, RMAP_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READER_MM = 1
_LOCKS = {
    "folio": FOLIO_LOCK,
    "rmap": RMAP_LOCK,
    "ptl": PAGE_TABLE + READER_MM,
    "mmap": MMAP_LOCK + READER_MM,
}


@dataclass(frozen=True)
class Context:
    """
    A caller of a reader.

    `asks` are readers (or questions of callers.py), the first that a scheme has is asked. `relies` are the properties that
    it needs, each with what comes of it if it does not hold: a hidden pin and one that is not there are two things.
    `writers` names the mixes (mixes.py) that it is explored with by default.
    """

    id: str
    function: str
    asks: tuple[str, ...]
    locks: tuple[str, ...]
    reference: bool
    relies: Mapping[str, Harm]
    writers: tuple[str, ...]
    source: str
    approximates: str = ""
    """what the model allows and a kernel may not"""
    by_default: bool = True
    """it has a row in the default set; else it asks what another one does, under locks that make no difference"""
    pages_read: tuple[int, ...] = (0,)
    """it reads so often, and of these pages where the reader is about one; several reads are judged together"""
    rechecked_by: str = ""
    """the caller that goes on after this look to the point of no return, and so is the model of `recheck`"""

    def holds(self, more: Iterable[str] = ()) -> tuple[int, ...]:
        """Return its locks by number, and those of these kinds that it does not have; what is no lock has no number."""
        return tuple(_LOCKS[kind] for kind in dict.fromkeys((*self.locks, *sorted(more))) if kind in _LOCKS)


_LEAK = "a process writes to memory that another one, or a pin, still sees"
_COPY = "a page is copied that nobody else uses"
CONTEXTS: dict[str, Context] = {
    one.id: one
    for one in (
        Context(
            "mapcount",
            "anyone",
            ("folio_mapcount",),
            (),
            reference=True,
            relies={
                "explainable": Harm(Class.TORN, "the number of mappings is one that the folio never had"),
                "never-under": Harm(Class.TORN, "mappings are missing; for who counts down from it see referenced"),
                "never-over": Harm(Class.TORN, "mappings are counted that never were at once"),
                "no-false-unmapped": Harm(
                    Class.TORN, "a mapped folio looks unmapped; what reclaim makes of that: see reclaim"
                ),
                "same-folio": Harm(Class.TORN, "the number of mappings is another folio's"),
            },
            writers=("zap-fault", "pmd-and-ptes"),
            source='the thread of August 2023: "people check the mapcount while holding no locks"',
        ),
        Context(
            "mapcount-twice",
            "anyone, two times",
            ("folio_mapcount",),
            (),
            reference=True,
            relies={
                "reads-in-order": Harm(
                    Class.TORN, "who compares two readings sees a change that was none, or misses one"
                )
            },
            writers=("zap-fault",),
            source="mm/vmscan.c shrink_folio_list(), 7.3, is one who asks again what was asked before (folio_mapped())",
            by_default=False,
            pages_read=(0, 0),
        ),
        Context(
            "kpagecount-pages",
            "/proc/kpagecount of one page after another",
            ("page_mapcount",),
            (),
            reference=False,
            relies={
                "reads-in-order": Harm(Class.TORN, "who puts a folio together from its pages sees half an operation")
            },
            writers=("zap-fault",),
            source="fs/proc/page.c kpagecount_read(), 7.3: page by page; tools/mm/page-types.c reads so",
            by_default=False,
            pages_read=(0, 1),
        ),
        Context(
            "kpagecount",
            "/proc/kpagecount",
            ("page_mapcount", "folio_average_page_mapcount"),
            (),
            reference=False,
            relies={
                "explainable": Harm(Class.TORN, "a tool shows a count that the page never had"),
                "same-folio": Harm(Class.TORN, "a tool shows the count of another folio for the one that it looked at"),
            },
            writers=("zap-fault",),
            source="fs/proc/page.c get_kpage_count(), 7.3: neither lock nor reference, words copied first (snapshot_page)",
        ),
        Context(
            "smaps",
            "smaps_account()",
            ("page_mapcount", "folio_average_page_mapcount"),
            ("ptl",),
            reference=False,
            relies={"explainable": Harm(Class.TORN, "Pss and Uss are off by this page")},
            writers=("zap-fault",),
            source="fs/proc/task_mmu.c smaps_pte_range(), 7.3: the page-table lock of the process that is read",
        ),
        Context(
            "compaction",
            "isolate_migratepages_block()",
            ("extra_references",),
            (),
            reference=True,
            relies={
                "pin-never-hidden": Harm(
                    Class.RECHECKED,
                    "a pinned folio is isolated, which is wasted work",
                    "migration compares and freezes the reference count when all is unmapped",
                ),
                "never-over": Harm(
                    Class.TORN, "a folio that could be moved is passed over, until compaction comes again"
                ),
            },
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
            relies={
                "pin-never-hidden": Harm(
                    Class.RECHECKED,
                    "a split is tried in vain, and all mappings are replaced twice",
                    "the references are frozen when all is unmapped; if that fails the split is undone",
                ),
                "never-over": Harm(Class.TORN, "a split is refused (EAGAIN) that would have been possible"),
            },
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
            relies={
                "pin-never-hidden": Harm(
                    Class.CONSEQUENTIAL,
                    "a page that somebody pinned is copied or merged: what is written through the pin is lost",
                )
            },
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
            relies={"pin-never-hidden": Harm(Class.CONSEQUENTIAL, "a folio that somebody pinned is thrown away")},
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
            relies={
                "no-false-unmapped": Harm(
                    Class.RECHECKED,
                    "a folio that is mapped is taken for unmapped",
                    "__remove_mapping() and folio_migrate_mapping() freeze the references, of which each mapping has one",
                )
            },
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
            relies={
                "no-false-exclusive": Harm(
                    Class.CONSEQUENTIAL, "memory that another process uses is paged out, split or marked for freeing"
                )
            },
            writers=("hand-over",),
            source="mm/madvise.c, 7.3: the page-table lock of the process that asks",
        ),
        Context(
            "move_pages",
            "add_folio_for_migration()",
            ("mapped_shared",),
            (),
            reference=True,
            relies={
                "no-false-exclusive": Harm(
                    Class.CONSEQUENTIAL, "memory of other processes is moved without the right to"
                ),
                "no-false-shared": Harm(Class.TORN, "EACCES for memory that is the process's own"),
            },
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
            relies={
                "no-false-exclusive": Harm(Class.CONSEQUENTIAL, _LEAK),
                "no-false-shared": Harm(Class.TORN, _COPY),
            },
            writers=("hand-over",),
            source="mm/memory.c do_wp_page(), 5.9 to 7.1: the page-table lock of the process that writes",
        ),
        Context(
            "cow-by-mapcount",
            "reuse_swap_page()",
            ("others_by_mapcount",),
            ("folio", "ptl"),
            reference=False,
            relies={
                "no-false-exclusive": Harm(Class.CONSEQUENTIAL, _LEAK),
                "no-false-shared": Harm(Class.TORN, _COPY),
            },
            writers=("hand-over",),
            source="mm/memory.c do_wp_page() and mm/swapfile.c, up to 5.17 for THPs: folio lock and page-table lock",
        ),
        Context(
            "kpageflags",
            "/proc/kpageflags",
            ("folio_mapped",),
            (),
            reference=False,
            relies={"no-false-unmapped": Harm(Class.TORN, "a tool shows a mapped page without MMAP")},
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
            relies={
                "never-under": Harm(
                    Class.CONSEQUENTIAL,
                    "the rmap walk stops early, references are missed, and a folio in use is reclaimed",
                )
            },
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
            relies={
                "no-false-unmapped": Harm(
                    Class.CONSEQUENTIAL,
                    "a poisoned page is taken for unmapped, and processes that map it are not told",
                )
            },
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
            relies={
                "no-false-exclusive": Harm(
                    Class.TORN,
                    "tasks that share memory are not grouped; shared pages are scanned, and shared libraries moved",
                ),
                "no-false-shared": Harm(Class.TORN, "a process's own pages are not scanned, or not moved to its node"),
            },
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
            relies={
                "never-under": Harm(
                    Class.CONSEQUENTIAL,
                    "a folio that others map is taken for one that is mapped once a page, and paged out or marked for freeing",
                )
            },
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
            relies={
                "pin-never-hidden": Harm(
                    Class.RECHECKED,
                    "a collapse is tried in vain",
                    "__collapse_huge_page_isolate() asks again with the folio locked (see collapse)",
                ),
                "never-over": Harm(Class.TORN, "a collapse is not tried, until the next scan"),
            },
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
            relies={
                "pin-never-hidden": Harm(
                    Class.CONSEQUENTIAL,
                    "a folio that somebody pinned is copied: what is written through the pin is lost",
                )
            },
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
            relies={"pin-never-hidden": Harm(Class.CONSEQUENTIAL, "a folio that somebody pinned is split under him")},
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
            relies={"no-false-unmapped": Harm(Class.CONSEQUENTIAL, "a folio that is mapped is freed")},
            writers=("pmd-and-ptes",),
            source="mm/vmscan.c, 7.3: the folio lock; references of the page cache and its own are expected",
            by_default=False,
        ),
    )
}
