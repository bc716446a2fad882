"""A guest's memory made by hand: page tables, struct pages anywhere in it, processes. For tests of those who read it."""

from __future__ import annotations

import random
import struct

import numpy as np

from mapcount.kernels.guest_memory import GuestMemory
from mapcount.kernels.layout import Layout

KERNEL_IMAGE, VMEMMAP, PAGE_OFFSET = 0xFFFFFFFF80000000, 0xFFFFEA0000000000, 0xFFFF888000000000
FRAMES = 2048
NEW = Layout(
    page={"flags": 0, "compound_head": 8, "mapping": 24, "_mapcount": 48, "_refcount": 52},
    folio={
        "_flags_1": 64,
        "_large_mapcount": 80,
        "_nr_pages_mapped": 84,
        "_entire_mapcount": 88,
        "_mm_id_mapcount[0]": 96,
        "_mm_id_mapcount[1]": 100,
        "_mm_ids": 104,
        "_deferred_list": 144,
    },
    task={"tasks": 40, "pid": 56, "mm": 64},
    mm={"pgd": 24, "mm_id": 40},
    flags={"head": 6, "swapbacked": 17, "reserved": 12, "anon_exclusive": 11, "partially_mapped": 16},
)
"""Like 6.16."""
OLD = Layout(
    page={"flags": 0, "compound_head": 8, "mapping": 24, "_mapcount": 48, "_refcount": 52},
    folio={"compound_order": 81, "compound_mapcount": 84, "deferred_list": 152},
    task=NEW.task,
    mm={"pgd": 24},
    flags={"head": 16, "swapbacked": 19, "reserved": 12, "double_map": 6},
)
"""Like 5.10."""


class Ram:
    """2048 frames of memory, the kernel's page table in the first of them, struct pages scattered over others."""

    def __init__(self, layout=NEW, seed=0):
        self.layout = layout
        self.bytes = np.zeros(FRAMES << 12, np.uint8)
        self._free = list(range(1, 512))
        random.Random(seed).shuffle(self._free)
        self._top = 0
        self._pages = {}
        for i in range(FRAMES * 64 >> 12):
            frame = self.frame()
            self._pages[i] = frame
            self.map(self._top, VMEMMAP + (i << 12), frame << 12 | 1)
        self.first_task = 0
        self.last_task = 0
        self.mms = {}
        """Where the mm_struct of each process lies."""

    def frame(self):
        """Return a frame that nothing uses yet."""
        return self._free.pop()

    def memory(self, **symbols):
        """Return it as GuestMemory has it."""
        names = ("init_task", "init_top_pgt", "vmemmap_base", "page_offset_base", "huge_zero_page", "huge_zero_folio")
        known = {"init_top_pgt": KERNEL_IMAGE + (self._top << 12), "init_task": self.first_task}
        return GuestMemory(self.bytes, self.layout, dict.fromkeys(names, 0) | known | symbols)

    def u64(self, physical, value):
        """Write 8 bytes."""
        self.bytes[physical : physical + 8] = list(struct.pack("<Q", value & (1 << 64) - 1))

    def map(self, top, address, entry, shift=12):
        """Write an entry of the level of `shift` for an address, with the tables above it."""
        table = top << 12
        for level in (39, 30, 21, 12):
            at = table + (address >> level & 511) * 8
            if level == shift:
                self.u64(at, entry)
                return
            (above,) = struct.unpack("<Q", self.bytes[at : at + 8].tobytes())
            if not above:
                above = self.frame() << 12 | 0x67
                self.u64(at, above)
            table = above & 0x000FFFFFFFFFF000

    def page_at(self, pfn, offset):
        """Return where byte `offset` behind the start of a struct page lies; it may be in a following one."""
        at = pfn * 64 + offset
        return (self._pages[at >> 12] << 12) + (at & 4095)

    def word(self, pfn, offset, form, value):
        """Write a word of a struct page."""
        data = struct.pack("<" + form, value)
        at = self.page_at(pfn, offset)
        self.bytes[at : at + len(data)] = list(data)

    def folio(self, pfn, order, *, mapping, flags=0, refcount=1):
        """Make a folio, as far as that is the same on all kernels; return the address of its first struct page."""
        at, layout = VMEMMAP + pfn * 64, self.layout
        head = 1 << layout.flags["head"] if order else 0
        self.word(pfn, layout.page["flags"], "Q", flags | head)
        self.word(pfn, layout.page["mapping"], "Q", mapping)
        for page in range(1 << order):
            self.word(pfn + page, layout.page["_mapcount"], "i", -1)
            if page:
                self.word(pfn + page, layout.page["compound_head"], "Q", at + 1)
        self.word(pfn, layout.page["_refcount"], "i", refcount)
        if order:
            where = layout.folio.get("compound_order", layout.folio.get("_flags_1"))
            self.word(pfn, where, "B", order)
            lists = layout.folio.get("_deferred_list", layout.folio.get("deferred_list"))
            if order > 1:
                self.word(pfn, lists, "Q", at + lists)
        return at

    def direct(self, frame):
        """Map a frame where the kernel maps all memory; return its address."""
        address = PAGE_OFFSET + (frame << 12)
        self.map(self._top, address, frame << 12 | 1)
        return address

    def task(self, pid, mm_id=0):
        """Make a process at the end of the list; return the frame of its top-level page table."""
        mm, top = self.direct(self.frame()), self.frame()
        self._at(mm + self.layout.mm["pgd"], PAGE_OFFSET + (top << 12))
        if "mm_id" in self.layout.mm:
            self._at(mm + self.layout.mm["mm_id"], mm_id)
        self.task_of(pid, mm)
        self.mms[pid] = mm
        return top

    def task_of(self, pid, mm):
        """Make a process that has the mm at an address, or a kernel thread, which has none (0)."""
        address = self.direct(self.frame())
        first = self.first_task or address
        self._at(address + self.layout.task["pid"], pid)
        self._at(address + self.layout.task["mm"], mm)
        link = self.layout.task["tasks"]
        self._at(address + link, first + link)
        if self.first_task:
            self._at(self.last_task + link, address + link)
        self.first_task, self.last_task = first, address

    def _at(self, address, value):
        self.u64(address - PAGE_OFFSET, value)
