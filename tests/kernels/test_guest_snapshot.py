"""The snapshot of a guest, of memory made by hand: each table against what was put there."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.guest_ram import NEW, Ram
from mapcount.kernels.guest_snapshot import GuestFacts, _whole_entries, take_snapshot
from mapcount.kernels.guest_tables import GuestEntries
from mapcount.mapping.integrity import find_fault
from mapcount.mapping.schema import Consistency, Kind, Level, SwapKind
from mapcount.survey.run import survey

ANON, FILE = 0xFFFF888000ABC001, 0xFFFF888000DEF000
HEAP, HUGE, VVAR = 0x555500000000, 0x700000000000, 0x7FFFF7FF0000
THP, PARTLY, SHARED, ZERO, DATA = 1024, 1536, 600, 601, 602
SWAP_ENTRY, NO_DEVICE, MIGRATION = 1 << 9, 1 << 59 | 1 << 9, 31 << 59 | 1 << 9
"""Entries of types 0, 1 and 31. One device is swapped to: type 0."""


class Files:
    """/proc and /sys of a guest, as texts by path."""

    def __init__(self, texts):
        self.texts = texts
        self.drained = 0

    def exists(self, path):
        return path in self.texts

    def read(self, path):
        return self.texts[path].encode()

    def drain_lru_batches(self):
        self.drained += 1


def proc_of(pid, comm, *vmas, rss_kib=0):
    maps = "".join(f"{start:x}-{end:x} {perms} 00000000 00:00 0 {path}\n" for start, end, perms, path, _ in vmas)
    smaps = "".join(
        f"{start:x}-{end:x} {perms} 00000000 00:00 0 {path}\nRss: 4 kB\nVmFlags: rd wr mr{flags}\n"
        for start, end, perms, path, flags in vmas
    )
    stat = f"{pid} ({comm}) S 1 " + " ".join(str(number) for number in range(5, 53))
    texts = {"maps": maps, "smaps": smaps, "stat": stat, "smaps_rollup": f"Rss: {rss_kib} kB\nPss: {rss_kib} kB\n"}
    return {f"/proc/{pid}/{name}": text for name, text in texts.items()}


@pytest.fixture
def guest():
    """
    /init (1) and p (57), with which 58 shares its mm; the two map a page together.

    p also maps: a THP by two PMDs; 13 pages of another folio, of which it gave back the rest; a zero page; data of the kernel.
    Two pages of its heap are in swap, one migrates, and one has an entry of a type without a device.
    """
    ram = Ram()
    ram.task(0)
    init, p = ram.task(1, mm_id=7), ram.task(57, mm_id=11)
    ram.task_of(2, 0)
    ram.task_of(58, ram.mms[57])
    ram.folio(THP, 9, mapping=ANON, refcount=1)
    ram.word(THP, NEW.folio["_entire_mapcount"], "i", 1)
    ram.word(THP, NEW.folio["_mm_ids"], "Q", 11)
    for address in (HUGE, HUGE + (2 << 20)):
        ram.map(p, address, THP << 12 | 0x81, shift=21)
    ram.folio(PARTLY, 4, mapping=ANON, refcount=13)
    for page in range(13):
        ram.map(p, HEAP + (page << 12), PARTLY + page << 12 | 1)
        ram.word(PARTLY + page, NEW.page["_mapcount"], "i", 0)
    ram.word(PARTLY, NEW.folio["_entire_mapcount"], "i", -1)
    ram.word(PARTLY, NEW.folio["_mm_ids"], "Q", 99 << 32 | 7)
    ram.folio(SHARED, 0, mapping=FILE, refcount=3)
    ram.word(SHARED, NEW.page["_mapcount"], "i", 1)
    for top in (init, p):
        ram.map(top, HEAP + (17 << 12), SHARED << 12 | 1)
    for page, entry in ((19, SWAP_ENTRY), (20, SWAP_ENTRY), (21, MIGRATION), (22, NO_DEVICE)):
        ram.map(p, HEAP + (page << 12), entry)
    reserved = 1 << NEW.flags["reserved"]
    for pfn, address in ((ZERO, HEAP + (23 << 12)), (DATA, VVAR)):
        ram.folio(pfn, 0, mapping=0, flags=reserved)
        ram.map(p, address, pfn << 12 | 1)
    heap = (HEAP, HEAP + (29 << 12), "rw-p", "[heap]", "")
    texts = proc_of(1, "init", heap, rss_kib=4)
    for pid in (57, 58):
        huge, vvar = (HUGE, HUGE + (4 << 20), "rw-p", "", ""), (VVAR, VVAR + 4096, "r--p", "[vvar]", "")
        texts |= proc_of(pid, "init", heap, huge, vvar, rss_kib=4 * (1024 + 13 + 1))
    texts |= {
        "/proc/meminfo": "MemTotal: 8192 kB\nAnonHugePages: 2048 kB\n",
        "/proc/vmstat": "nr_free_pages 23\n",
        "/proc/zoneinfo": "Node 0, zone DMA32\n  spanned 2048\n  start_pfn: 0\n",
        "/proc/swaps": "Filename Type Size\n/dev/ram0 partition 131064\n",
        "/proc/sys/kernel/version": "#1 SMP\n",
        "/proc/sys/kernel/random/boot_id": "an-id\n",
        "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
        "/sys/kernel/mm/transparent_hugepage/hugepages-64kB/stats/nr_anon": "1\n",
    }
    return ram, Files(texts)


def taken(guest, *, page_mapcount=True, keep_pfns=False):
    ram, files = guest
    facts = GuestFacts("6.16.12", page_mapcount, {57: "p"}, "What was done.", "the command")
    snapshot = take_snapshot(ram.memory(), files, facts, keep_pfns=keep_pfns)
    assert find_fault(snapshot) == ""
    assert files.drained == 1
    return snapshot


def folio_of(snapshot, pfn):
    return snapshot.folios.pfn.tolist().index(pfn)


def test_processes_and_what_they_map(guest):
    snapshot = taken(guest, keep_pfns=True)
    mms = snapshot.mms
    assert list(zip(mms.pid, mms.pids, mms.comm, strict=True)) == [(1, "1", "init"), (57, "57 58", "p")]
    assert snapshot.vmas.path.tolist() == ["[heap]", "[heap]", "", "[vvar]"]
    pfn = snapshot.folios.pfn[snapshot.runs.folio_id]
    runs = snapshot.runs
    rows = zip(runs.mm_id, runs.vma_id, runs.address, pfn, runs.first_page, runs.nr_pages, runs.level, strict=True)
    assert sorted(tuple(map(int, row)) for row in rows) == [
        (0, 0, HEAP + (17 << 12), SHARED, 0, 1, Level.PTE),
        (1, 1, HEAP, PARTLY, 0, 13, Level.PTE),
        (1, 1, HEAP + (17 << 12), SHARED, 0, 1, Level.PTE),
        (1, 1, HEAP + (23 << 12), ZERO, 0, 1, Level.PTE),
        (1, 2, HUGE, THP, 0, 512, Level.PMD),
        (1, 2, HUGE + (2 << 20), THP, 0, 512, Level.PMD),
        (1, 3, VVAR, DATA, 0, 1, Level.PTE),
    ]
    kinds = {int(pfn): Kind(kind) for pfn, kind in zip(snapshot.folios.pfn, snapshot.folios.kind, strict=True)}
    assert kinds == {THP: Kind.ANON, PARTLY: Kind.ANON, SHARED: Kind.FILE, ZERO: Kind.ZERO, DATA: Kind.DEVICE}
    assert snapshot.folios.node.tolist() == [0] * 5


def test_small_pages_and_swap(guest):
    snapshot = taken(guest)
    small, swap = snapshot.small, snapshot.swap
    columns = (small.vma_id, small.kind, small.mappings, small.found, small.mms, small.pages)
    assert sorted(tuple(map(int, row)) for row in zip(*columns, strict=True)) == [
        (0, Kind.FILE, 2, 2, 2, 1),
        (1, Kind.FILE, 2, 2, 2, 1),
        (1, Kind.ZERO, 1, 1, 1, 1),
        (3, Kind.DEVICE, 1, 1, 1, 1),
    ]
    rows = {
        (int(vma), SwapKind(kind)): int(pages)
        for vma, kind, pages in zip(swap.vma_id, swap.kind, swap.pages, strict=True)
    }
    assert rows == {(1, SwapKind.SWAP): 2, (1, SwapKind.SPECIAL): 2}
    assert snapshot.folios.pfn is None


def test_words_and_counts(guest):
    snapshot = taken(guest, keep_pfns=True)
    words, counts = snapshot.observed_words, snapshot.observed_counts

    def said(pfn, word):
        rows = (words.folio_id == folio_of(snapshot, pfn)) & (words.word == word)
        return list(zip(words.first_page[rows], words.nr_pages[rows], words.value[rows], strict=True))

    def counted(pfn):
        rows = counts.folio_id == folio_of(snapshot, pfn)
        return list(zip(counts.first_page[rows], counts.nr_pages[rows], counts.count[rows], strict=True))

    assert said(PARTLY, "_mapcount") == [(0, 13, 0), (13, 3, -1)]
    assert said(PARTLY, "_mm_id[0]") == [(0, 16, 0)]  # the kernel's 7 is /init
    assert said(PARTLY, "_mm_id[1]") == [(0, 16, -2)]  # 99 is nobody here
    assert said(THP, "_mm_id[0]") == [(0, 512, 1)] and said(THP, "_mm_id[1]") == [(0, 512, -1)]
    assert said(THP, "_entire_mapcount") == [(0, 512, 1)]
    assert said(SHARED, "_refcount") == [(0, 1, 3)]
    assert counted(PARTLY) == [(0, 13, 1), (13, 3, 0)]
    assert counted(THP) == [(0, 512, 2)] and counted(SHARED) == [(0, 1, 2)]
    assert set(snapshot.folios.consistency[[folio_of(snapshot, pfn) for pfn in (THP, PARTLY, SHARED)]]) == {
        Consistency.CHECKED
    }


def test_a_count_that_no_page_table_explains_is_told(guest):
    ram, _ = guest
    ram.word(PARTLY + 14, NEW.page["_mapcount"], "i", 2)
    snapshot = taken(guest, keep_pfns=True)
    assert snapshot.folios.consistency[folio_of(snapshot, PARTLY)] == Consistency.UNSEEN_MAPPER
    unseen = snapshot.unseen
    assert [(int(unseen.first_page[0]), int(unseen.nr_pages[0]), int(unseen.mappings[0]))] == [(14, 1, 3)]


def test_without_counts_per_page_large_folios_are_unchecked(guest):
    snapshot = taken(guest, page_mapcount=False, keep_pfns=True)
    assert snapshot.meta.counts_are == "average"
    assert snapshot.folios.consistency[folio_of(snapshot, PARTLY)] == Consistency.UNCHECKED
    assert folio_of(snapshot, PARTLY) not in snapshot.observed_counts.folio_id
    assert "_mapcount" not in snapshot.observed_words.word[snapshot.observed_words.folio_id == folio_of(snapshot, THP)]


def test_hugetlb_is_known_by_its_vma(guest):
    ram, files = guest
    ram.folio(THP, 9, mapping=FILE)
    ram.word(THP, NEW.folio["_entire_mapcount"], "i", 0)
    for pid in (57, 58):
        files.texts[f"/proc/{pid}/smaps"] = files.texts[f"/proc/{pid}/smaps"].replace(
            f"{HUGE:x}-{HUGE + (4 << 20):x} rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr mr",
            f"{HUGE:x}-{HUGE + (4 << 20):x} rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr mr ht sd",
        )
    snapshot = taken(guest, keep_pfns=True)
    assert snapshot.folios.kind[folio_of(snapshot, THP)] == Kind.HUGETLB
    assert snapshot.folios.kind[folio_of(snapshot, PARTLY)] == Kind.ANON


def test_metadata_and_what_the_kernel_said(guest):
    snapshot = taken(guest)
    meta = snapshot.meta
    assert (meta.scope, meta.kernel_release, meta.counts_are, meta.mem_total_bytes) == (
        "all",
        "6.16.12",
        "exact",
        8 << 20,
    )
    assert (meta.processes_seen, meta.kernel_threads, meta.settings) == (3, 1, {"enabled": "madvise"})
    assert meta.notes[0] == "What was done."
    verdicts = {check.name: check.verdict for check in survey(snapshot).checks}
    assert verdicts["Rss of pid 57 (p)"] == verdicts["Rss of pid 1 (init)"] == "equal"
    assert verdicts["PMD-mapped anon (AnonHugePages)"] == verdicts["anon folios of 64kB"] == "equal"


def test_entries_of_all_levels_are_runs_of_their_own():
    pmd, pud = 512, 512**2
    page = np.concatenate([np.arange(3), 512 + np.arange(2 * pmd), (1 << 20) + np.arange(2 * pud)])
    level = np.repeat([Level.PTE, Level.PMD, Level.PUD], [3, 2 * pmd, 2 * pud]).astype(np.uint8)
    entries = GuestEntries(page, page + (1 << 21), level, np.empty(0, np.int64), np.empty(0, np.uint64))
    whole = {level: _whole_entries(entries, level, pages) for level, pages in ((Level.PMD, pmd), (Level.PUD, pud))}
    assert whole[Level.PMD].page.tolist() == [512, 1024] and whole[Level.PMD].nr_pages.tolist() == [pmd] * 2
    assert (
        whole[Level.PUD].page.tolist() == [1 << 20, (1 << 20) + pud] and whole[Level.PUD].nr_pages.tolist() == [pud] * 2
    )
    assert whole[Level.PUD].pfn.tolist() == [(1 << 20) + (1 << 21), (1 << 20) + (1 << 21) + pud]
    assert set(whole[Level.PUD].level.tolist()) == {Level.PUD}
