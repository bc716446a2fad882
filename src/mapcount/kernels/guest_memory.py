"""A guest's memory as its kernel sees it: virtual addresses, struct pages, processes. Read only, while the guest is idle."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mapcount.errors import GuestError
from mapcount.kernels.layout import STRUCT_PAGE_BYTES, Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from mapcount.kernels.agent import Channel
    from mapcount.mapping.schema import I64, U8, U64

SYMBOLS = ("init_task", "init_top_pgt", "vmemmap_base", "page_offset_base", "huge_zero_page", "huge_zero_folio")
_KERNEL_IMAGE = 0xFFFFFFFF80000000
_VMEMMAP, _PAGE_OFFSET = 0xFFFFEA0000000000, 0xFFFF888000000000
"""Where they lie without CONFIG_RANDOMIZE_MEMORY: Documentation/arch/x86/x86_64/mm.rst."""
PFN_MASK = 0x000FFFFFFFFFF000
PRESENT, HUGE = 1, 1 << 7
_SHIFTS = (39, 30, 21, 12)
_PAGES_PER_PAGE = 4096 // STRUCT_PAGE_BYTES


class GuestMemory:
    """
    Typed reads. Addresses of the kernel are translated by its own page table, each page once.

    Raises GuestError for an address that is not mapped.
    """

    def __init__(self, memory: npt.NDArray[np.uint8], layout: Layout, symbols: Mapping[str, int]) -> None:
        self.layout = layout
        self._bytes = memory
        self.words: U64 = memory.view("<u8")
        """By physical address / 8."""
        self._symbols = symbols
        self._top = symbols["init_top_pgt"] - _KERNEL_IMAGE
        self._translated: dict[int, int] = {}
        self._vmemmap, self._page_offset = (
            self.u64(symbols[name]) if symbols[name] else default
            for name, default in (("vmemmap_base", _VMEMMAP), ("page_offset_base", _PAGE_OFFSET))
        )

    def read(self, address: int, nr_bytes: int) -> bytes:
        """Return bytes at an address of the kernel; they may cross pages."""
        return self._read(self._physical, address, nr_bytes)

    def read_user(self, table: int, address: int, nr_bytes: int) -> bytes:
        """Return bytes at an address of a process, as they are mapped now; `table` is its top-level page table."""
        return self._read(lambda at: self._found(self._walk(at, table), at), address, nr_bytes)

    def _read(self, physical: Callable[[int], int], address: int, nr_bytes: int) -> bytes:
        parts = []
        while nr_bytes:
            part = min(nr_bytes, 4096 - (address & 4095))
            at = physical(address)
            parts.append(self._bytes[at : at + part].tobytes())
            address, nr_bytes = address + part, nr_bytes - part
        return b"".join(parts)

    def u64(self, address: int) -> int:
        """Return 8 bytes as a number."""
        return int.from_bytes(self.read(address, 8), "little")

    def pages(self, pfn: int, nr_pages: int) -> U8:
        """Return the struct pages of consecutive frames: an array of `nr_pages` rows of 64 bytes, copied."""
        rows = self._page_rows[pfn : pfn + nr_pages]
        if len(rows) < nr_pages or (rows < 0).any():
            raise GuestError(f"The guest has no struct page for frame {pfn + nr_pages - 1}")
        pages: U8 = self._bytes.reshape(-1, STRUCT_PAGE_BYTES)[rows]
        return pages

    def page_words(self, pfns: I64, field: str) -> U64:
        """Return a 64-bit field of the struct page of each frame."""
        at = self._page_rows[pfns] * STRUCT_PAGE_BYTES + self.layout.page[field]
        words: U64 = self.words[at >> 3]
        return words

    def pfn_of_page(self, address: int) -> int:
        """Return the frame that a struct page is about."""
        return (address - self._vmemmap) // STRUCT_PAGE_BYTES

    def page_address(self, pfn: int) -> int:
        """Return where the struct page of a frame lies."""
        return self._vmemmap + pfn * STRUCT_PAGE_BYTES

    def heads(self, pfns: I64) -> I64:
        """
        Return the first frame of the folio of each frame.

        A tail's word is the address of the head plus 1, or (7.3, where a folio's struct pages may be shared) a mask that
        makes the head's address of its own: mm/page_alloc.c, prep_compound_tail().
        """
        link = self.page_words(pfns, "compound_info" if "compound_info" in self.layout.page else "compound_head")
        tail = link & np.uint64(1) != 0
        is_mask = link >> np.uint64(40) == np.uint64(0xFFFFFF)
        own = np.uint64(self._vmemmap) + pfns.astype(np.uint64) * np.uint64(STRUCT_PAGE_BYTES)
        head = np.where(is_mask, own & link, link - np.uint64(1))
        return np.where(tail, (head - np.uint64(self._vmemmap)) // np.uint64(STRUCT_PAGE_BYTES), pfns).astype(np.int64)

    def mm_of(self, pid: int) -> int:
        """Return the address of the mm_struct of a process. Raises GuestError if there is none of that pid."""
        for task in self._tasks():
            if self._pid_of(task) == pid:
                return self.u64(task + self.layout.task["mm"])
        raise GuestError(f"The guest has no process {pid}: it has ended by itself, or was killed")

    def all_mms(self) -> dict[int, int]:
        """Return the address of the mm_struct of every process, by pid; 0 for a kernel thread, which has none."""
        mms = {self._pid_of(task): self.u64(task + self.layout.task["mm"]) for task in self._tasks()}
        mms.pop(0, None)  # the idle task, which no list of processes shows
        return mms

    def page_table_of(self, mm: int) -> int:
        """Return the physical address of the top-level page table of an mm."""
        return self.u64(mm + self.layout.mm["pgd"]) - self._page_offset

    def mm_id_of(self, mm: int) -> int:
        """Return the id that an mm has in the slots of folios; 0 if this kernel has none."""
        if "mm_id" not in self.layout.mm:
            return 0
        return int.from_bytes(self.read(mm + self.layout.mm["mm_id"], 4), "little")

    def huge_zero_pfn(self) -> int:
        """Return the first frame of the huge zero folio; -1 if there is none now."""
        for name in ("huge_zero_page", "huge_zero_folio"):
            if self._symbols[name] and (address := self.u64(self._symbols[name])):
                return self.pfn_of_page(address)
        return -1

    def table(self, physical: int) -> U64:
        """Return the 512 entries of a page table."""
        return self.words[physical >> 3 : (physical >> 3) + 512]

    @property
    def nr_frames(self) -> int:
        """How many page frames its memory has."""
        return len(self._bytes) >> 12

    def _tasks(self) -> Iterator[int]:
        """Yield the addresses of all task_structs that lead a process."""
        tasks, first = self.layout.task["tasks"], self._symbols["init_task"]
        task = first
        while True:
            yield task
            task = self.u64(task + tasks) - tasks
            if task == first:
                return

    def _pid_of(self, task: int) -> int:
        return int.from_bytes(self.read(task + self.layout.task["pid"], 4), "little")

    @cached_property
    def _page_rows(self) -> I64:
        """Where the struct page of each frame lies, in units of 64 bytes of physical memory; -1 where there is none."""
        starts = np.array(list(self._vmemmap_pages(self.nr_frames)), np.int64)
        rows = np.where(starts < 0, -1, starts // STRUCT_PAGE_BYTES)[:, None] + np.arange(_PAGES_PER_PAGE)
        rows[starts < 0] = -1
        return rows.ravel()

    def _vmemmap_pages(self, frames: int) -> Iterator[int]:
        for page in range(-(-frames // _PAGES_PER_PAGE)):
            found = self._walk(self._vmemmap + page * 4096, self._top)
            yield -1 if found is None else found

    def _physical(self, address: int) -> int:
        page = address >> 12
        if page not in self._translated:
            self._translated[page] = self._found(self._walk(address & ~4095, self._top), address)
        return self._translated[page] + (address & 4095)

    @staticmethod
    def _found(physical: int | None, address: int) -> int:
        if physical is None:
            raise GuestError(f"The guest has nothing mapped at {address:#x}")
        return physical

    def _walk(self, address: int, table: int) -> int | None:
        """Return the physical address that a page table, given by its top level, maps an address to."""
        for shift in _SHIFTS:
            entry = int(self.words[(table >> 3) + (address >> shift & 511)])
            if not entry & PRESENT:
                return None
            if shift == _SHIFTS[-1] or entry & HUGE:
                return entry & PFN_MASK & -(1 << shift) | address & (1 << shift) - 1
            table = entry & PFN_MASK
        return None


def ask_symbols(channel: Channel) -> dict[str, int]:
    """Return the addresses of SYMBOLS in a guest, 0 for one that its kernel lacks."""
    return dict(zip(SYMBOLS, channel.kernel_symbols(SYMBOLS), strict=True))
